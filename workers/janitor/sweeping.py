"""The janitor's pass: every unfinished payment has a date for its next look, and here it is looked at.

It needs no lock to lead: each write is decided under the row lock, so two janitors only share the work.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar
from uuid import UUID

import structlog

from shared.crash_points import reached
from shared.domain import charging, reconciling, schedule, sightings
from shared.domain.answers import Seen
from shared.domain.payment import State
from shared.domain.settlement_day import report_is_out
from shared.domain.snapshot import Attempt, Step
from shared.store import batch_status, payments, resolutions, sweeps
from shared.store.payments import Locked
from shared.store.sweeps import Unsettled
from shared.store.voids import ask_rest_of_batch
from shared.waiting import set_within
from workers.evidence import TRY_AGAIN, log_steps, take_step
from workers.janitor.janitor import ACTOR, Janitor
from workers.janitor.refunds import find_out_refund
from workers.janitor.reports import Reports, sighting_of
from workers.janitor.resolving import resolve
from workers.janitor.unclear import find_out

_log = structlog.get_logger()

# Looks that run side by side: enough to hide a slow processor, few enough not to burden one.
_ABREAST = 16

# Lost events are rare, and looking for what they left reads ten thousand rows.
_RECOMPUTE_EVERY_S = 10.0

Item = TypeVar("Item")


async def sweep_for_ever(*, janitor: Janitor, every_s: float, stop: asyncio.Event) -> None:
    """Sweep until told to stop. A pass that fails is logged and the next one starts over."""
    recompute_at = 0.0
    while not stop.is_set():
        try:
            await sweep(janitor=janitor)
            if janitor.monotonic() >= recompute_at:
                await _recompute(janitor)
                recompute_at = janitor.monotonic() + _RECOMPUTE_EVERY_S
        except TRY_AGAIN as error:
            _log.warning("sweep_failed", error=type(error).__name__)
        await set_within(stop, every_s)


async def sweep(*, janitor: Janitor) -> None:
    """One pass over everything that is due."""
    await _hint_again(janitor)
    await _free_overdue(janitor)
    await _finish_voids(janitor)
    reports = Reports(janitor.processors)
    async with janitor.pool.connection() as connection:
        said = await resolutions.unanswered(connection)
    await _abreast(said, lambda resolution: resolve(resolution, janitor=janitor, reports=reports))
    async with janitor.pool.connection() as connection:
        unclear = await sweeps.take_unclear(connection)
    await _abreast(unclear, lambda payment_id: find_out(payment_id, janitor=janitor, reports=reports))
    async with janitor.pool.connection() as connection:
        refunds = await sweeps.take_open_refunds(connection)
    await _abreast(refunds, lambda refund: find_out_refund(*refund, janitor=janitor, reports=reports))
    async with janitor.pool.connection() as connection:
        unsettled = await sweeps.take_unsettled(connection)
    await _abreast(unsettled, lambda charge: _settle(charge, janitor=janitor, reports=reports))


async def _abreast(items: Sequence[Item], work: Callable[[Item], Awaitable[None]]) -> None:
    """Work on all items, some side by side. One that fails is logged and does not stop the others."""
    slots = asyncio.Semaphore(_ABREAST)

    async def one(item: Item) -> None:
        async with slots:
            try:
                await work(item)
            except Exception:  # noqa: BLE001  # one payment's trouble must not keep the janitor from the others
                _log.exception("look_failed", item=str(item))

    await asyncio.gather(*(one(item) for item in items))


async def _hint_again(janitor: Janitor) -> None:
    async with janitor.pool.connection() as connection:
        charges = await sweeps.hint_queued(connection)
        returns = await sweeps.hint_returns(connection)
        if charges or returns:
            reached("hints_written")
    if charges or returns:
        reached("hints_committed")
        _log.info("hints_repeated", charges=charges, returns=returns)


async def _free_overdue(janitor: Janitor) -> None:
    """Turn silent owners' payments into unknown ones, and free cards whose request can no longer be on the wire."""
    async with janitor.pool.connection() as connection:
        ids = [*await sweeps.leases_over(connection), *await sweeps.wires_free(connection)]
        locked = await payments.lock(connection, ids) if ids else []
        steps = [step for row in locked if (step := _overdue(row))]
        if steps:
            await payments.write(connection, steps, actor=ACTOR, now=max(row.now for row in locked))
            reached("leases_written")
    if steps:
        reached("leases_committed")
    log_steps(steps)


def _overdue(row: Locked) -> Step | None:
    payment = row.payment
    if not payment.on_wire or payment.lease_until is None or payment.lease_until > row.now:
        return None
    if payment.state is State.SENDING:
        return charging.lease_over(payment, now=row.now)
    return charging.wire_free(payment) if payment.state is State.UNKNOWN else None


async def _finish_voids(janitor: Janitor) -> None:
    """Ask the payments that a batch void did not reach because its process died."""
    async with janitor.pool.connection() as connection:
        batches = await sweeps.unfinished_voids(connection)
    for batch_id, by in batches:
        await ask_rest_of_batch(janitor.pool, batch_id=batch_id, actor=by)


async def _settle(charge: Unsettled, *, janitor: Janitor, reports: Reports) -> None:
    """Take an approved charge to what its settlement reports show, or before people if none will show it any more."""
    timing = janitor.processors[charge.processor].timing
    read = await reports.of_send(charge.processor, charge.account, charge.last_send_at, timing.total_deadline)
    if not read:
        return
    sighting = sighting_of(read, charge.reference)
    out = all(report_is_out(report.day, report.as_of) for report in read)

    def decide(row: Locked, attempt: Attempt) -> Step | None:
        if sighting:
            return sightings.seen(row.payment, attempt, sighting, unchanged=False, now=row.now)
        # A report may be late or torn: it is read again for as long as an unknown charge is looked for.
        over = out and row.now - charge.last_send_at >= schedule.UNKNOWN_LONGEST
        return reconciling.never_settles(row.payment, attempt) if over else None

    if sighting is None or sighting.seen is not Seen.APPROVED:
        await take_step(janitor.pool, charge.payment_id, charge.attempt_id, decide, actor=ACTOR)


async def _recompute(janitor: Janitor) -> None:
    async with janitor.pool.connection() as connection:
        stale: list[UUID] = await batch_status.stale_batches(connection, limit=sweeps.LIMIT)
    if stale:
        _log.info("batches_recomputed", batches=len(stale))
        await batch_status.recompute(janitor.pool, stale, actor=ACTOR)
