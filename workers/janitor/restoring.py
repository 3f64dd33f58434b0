"""After a restore: finds out what was sent and forgotten, account by account, and then lets sending go on.

The hold itself needs nobody: claims compare timelines. Here it becomes a hold of each account, which ends when its
processor has shown everything that can have been sent since the restore point (docs/operations/restore.md).
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

import structlog

from shared.domain import restoring, sightings
from shared.domain.answers import Found, LookupFailed, Sighting
from shared.domain.books_day import complete_at, days_between
from shared.domain.claiming import NewAttempt
from shared.domain.ids import uuid7
from shared.domain.snapshot import Attempt, Payment, Step
from shared.store import payments, reconciliations, restores
from shared.store.payments import Locked
from shared.store.restores import Hold
from shared.waiting import set_within
from workers.evidence import TRY_AGAIN, log_steps, take_step
from workers.janitor.janitor import ACTOR, Janitor
from workers.janitor.reconciling import reconcile
from workers.looking import look_up
from workers.ordering import charge_order

_log = structlog.get_logger()

# What a restored database forgets beyond its restore point: the time between two notes of being alive.
EVERY_S: Final = 10.0
# Looks that run side by side, as in a sweep.
_ABREAST: Final = 16
_FIRST: Final = UUID(int=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """One look at a held account. What was sent was sent by `until`; `environment` is part of every reference."""

    hold: Hold
    until: datetime
    janitor: Janitor
    environment: str


async def watch_for_ever(*, janitor: Janitor, environment: str, stop: asyncio.Event) -> None:
    """Watch until told to stop. A pass that fails is logged and the next one starts over."""
    while not stop.is_set():
        try:
            await watch(janitor=janitor, environment=environment)
        except TRY_AGAIN as error:
            _log.warning("timeline_unwatched", error=type(error).__name__)
        await set_within(stop, EVERY_S)


async def watch(*, janitor: Janitor, environment: str) -> None:
    """Note that the database is alive, or hold the accounts of a restored one; look at the held ones that are due."""
    async with janitor.pool.connection() as connection:
        begun = [] if await restores.seen(connection) else await restores.begin(connection)
    for processor, account, since in begun:
        _log.error("account_held_after_restore", processor=processor, account=account, since=since.isoformat())
    async with janitor.pool.connection() as connection:
        holds = await restores.take(connection)
    for hold in holds:
        try:
            await _recover(hold, janitor=janitor, environment=environment)
        except Exception:  # noqa: BLE001  # one account's trouble must not keep the others held
            _log.exception("recovery_failed", processor=hold.processor.value, account=hold.account)


async def _recover(hold: Hold, *, janitor: Janitor, environment: str) -> None:
    timing = janitor.processors[hold.processor].timing
    recovery = Recovery(hold=hold, until=hold.found_at + timing.lease, janitor=janitor, environment=environment)
    if hold.now < recovery.until:
        return await _wait(recovery, "requests that may still be on the wire", until=recovery.until)
    looked = await _look_for_forgotten(recovery)
    more = sum(one.found for one in looked)
    if failed := [one.failed for one in looked if one.failed]:
        return await _wait(recovery, f"lookups that failed: {failed[0].code}", more=more)
    return await _compare_books(recovery, more=more)


async def _wait(recovery: Recovery, why: str, *, until: datetime | None = None, more: int = 0) -> None:
    hold, again = recovery.hold, recovery.hold.now + restores.TRY_AGAIN_AFTER
    async with recovery.janitor.pool.connection() as connection:
        await restores.wait(connection, hold, waits_for=why, next_try_at=max(until or again, again), more=more)
    _log.warning("account_still_held", processor=hold.processor.value, account=hold.account, waits_for=why)


# --- Payments that we know, with attempts that we do not --------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Looked:
    found: int = 0
    failed: LookupFailed | None = None


async def _look_for_forgotten(recovery: Recovery) -> list[_Looked]:
    slots = asyncio.Semaphore(_ABREAST)

    async def one(payment_id: UUID) -> _Looked:
        async with slots:
            return await _look(payment_id, recovery)

    looked: list[_Looked] = []
    after = _FIRST
    while True:
        async with recovery.janitor.pool.connection() as connection:
            ids = await restores.unfinished(connection, recovery.hold, after=after)
        if not ids:
            return looked
        looked += await asyncio.gather(*(one(payment_id) for payment_id in ids))
        after = ids[-1]


async def _look(payment_id: UUID, recovery: Recovery) -> _Looked:
    """Look for every attempt that may be forgotten: before a later one, any of them may have been refused."""
    async with recovery.janitor.pool.connection() as connection:
        payment = (await payments.lock(connection, [payment_id]))[0].payment
    processor = recovery.janitor.processors[payment.processor]
    found = 0
    for n in restoring.numbers(payment):
        attempt = _attempt(payment, n, recovery)
        answer = await look_up(processor, payment, attempt)
        if isinstance(answer, LookupFailed):
            return _Looked(found, answer)
        if isinstance(answer, Found):
            found += await _remember(payment_id, attempt, answer.sighting, recovery)
    return _Looked(found)


def _attempt(payment: Payment, n: int, recovery: Recovery) -> Attempt:
    processor = recovery.janitor.processors[payment.processor]
    order = charge_order(payment, n, environment=recovery.environment)
    new = NewAttempt(
        id=uuid7(),
        token=uuid7(),
        reference=order.reference,
        request_text=processor.freeze_charge(order),
        lease=processor.timing.lease,
    )
    return restoring.forgotten(payment, new, n=n, since=recovery.hold.since, until=recovery.until)


async def _remember(payment_id: UUID, attempt: Attempt, sighting: Sighting, recovery: Recovery) -> bool:
    """Take the attempt in, then what the processor shows of it: the first is the intent that was forgotten."""
    pool = recovery.janitor.pool
    steps: list[Step] = []
    async with pool.connection() as connection:
        row = (await payments.lock(connection, [payment_id]))[0]
        if row.payment.state not in restoring.MAY_HAVE_BEEN_SENT or attempt.n not in restoring.numbers(row.payment):
            return False
        known = row.payment.current_attempt
        current = (await payments.attempts(connection, [known]))[known] if known else None
        for step in restoring.remembered(row.payment, current, attempt, now=row.now):
            await payments.write(connection, [step], actor=ACTOR, now=row.now)
            steps.append(step)
    log_steps(steps)

    def decide(row: Locked, remembered: Attempt) -> Step | None:
        return sightings.seen(row.payment, remembered, sighting, unchanged=True, now=row.now)

    await take_step(pool, payment_id, attempt.id, decide, actor=ACTOR)
    return True


# --- Everything else: the processor's books ---------------------------------------------------------------------------


async def _compare_books(recovery: Recovery, *, more: int) -> None:
    """Compare every day since the restore point. What it shows of forgotten payments is put before people."""
    hold, pool = recovery.hold, recovery.janitor.pool
    days = days_between(hold.processor, hold.since, recovery.until)
    async with pool.connection() as connection:
        runs = await restores.ask(connection, hold, days, asked_by=ACTOR)
    for run in runs:
        await reconcile(run, janitor=recovery.janitor)
    async with pool.connection() as connection:
        outcomes = [await reconciliations.outcome_of(connection, run.id) for run in runs]
        strangers = await restores.strangers(connection, hold)
    if failed := [outcome.failure for outcome in outcomes if outcome.failure]:
        return await _wait(recovery, f"books that cannot be read: {failed[0]}", more=more)
    timing = recovery.janitor.processors[hold.processor].timing
    if timing.key_lifetime is None and not all(outcome.complete for outcome in outcomes):
        out_at = complete_at(hold.processor, days[-1])
        return await _wait(recovery, f"the report of {days[-1]}, out at {out_at.isoformat()}", until=out_at, more=more)
    if strangers:
        return await _wait(recovery, f"people: {strangers} charges of forgotten payments (findings)", more=more)
    async with pool.connection() as connection:
        await restores.release(connection, hold, more=more)
    _log.warning("account_released_after_restore", processor=hold.processor.value, account=hold.account, found=more)
    return None
