"""A processor of which only the frozen request is needed."""

from datetime import timedelta
from typing import Any

from shared.domain.words import ProcessorName
from workers.processors.port import ChargeOrder, Timing


class Paper:
    name = ProcessorName.VANTAGE
    timing = Timing(
        send_budget=timedelta(seconds=5),
        total_deadline=timedelta(seconds=75),
        record_margin=timedelta(seconds=20),
        key_lifetime=None,
    )

    def freeze_charge(self, order: ChargeOrder) -> str:
        return f"charge {order.reference} {order.amount_minor} {order.currency}"

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"{name} is not called here")
