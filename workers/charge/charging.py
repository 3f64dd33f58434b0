"""One charge from hint to record: claim, send, record."""

from collections.abc import Awaitable, Callable
from uuid import UUID

from shared.logs import working_on
from shared.telemetry.metrics import CHARGE_REQUEST_SECONDS
from workers.charge.slots import Slots
from workers.evidence import Answered
from workers.processors.port import Processor
from workers.sending import Claimed, send


async def charge(
    payment_id: UUID,
    *,
    claim: Callable[[UUID], Awaitable[Claimed | None]],
    record: Callable[[Answered], Awaitable[None]],
    processor: Processor,
    slots: Slots,
    first: bool = False,
) -> None:
    """Charge one payment if it may be charged now; if it is `first`, before those that wait for a slot."""

    def took(seconds: float) -> None:
        slots.took(seconds)
        CHARGE_REQUEST_SECONDS[processor.name].observe(seconds)

    with working_on(payment_id=payment_id):
        async with slots.claimed.first() if first else slots.claimed:
            claimed = await claim(payment_id)
            if claimed is None:
                return
            answer = await send(
                claimed,
                processor.charge,
                what=f"{processor.name} charge",
                budget=processor.timing.send_budget,
                first=first,
                took=took,
            )
        await record(Answered(claimed.owned, answer))
