"""Finds out what became of one refund whose answer is not known. Looks, resends under a living key, never guesses."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

from shared.domain import refunding, returning
from shared.domain.answers import Found, LookupAnswer, LookupFailed, NotFound, RefundAnswer, Seen, Sighting
from shared.domain.payment import State
from shared.domain.snapshot import Attempt, Payment, Step
from shared.logs import working_on
from shared.store import payments, restores
from shared.store.payments import Connection, Locked, Owned
from workers.evidence import take_step
from workers.janitor.absence import KEY_FORGOTTEN
from workers.janitor.janitor import ACTOR, RESENDS, Janitor
from workers.janitor.reports import Reports, absence_is_final, sighting_of
from workers.looking import look_up
from workers.processors.port import Processor, Timing
from workers.sending import Claimed, send


@dataclass(frozen=True, slots=True)
class _Case:
    """A payment with its charge and its open refund, as they were before the look."""

    payment: Payment
    charge: Attempt
    refund: Attempt
    now: datetime


async def find_out_refund(payment_id: UUID, refund_id: UUID, *, janitor: Janitor, reports: Reports) -> None:
    """Look one open refund up and take the step that the evidence allows."""
    case = await _read(payment_id, refund_id, janitor=janitor)
    if case is None:
        return
    payment = case.payment
    with working_on(
        batch_id=payment.batch_id,
        payment_id=payment_id,
        practice_id=payment.practice_external_id,
        attempt=case.refund.n,
    ):
        look = await look_up(janitor.processors[payment.processor], payment, case.charge)
        await _weigh(case, look, janitor=janitor, reports=reports)


async def _read(payment_id: UUID, refund_id: UUID, *, janitor: Janitor) -> _Case | None:
    async with janitor.pool.connection() as connection:
        row = (await payments.lock(connection, [payment_id]))[0]
        if row.payment.state is not State.REFUNDING:
            return None
        refund = (await payments.attempts(connection, [refund_id]))[refund_id]
        charge_id = refund.parent_id
        assert charge_id
        charge = (await payments.attempts(connection, [charge_id]))[charge_id]
    return _Case(row.payment, charge, refund, row.now) if refund.outcome is None else None


async def _weigh(case: _Case, look: LookupAnswer, *, janitor: Janitor, reports: Reports) -> None:
    match look:
        case LookupFailed(code=code):
            await _look_later(case, f"lookup failed: {code}", janitor=janitor)
        case NotFound():
            await _look_later(case, "the processor does not show the charge", janitor=janitor)
        case Found(sighting=shown) if shown.seen in {Seen.REFUNDED, Seen.VOIDED}:
            await _record(case, shown, janitor=janitor)
        case Found(sighting=shown):
            await _not_shown(case, shown.seen, janitor=janitor, reports=reports)


async def _not_shown(case: _Case, seen: Seen, *, janitor: Janitor, reports: Reports) -> None:
    """The charge is there and nothing of it came back yet."""
    processor = janitor.processors[case.payment.processor]
    if may_resend(case.refund, processor.timing, now=case.now):
        return await _resend(case, processor, janitor=janitor)
    if processor.timing.key_lifetime is None:
        return await _by_reports(case, processor.timing, janitor=janitor, reports=reports)
    if seen is Seen.SETTLED and case.now - case.refund.last_send_at >= KEY_FORGOTTEN:
        return await _absent(case, janitor=janitor)
    return await _look_later(case, f"seen {seen}: the refund does not show", janitor=janitor)


def may_resend(refund: Attempt, timing: Timing, *, now: datetime) -> bool:
    """Whether the same refund may be sent once more under the same key. Where there are no keys: never."""
    return (
        timing.key_lifetime is not None and refund.sends <= RESENDS and now - refund.first_send_at < timing.key_lifetime
    )


async def _by_reports(case: _Case, timing: Timing, *, janitor: Janitor, reports: Reports) -> None:
    """A refund without key never executed if complete reports of every day on which it could have do not show it."""
    processor, account = case.payment.processor, case.payment.account
    read = await reports.of_send(processor, account, case.refund.last_send_at, timing.total_deadline)
    shown = sighting_of(read, case.charge.reference) if read else None
    if shown and shown.seen in {Seen.REFUNDED, Seen.VOIDED}:
        return await _record(case, shown, janitor=janitor)
    if read and await absence_is_final(read, processor=processor, account=account, pool=janitor.pool):
        return await _absent(case, janitor=janitor)
    return await _look_later(case, "the refund does not show, and its report is not complete", janitor=janitor)


# --- Record -----------------------------------------------------------------------------------------------------------


async def _record(case: _Case, shown: Sighting, *, janitor: Janitor) -> None:
    def decide(row: Locked, refund: Attempt) -> Step | None:
        return refunding.seen(row.payment, refund, shown, now=row.now)

    await take_step(janitor.pool, case.payment.id, case.refund.id, decide, actor=ACTOR)


async def _look_later(case: _Case, fact: str, *, janitor: Janitor) -> None:
    def decide(row: Locked, refund: Attempt) -> Step | None:
        return refunding.looked(row.payment, refund, fact=fact, now=row.now)

    await take_step(janitor.pool, case.payment.id, case.refund.id, decide, actor=ACTOR)


async def _absent(case: _Case, *, janitor: Janitor) -> None:
    """Absence is final, unless something was written since before the look."""

    def decide(row: Locked, refund: Attempt) -> Step | None:
        if row.payment.version != case.payment.version:
            return None
        return refunding.absent(row.payment, refund, now=row.now)

    await take_step(janitor.pool, case.payment.id, case.refund.id, decide, actor=ACTOR)


async def _resend(case: _Case, processor: Processor, *, janitor: Janitor) -> None:
    began_s, token = janitor.monotonic(), uuid4()

    def claim(row: Locked, refund: Attempt) -> Step | None:
        if row.payment.version != case.payment.version or not may_resend(refund, processor.timing, now=row.now):
            return None
        return returning.claim_again(row.payment, refund, token=token, lease=processor.timing.lease, now=row.now)

    async def may_send(connection: Connection, _step: Step | None) -> None:
        await restores.must_know(connection, case.payment.processor, case.payment.account)

    try:
        step = await take_step(janitor.pool, case.payment.id, case.refund.id, claim, actor=ACTOR, also=may_send)
    except restores.HeldError:
        return await _look_later(case, "not sent again: the database was restored", janitor=janitor)
    if step is None:
        return None
    owned = Owned(case.payment.id, token, case.refund.id, case.refund.request_text)
    answer: RefundAnswer = await send(
        Claimed(owned, began_s, janitor.monotonic),
        processor.refund,
        what=f"{processor.name} refund",
        budget=processor.timing.send_budget,
    )

    def record(row: Locked, refund: Attempt) -> Step | None:
        return refunding.answered(row.payment, refund, answer, token=token, now=row.now)

    await take_step(janitor.pool, case.payment.id, case.refund.id, record, actor=ACTOR)
    return None
