"""Somebody else who holds the practice's credentials and charges a card at the processor behind Batchpay's back."""

import asyncio
from collections.abc import Mapping
from typing import Final
from uuid import uuid4

from shared.domain.answers import Approved, Settled
from shared.domain.words import ProcessorName
from shared.settings import WorkerSettings
from tests.journeys.exports import Client, Export
from workers.processors.port import ChargeOrder
from workers.processors.registry import MAKERS

_PREFIX: Final = "BATCHPAY_"


def charge_behind_our_back(environment: Mapping[str, str], export: Export, client: Client, *, amount_minor: int) -> str:
    """Charge a client's card with the settings of a worker's `environment`; return the reference of the charge."""
    values = {name.removeprefix(_PREFIX).lower(): value for name, value in environment.items() if _PREFIX in name}
    payment_id = str(uuid4())
    order = ChargeOrder(
        reference=f"other-{payment_id}-1",
        payment_id=payment_id,
        attempt_number=1,
        invoice_id=str(uuid4()),
        account=export.account,
        payer_id=client.payer_id,
        token=client.token,
        method_type="card",
        amount_minor=amount_minor,
        currency="USD",
    )

    async def charge() -> None:
        processor = MAKERS[ProcessorName(export.processor)](WorkerSettings.model_validate(values))
        try:
            answer = await processor.charge(processor.freeze_charge(order))
        finally:
            await processor.close()
        assert isinstance(answer, Approved | Settled), answer

    asyncio.run(charge())
    return order.reference
