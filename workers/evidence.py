"""Records what was learnt of payments: every way to learn an outcome ends in the same steps, which are logged here."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import psycopg
import structlog
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from shared.crash_points import reached
from shared.domain import charging, schedule
from shared.domain.answers import Blame, ChargeAnswer, NotExecuted
from shared.domain.payment import Event
from shared.domain.snapshot import Attempt, Step
from shared.store import payments
from shared.store.payments import Connection, Locked, Owned
from shared.telemetry import metrics
from workers.consequences import follow

_log = structlog.get_logger()

# What a lost connection, a restarted server or a deadlock raise: the same transaction may be tried again.
TRY_AGAIN = (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout)
_PAUSE_S = 0.5
# Another payment took the invoice in the same moment: the next try sees it. More tries would see nothing new.
_COLLISIONS_MOST = 3


@dataclass(frozen=True, slots=True)
class Answered:
    """The processor's answer to one send of an attempt that was owned then."""

    owned: Owned
    answer: ChargeAnswer


async def record_until_done(group: Sequence[Answered], *, pool: AsyncConnectionPool, actor: str) -> list[None]:
    """Record answers, trying again for as long as PostgreSQL is away: an answer must not be lost by an outage.

    Recording twice is harmless, so a COMMIT whose answer was lost is simply recorded again. A member that cannot be
    recorded does not take its neighbours with it: it stays owned until its lease ends and is then looked up.
    """
    collisions = 0
    while True:
        try:
            await record(group, pool=pool, actor=actor)
        except TRY_AGAIN as error:
            _log.warning("record_retried", answers=len(group), error=type(error).__name__)
            await asyncio.sleep(_PAUSE_S)
        except Exception as error:  # noqa: BLE001  # one member's bug must cost only that member its answer
            if len(group) > 1:
                return [done for one in group for done in await record_until_done([one], pool=pool, actor=actor)]
            collisions += 1
            if not isinstance(error, psycopg.errors.UniqueViolation) or collisions == _COLLISIONS_MOST:
                _log.exception("record_failed", payment_id=str(group[0].owned.payment_id))
                return [None]
        else:
            return [None] * len(group)


async def record(group: Sequence[Answered], *, pool: AsyncConnectionPool, actor: str) -> None:
    """Record answers in one transaction, in which the card rules take effect too."""
    steps: list[Step] = []
    async with pool.connection() as connection:
        # Two answers for one payment (a zombie's and its successor's) are two steps, one after the other.
        rest = list(group)
        while rest:
            now_recorded = {answered.owned.payment_id: answered for answered in reversed(rest)}
            rest = [answered for answered in rest if now_recorded[answered.owned.payment_id] is not answered]
            steps += await _record(connection, now_recorded, actor=actor)
        reached("record_written")
    reached("record_committed")
    log_steps(steps)


async def _record(connection: Connection, group: dict[UUID, Answered], *, actor: str) -> list[Step]:
    locked = await _lock(connection, [answered.owned for answered in group.values()])
    steps: list[Step] = []
    for row, attempt in locked:
        answered = group[row.payment.id]
        step = charging.answered(row.payment, attempt, answered.answer, token=answered.owned.token, now=row.now)
        if step:
            steps.append(step)
    if not steps:
        return []
    now = max(row.now for row, _ in locked)
    await payments.write(connection, steps, actor=actor, now=now)
    for step in steps:
        await _hold_account(connection, step, group[step.after.id].answer, now=now)
    return steps + await follow(connection, steps, actor=actor, now=now)


async def _lock(connection: Connection, group: Sequence[Owned]) -> list[tuple[Locked, Attempt]]:
    """Lock the payments of `group`: what its claims wrote where nothing changed since, read again where it did."""
    tried = {one.claim.after.id: one.claim.attempt for one in group if one.claim and one.claim.attempt}
    unchanged: list[Locked] = []
    # One order of locks: a group of which one claim is not remembered is locked by one statement.
    if len(tried) == len(group):
        unchanged = await payments.lock_claimed(connection, [one.claim for one in group if one.claim])
    found = [(row, tried[row.payment.id]) for row in unchanged]
    if len(found) < len(group):
        known = {row.payment.id for row in unchanged}
        rest = {one.payment_id: one.attempt_id for one in group if one.payment_id not in known}
        locked = await payments.lock(connection, list(rest))
        read = await payments.attempts(connection, rest.values())
        found += [(row, read[rest[row.payment.id]]) for row in locked]
    return found


async def take_step(
    pool: AsyncConnectionPool,
    payment_id: UUID,
    attempt_id: UUID,
    decide: Callable[[Locked, Attempt], Step | None],
    *,
    actor: str,
    also: Callable[[Connection, Step | None], Awaitable[None]] | None = None,
) -> Step | None:
    """Decide on one payment and one of its attempts under the row lock, and write what was decided.

    `also` writes what belongs to the decision, in its transaction.
    """
    steps: list[Step] = []
    async with pool.connection() as connection:
        locked = (await payments.lock(connection, [payment_id]))[0]
        attempt = (await payments.attempts(connection, [attempt_id]))[attempt_id]
        step = decide(locked, attempt)
        if step:
            await payments.write(connection, [step], actor=actor, now=locked.now)
            steps = [step, *await follow(connection, [step], actor=actor, now=locked.now)]
        if also:
            await also(connection, step)
        if step:
            reached("step_written")
    if step:
        reached("step_committed")
    log_steps(steps)
    return step


def log_steps(steps: Sequence[Step]) -> None:
    """One log event for each step that was committed, with every id that support searches by; and the count."""
    metrics.count_steps(steps)
    for step in steps:
        _log_step(step)


def _log_step(step: Step) -> None:
    attempt = step.attempt
    # A claim is followed by its outcome in moments, and is in the payment's events for ever.
    level = logging.DEBUG if step.event is Event.CLAIM else logging.INFO
    if not _log.is_enabled_for(level):
        return
    _log.log(
        level,
        f"payment_{step.event}",
        batch_id=str(step.after.batch_id),
        batch=f"BP-{step.after.batch_number}",
        payment_id=str(step.after.id),
        practice_id=step.after.practice_external_id,
        attempt=attempt.n if attempt else step.after.attempts,
        before=step.before.state.value,
        state=step.after.state.value,
        reference=attempt.reference if attempt else None,
        code=attempt.outcome_code if attempt else None,
    )


async def _hold_account(connection: Connection, step: Step, answer: ChargeAnswer, *, now: datetime) -> None:
    """Stop the account's claims for a while: its credentials are wrong, or the processor asked for a pause."""
    pause = _account_pause(answer)
    if pause is None or not isinstance(answer, NotExecuted):
        return
    payment, until = step.after, now + pause
    reason = f"{answer.code}: {answer.detail}"
    await payments.hold_account(connection, payment.processor, payment.account, until=until, reason=reason)
    metrics.ACCOUNT_HOLDS.labels(payment.processor, answer.blame).inc()
    say = _log.error if answer.blame is Blame.MERCHANT else _log.warning
    say(
        "merchant_account_held",
        processor=payment.processor.value,
        account=payment.account,
        practice_id=payment.practice_external_id,
        until=until.isoformat(),
        reason=reason,
    )


def _account_pause(answer: ChargeAnswer) -> timedelta | None:
    match answer:
        case NotExecuted(blame=Blame.MERCHANT):
            return schedule.MERCHANT_HOLD
        case NotExecuted(retry_after=timedelta() as asked):
            return min(asked, schedule.RETRY_LONGEST)
        case _:
            return None
