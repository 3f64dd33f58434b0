"""One charge from hint to record: claim, send, record."""

import asyncio
from collections.abc import Awaitable, Callable
from uuid import UUID

from shared.logs import working_on
from workers.evidence import Answered
from workers.processors.port import Processor
from workers.sending import Claimed, send


async def charge(
    payment_id: UUID,
    *,
    claim: Callable[[UUID], Awaitable[Claimed | None]],
    record: Callable[[Answered], Awaitable[None]],
    processor: Processor,
    slots: asyncio.Semaphore,
) -> None:
    """Charge one payment if it may be charged now. `slots` bounds the requests in flight at the processor."""
    with working_on(payment_id=payment_id):
        async with slots:
            claimed = await claim(payment_id)
            if claimed is None:
                return
            answer = await send(claimed, processor.charge, budget=processor.timing.send_budget)
        owned = claimed.owned
        await record(Answered(owned.payment_id, owned.attempt_id, owned.token, answer))
