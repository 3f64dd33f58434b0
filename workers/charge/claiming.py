"""Claims groups of payments: the intent of every charge is committed here, before its first byte."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID, uuid4

import psycopg
import structlog
from psycopg_pool import AsyncConnectionPool

from shared.crash_points import reached
from shared.domain import claiming
from shared.domain.claiming import NewAttempt
from shared.domain.ids import uuid7
from shared.domain.snapshot import Payment, Step
from shared.store import payments
from shared.store.payments import Candidate, Connection, Owned
from workers.clock import elapsed_s
from workers.evidence import TRY_AGAIN, log_steps
from workers.ordering import charge_order
from workers.processors.port import Processor
from workers.sending import Claimed

_log = structlog.get_logger()

# Another group claimed a payment of the same card in the same moment, or waits for us crosswise.
_COLLISIONS = (psycopg.errors.UniqueViolation, psycopg.errors.DeadlockDetected)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimer:
    """What claims need: connections, the processor that freezes requests, and where new ids and time come from."""

    pool: AsyncConnectionPool
    processor: Processor
    environment: str
    actor: str
    new_token: Callable[[], UUID] = uuid4
    new_id: Callable[[], UUID] = uuid7
    monotonic: Callable[[], float] = elapsed_s


async def claim_group(ids: Sequence[UUID], *, claimer: Claimer) -> list[Claimed | None]:
    """Claim those of `ids` that may be sent now; the answer is in order, None where there is nothing to send.

    Returns after the commit. A member that collides does not fail its neighbours. If the COMMIT's answer is lost,
    ownership is read again by token, never assumed, and what is not owned is claimed once more.
    """
    tokens = {payment_id: claimer.new_token() for payment_id in ids}
    began_s = claimer.monotonic()
    try:
        claimed = _by_payment(await _claim_each(tokens, claimer=claimer), began_s, claimer=claimer)
    except TRY_AGAIN as error:
        _log.warning("claim_commit_unknown", payments=len(tokens), error=type(error).__name__)
        claimed = await _claim_again(tokens, began_s, claimer=claimer)
    # A hint that came twice into one group is claimed once.
    return [claimed.pop(payment_id, None) for payment_id in ids]


def _by_payment(owned: Iterable[Owned], began_s: float, *, claimer: Claimer) -> dict[UUID, Claimed]:
    return {one.payment_id: Claimed(one, began_s, claimer.monotonic) for one in owned}


async def _claim_again(tokens: dict[UUID, UUID], began_s: float, *, claimer: Claimer) -> dict[UUID, Claimed]:
    """What is ours after all, and the rest anew. With PostgreSQL away the janitor repeats the hints."""
    try:
        # What ended one connection has often ended all that wait in the pool; a second one must not cost the hints.
        await claimer.pool.check()
        async with claimer.pool.connection() as connection:
            claimed = _by_payment(await payments.mine(connection, tokens), began_s, claimer=claimer)
        again_s = claimer.monotonic()
        rest = {payment_id: token for payment_id, token in tokens.items() if payment_id not in claimed}
        return claimed | _by_payment(await _claim_each(rest, claimer=claimer), again_s, claimer=claimer)
    except TRY_AGAIN as error:
        _log.warning("claims_dropped", payments=len(tokens), error=type(error).__name__)
        return {}


async def _claim_each(tokens: dict[UUID, UUID], *, claimer: Claimer) -> list[Owned]:
    try:
        return await _claim(tokens, claimer=claimer)
    except _COLLISIONS:
        return [one for payment_id in tokens for one in await _claim_alone(payment_id, tokens, claimer=claimer)]


async def _claim_alone(payment_id: UUID, tokens: dict[UUID, UUID], *, claimer: Claimer) -> list[Owned]:
    try:
        return await _claim({payment_id: tokens[payment_id]}, claimer=claimer)
    except _COLLISIONS:
        # The card is busy: whoever frees it hints this payment.
        return []


async def _claim(tokens: dict[UUID, UUID], *, claimer: Claimer) -> list[Owned]:
    async with claimer.pool.connection() as connection:
        candidates = await payments.lock_for_claim(connection, list(tokens))
        taken: set[str] = set()
        steps = [
            step
            for candidate in candidates
            if (step := _decide(candidate, tokens[candidate.payment.id], taken, claimer=claimer))
        ]
        await _put_off(connection, candidates)
        if steps:
            now = candidates[0].now
            await payments.write(connection, steps, actor=claimer.actor, now=now)
            reached("claim_written")
    if steps:
        reached("claim_committed")
    log_steps(steps)
    return [_owned(step) for step in steps if step.attempt]


async def _put_off(connection: Connection, candidates: Sequence[Candidate]) -> None:
    """See to it that what is not claimed now is hinted again: when its account is free, or its processor runs."""
    waiting = [one for one in candidates if one.recheck.void_requested_by is None]
    paused = [one.payment.id for one in waiting if one.recheck.paused]
    held = {one.payment.id: until for one in waiting if (until := one.recheck.held_until) and not one.recheck.paused}
    if paused:
        await payments.hint_after_pause(connection, paused)
    if held:
        await payments.postpone(connection, held)


def _decide(candidate: Candidate, token: UUID, taken: set[str], *, claimer: Claimer) -> Step | None:
    """Cancel, skip, leave or claim one payment; `taken` are the cards that this group has claimed already."""
    payment, recheck, now = candidate.payment, candidate.recheck, candidate.now
    if recheck.void_requested_by is not None:
        return claiming.cancel(payment, by=recheck.void_requested_by, now=now)
    # Nothing is sent while a person has to look at what an earlier attempt did.
    if recheck.paused or recheck.held_until is not None or payment.review_reason is not None:
        return None
    if recheck.skip_reason:
        return claiming.skip(payment, recheck.skip_reason, now=now)
    if recheck.card_busy or payment.token in taken:
        return None
    taken.add(payment.token)
    return claiming.claim(payment, _new_attempt(payment, token, claimer=claimer), now=now)


def _new_attempt(payment: Payment, token: UUID, *, claimer: Claimer) -> NewAttempt:
    order = charge_order(payment, payment.attempts + 1, environment=claimer.environment)
    return NewAttempt(
        id=claimer.new_id(),
        token=token,
        reference=order.reference,
        request_text=claimer.processor.freeze_charge(order),
        lease=claimer.processor.timing.lease,
    )


def _owned(step: Step) -> Owned:
    assert step.attempt
    assert step.after.claim_token
    return Owned(step.after.id, step.after.claim_token, step.attempt.id, step.attempt.request_text, step)
