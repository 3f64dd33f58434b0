"""Finds out what became of one charge whose outcome is not known. Looks, resends where that is safe, never guesses."""

from datetime import datetime
from uuid import UUID, uuid4

import psycopg
from psycopg_pool import AsyncConnectionPool

from shared.domain import charging, sightings
from shared.domain.answers import Found, LookupFailed, NotFound, Sighting
from shared.domain.payment import State
from shared.domain.reviewing import review
from shared.domain.snapshot import Attempt, Payment, Step
from shared.logs import working_on
from shared.store import pauses, restores
from shared.store.payments import Connection, Locked, Owned
from workers.evidence import Answered, record_until_done, take_step
from workers.janitor.absence import FinalAbsence, NotFinal, ReportShows, absence
from workers.janitor.case import Case, read_case
from workers.janitor.janitor import ACTOR, RESENDS, Janitor
from workers.janitor.reports import Reports
from workers.looking import look_up
from workers.processors.port import Processor, Timing
from workers.sending import Claimed, send


async def find_out(payment_id: UUID, *, janitor: Janitor, reports: Reports) -> None:
    """Look one unknown or processing charge up and take the step that the evidence allows."""
    case = await read_case(payment_id, pool=janitor.pool, states=(State.UNKNOWN, State.PROCESSING))
    if case is None:
        return
    with working_on(
        batch_id=case.payment.batch_id,
        payment_id=payment_id,
        practice_id=case.payment.practice_external_id,
        attempt=case.attempt.n,
    ):
        await _look(case, janitor=janitor, reports=reports)


async def _look(case: Case, *, janitor: Janitor, reports: Reports) -> None:
    processor = janitor.processors[case.payment.processor]
    look = await look_up(processor, case.payment, case.attempt)
    match look:
        case Found():
            await _record_sighting(case, look.sighting, pool=janitor.pool)
        case LookupFailed():
            await _look_later(case, f"lookup failed: {look.code}", pool=janitor.pool)
        case NotFound():
            await _not_found(case, look, processor, janitor=janitor, reports=reports)


async def _record_sighting(case: Case, sighting: Sighting, *, pool: AsyncConnectionPool) -> None:
    def decide(row: Locked, attempt: Attempt) -> Step | None:
        unchanged = row.payment.version == case.payment.version
        step = sightings.seen(row.payment, attempt, sighting, unchanged=unchanged, now=row.now)
        return step or _later(row, attempt, f"seen {sighting.seen}: decides nothing")

    try:
        await take_step(pool, *case.key, decide, actor=ACTOR)
    except psycopg.errors.UniqueViolation:
        await _contradiction(case, sighting, pool=pool)


async def _contradiction(case: Case, sighting: Sighting, *, pool: AsyncConnectionPool) -> None:
    """The processor shows under this reference a charge that it has shown for another one: people must look."""
    reason = f"the processor's {sighting.processor_ref} is already known for another charge"
    await take_step(pool, *case.key, lambda row, attempt: review(row.payment, attempt, reason), actor=ACTOR)


def _later(row: Locked, attempt: Attempt, fact: str) -> Step | None:
    if row.payment.state not in (State.UNKNOWN, State.PROCESSING):
        return None
    return sightings.looked(row.payment, attempt, detail=fact, now=row.now)


async def _look_later(case: Case, fact: str, *, pool: AsyncConnectionPool) -> None:
    await take_step(pool, *case.key, lambda row, attempt: _later(row, attempt, fact), actor=ACTOR)


async def _absent(case: Case, as_of: datetime, *, pool: AsyncConnectionPool) -> None:
    """Absence is final, unless something was written since before the look: then it is looked at again."""

    def decide(row: Locked, attempt: Attempt) -> Step | None:
        if row.payment.version != case.payment.version:
            return _later(row, attempt, "changed while absence was established")
        return sightings.absent(row.payment, attempt, as_of=as_of, now=row.now)

    await take_step(pool, *case.key, decide, actor=ACTOR)


async def _not_found(case: Case, look: NotFound, processor: Processor, *, janitor: Janitor, reports: Reports) -> None:
    match await absence(case, look, processor.timing, reports=reports, pool=janitor.pool):
        case FinalAbsence(as_of=as_of):
            await _absent(case, as_of, pool=janitor.pool)
        case ReportShows(sighting=sighting):
            await _record_sighting(case, sighting, pool=janitor.pool)
        case NotFinal() if may_resend(case.payment, case.attempt, processor.timing, now=case.now):
            await _resend(case, processor, janitor=janitor)
        case NotFinal(fact=fact):
            await _look_later(case, fact, pool=janitor.pool)


def may_resend(payment: Payment, attempt: Attempt, timing: Timing, *, now: datetime) -> bool:
    """Whether the same request may be sent once more under the same key.

    Not after a void was asked for: the resend could be the first send that executes. Not while the last send may still
    be on the wire. Not when the key could be forgotten before the resend arrives.
    """
    return (
        payment.state is State.UNKNOWN
        and not payment.on_wire
        and payment.void_requested_at is None
        and attempt.sends <= RESENDS
        and timing.key_lifetime is not None
        and now - attempt.first_send_at < timing.key_lifetime
    )


async def _resend(case: Case, processor: Processor, *, janitor: Janitor) -> None:
    began_s, token = janitor.monotonic(), uuid4()

    def decide(row: Locked, attempt: Attempt) -> Step | None:
        if row.payment.version != case.payment.version or not may_resend(
            row.payment, attempt, processor.timing, now=row.now
        ):
            return None
        return charging.resend(row.payment, attempt, token=token, lease=processor.timing.lease, now=row.now)

    async def may_send(connection: Connection, _step: Step | None) -> None:
        await pauses.must_run(connection, case.payment.processor)
        await restores.must_know(connection, case.payment.processor, case.payment.account)

    try:
        step = await take_step(janitor.pool, *case.key, decide, actor=ACTOR, also=may_send)
    except psycopg.errors.UniqueViolation:
        return await _look_later(case, "not sent again: another charge of this card is on the wire", pool=janitor.pool)
    except pauses.PausedError:
        return await _look_later(case, "not sent again: the processor is paused", pool=janitor.pool)
    except restores.HeldError:
        return await _look_later(case, "not sent again: the database was restored", pool=janitor.pool)
    if step is None:
        return None
    owned = Owned(case.payment.id, token, case.attempt.id, case.attempt.request_text)
    answer = await send(
        Claimed(owned, began_s, janitor.monotonic),
        processor.charge,
        what=f"{processor.name} charge",
        budget=processor.timing.send_budget,
    )
    await record_until_done([Answered(owned, answer)], pool=janitor.pool, actor=ACTOR)
    return None
