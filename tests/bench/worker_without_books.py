"""`python -m tests.bench.worker_without_books`: the engine's charge worker whose claims and records stay in memory.

Everything else is the real one: consuming, decoding, freezing the request, the adapter, acknowledging. What it costs
less than the real worker is the price of durability. It may charge twice and lose charges, so it is here and nowhere
else.
"""

import time
from uuid import UUID, uuid4

from schemas.commands import CHARGE_ACTORS, CHARGE_QUEUES
from shared import logs
from shared.domain.ids import reference, uuid7
from shared.garbage import seldom_collected
from shared.messaging.broker import HintBroker
from shared.messaging.worker import add_actor, run_worker
from shared.settings import ChargeSettings
from shared.store.payments import Owned
from tests.bench.population import AMOUNT_MINOR
from workers.charge.charging import charge
from workers.charge.slots import Slots
from workers.evidence import Answered
from workers.processors.port import ChargeOrder
from workers.processors.registry import MAKERS
from workers.sending import Claimed


def main() -> None:
    settings = ChargeSettings()
    name = settings.charge_processor
    logs.configure(f"charge-{name}", level=settings.log_level, format=settings.log_format)
    processor = MAKERS[name](settings)
    slots = Slots(settings.in_flight)
    charged: set[UUID] = set()

    async def claim(payment_id: UUID) -> Claimed | None:
        if payment_id in charged:
            return None
        charged.add(payment_id)
        order = ChargeOrder(
            reference=reference(settings.environment, payment_id, 1),
            payment_id=str(payment_id),
            attempt_number=1,
            invoice_id=str(payment_id),
            account="700001",
            payer_id="2222222222222222",
            token=str(payment_id),
            method_type="card",
            amount_minor=AMOUNT_MINOR,
            currency="USD",
        )
        owned = Owned(payment_id, uuid4(), uuid7(), processor.freeze_charge(order))
        return Claimed(owned, time.monotonic())

    async def record(_answered: Answered) -> None:
        """Nothing is kept."""

    async def charge_hinted(payment_id: str) -> None:
        await charge(UUID(payment_id), claim=claim, record=record, processor=processor, slots=slots)

    async def nothing() -> None:
        """There is nothing to open."""

    broker = HintBroker(settings.amqp_url)
    add_actor(broker, charge_hinted, actor_name=CHARGE_ACTORS[name], queue_name=CHARGE_QUEUES[name])
    with seldom_collected():
        run_worker(
            broker,
            queues=[CHARGE_QUEUES[name]],
            in_flight=settings.in_flight,
            on_start=nothing,
            on_stop=processor.close,
            grace_s=settings.drain_s,
        )


if __name__ == "__main__":
    main()
