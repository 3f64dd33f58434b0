"""What the janitor does beside its sweep: webhooks are looked into, books are compared, findings are told."""

import asyncio

import structlog

from shared.store import findings
from shared.waiting import set_within
from workers.evidence import TRY_AGAIN
from workers.janitor.janitor import Janitor
from workers.janitor.reconciling import plan, reconcile_due
from workers.janitor.webhooks import handle_webhooks

_log = structlog.get_logger()

# A day's books are complete hours after its end: looking for it once a minute is soon enough.
_PLAN_EVERY_S = 60.0


async def go_round_for_ever(*, janitor: Janitor, every_s: float, stop: asyncio.Event) -> None:
    """Go round until told to stop. A round that fails is logged and the next one starts over."""
    plan_at = 0.0
    while not stop.is_set():
        try:
            if janitor.monotonic() >= plan_at:
                await plan(janitor=janitor)
                plan_at = janitor.monotonic() + _PLAN_EVERY_S
            await go_round(janitor=janitor)
        except TRY_AGAIN as error:
            _log.warning("round_failed", error=type(error).__name__)
        await set_within(stop, every_s)


async def go_round(*, janitor: Janitor) -> None:
    """Everything that is due."""
    await handle_webhooks(janitor=janitor)
    await reconcile_due(janitor=janitor)
    await _tell(janitor)


async def _tell(janitor: Janitor) -> None:
    async with janitor.pool.connection() as connection:
        found = await findings.tell(connection)
    for one in found:
        _log.warning(
            "finding_opened",
            finding=str(one.id),
            kind=one.kind,
            practice_id=one.practice,
            batch_id=str(one.batch_id) if one.batch_id else None,
            payment_id=str(one.payment_id) if one.payment_id else None,
            detail=one.detail,
        )
