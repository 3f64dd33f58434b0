"""Refund: what holds one back, and what its answers and looks do. Pure.

An attempt of a refund is over only when none of its sends can have executed or will. Until then it is looked up, and
at Vantage, which has no keys, it is sent once.
"""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import assert_never
from uuid import UUID

from shared.domain import returning, schedule
from shared.domain.answers import (
    Blame,
    Denial,
    Found,
    LookupAnswer,
    LookupFailed,
    NotExecuted,
    NotFound,
    RefundAnswer,
    RefundConfirmed,
    RefundDenied,
    RefundRefused,
    Seen,
    Sighting,
    Unknown,
)
from shared.domain.finding_kinds import Kind
from shared.domain.payment import Event, State
from shared.domain.reasons import Reason
from shared.domain.returning import RELEASED
from shared.domain.reviewing import also, observe, review
from shared.domain.snapshot import Attempt, Finding, Payment, Step, step

_DENIALS: Mapping[Denial, Reason] = MappingProxyType(
    {Denial.DISPUTED: Reason.REFUND_DISPUTED, Denial.FUNDS_SHORT: Reason.REFUND_FUNDS_SHORT}
)


# --- Before a send ----------------------------------------------------------------------------------------------------


def held_back(payment: Payment, charge: Attempt, look: LookupAnswer, *, disputed: bool, now: datetime) -> Step | None:
    """Why no refund is sent after this look at the charge; None: it is settled, nothing came back, so send.

    Nothing of ours is open, so money that came back was given back outside.
    """
    if disputed:
        return _rejected(payment, charge, Reason.REFUND_DISPUTED)
    match look:
        case LookupFailed():
            return _wait(payment, charge, f"lookup failed: {look.code}", now=now)
        case NotFound():
            return _wait(payment, charge, "the processor does not show the charge", now=now)
        case Found(sighting=shown):
            return _not_refundable(payment, charge, shown, now=now)
        case _:
            assert_never(look)


def _not_refundable(payment: Payment, charge: Attempt, shown: Sighting, *, now: datetime) -> Step | None:
    match shown.seen:
        case Seen.SETTLED:
            return None
        case Seen.REFUNDED:
            return _refunded_outside(payment, charge, now=now)
        case Seen.APPROVED | Seen.PROCESSING:
            # Between cut-off and settlement neither a void nor a refund works: the request waits.
            return _wait(payment, charge, f"seen {shown.seen}: not settled yet", now=now)
        case Seen.VOIDED:
            return _voided_outside(payment, charge)
        case Seen.DECLINED | Seen.OTHER:
            return _rejected(
                payment,
                charge,
                Reason.REFUND_REFUSED,
                ask=f"the processor shows the charge as {shown.seen}: {shown.detail}",
            )
        case _:
            assert_never(shown.seen)


def _wait(payment: Payment, charge: Attempt, fact: str, *, now: datetime) -> Step:
    return returning.still_open(
        payment,
        charge._replace(lookups=charge.lookups + 1),
        fact=fact,
        look=schedule.next_lookup(now, charge.lookups),
        ask=f"the refund waits: {fact}" if charge.lookups >= len(schedule.LOOKUP_STEPS) else None,
    )


def _refunded_outside(payment: Payment, charge: Attempt, *, now: datetime) -> Step:
    return step(
        payment,
        Event.CONFIRM_REFUND,
        State.REFUNDED,
        attempt=charge,
        next_check_at=None,
        finished_at=now,
        finding=Finding(kind=Kind.OUTSIDE_REFUND, detail=f"{charge.reference}: done outside of Batchpay"),
    )


def _voided_outside(payment: Payment, attempt: Attempt) -> Step:
    reason = f"{attempt.reference}: voided outside of Batchpay while its refund was asked for"
    finding = Finding(kind=Kind.OUTSIDE_VOID, detail=reason)
    return _rejected(payment, attempt, Reason.REFUND_REFUSED, ask=reason, finding=finding)


# --- The answer to a send ---------------------------------------------------------------------------------------------


def answered(payment: Payment, refund: Attempt, answer: RefundAnswer, *, token: UUID, now: datetime) -> Step | None:
    """The step that the processor's answer to one send takes; None where it tells nothing new."""
    if isinstance(answer, RefundConfirmed):
        return _confirmed(payment, refund, answer, now=now)
    if payment.state is not State.REFUNDING or payment.claim_token != token:
        return observe(payment, refund, f"late answer to a refund: {answer.code}")
    said = refund._replace(outcome_code=answer.code, outcome_detail=answer.detail)
    match answer:
        case Unknown():
            return returning.still_open(
                payment,
                said,
                fact=f"refund unknown: {answer.code}",
                look=schedule.next_lookup(now, refund.lookups),
                ask=f"our refund was refused: {answer.code}" if answer.review else None,
            )
        case RefundDenied() | RefundRefused() | NotExecuted():
            return _send_refused(payment, said._replace(open_sends=said.open_sends - 1), answer, now=now)
        case _:
            assert_never(answer)


def _confirmed(payment: Payment, refund: Attempt, answer: RefundConfirmed, *, now: datetime) -> Step | None:
    numbered = refund._replace(processor_ref=answer.processor_ref, history_ref=answer.history_ref)
    if payment.state is State.REFUNDING:
        return returning.confirmed(payment, numbered, now=now)
    if payment.state is State.SETTLED:
        return returning.confirmed_after_all(payment, numbered, now=now)
    if refund.outcome == "confirmed":
        return None
    return review(payment, refund, f"{refund.reference} was confirmed too: the client may have been refunded twice")


def _send_refused(
    payment: Payment, refund: Attempt, answer: RefundDenied | RefundRefused | NotExecuted, *, now: datetime
) -> Step:
    """One send certainly did nothing. The attempt is over only when no other send of it is open."""
    if refund.open_sends > 0:
        look = schedule.next_lookup(now, refund.lookups)
        return returning.still_open(payment, refund, fact=f"refund refused: {answer.code}", look=look)
    match answer:
        case RefundDenied():
            return _rejected(payment, _over(refund, now), _DENIALS[answer.denial])
        case RefundRefused():
            return _again(payment, _over(refund, now), Reason.REFUND_REFUSED, now=now)
        case NotExecuted(blame=Blame.NOTHING):
            return _again(payment, _over(refund, now), Reason.REFUND_NOT_EXECUTED, now=now)
        case NotExecuted():
            ours = f"our refund was refused: {answer.code}" if answer.blame is Blame.US else None
            return _rejected(payment, _over(refund, now), Reason.REFUND_REFUSED, ask=ours)
        case _:
            assert_never(answer)


def _over(refund: Attempt, now: datetime) -> Attempt:
    return refund._replace(outcome="refused", finished_at=now)


def _again(payment: Payment, over: Attempt, reason: Reason, *, now: datetime) -> Step:
    """Look at the charge and send a new attempt after a pause, a few times in all."""
    pause = schedule.retry_pause(payment.attempts)
    if pause is None:
        return _rejected(payment, over, reason)
    return returning.still_open(payment, over, fact=f"refund refused: {over.outcome_code}", look=now + pause)


# --- Looks at an open attempt -----------------------------------------------------------------------------------------


def seen(payment: Payment, refund: Attempt, sighting: Sighting, *, now: datetime) -> Step | None:
    """How the charge of an open refund stands now; None where that does not tell what became of the refund.

    Vantage knows no reference of a refund, so money that came back while a send of ours is open counts as ours.
    """
    if payment.state is not State.REFUNDING or refund.outcome is not None:
        return None
    match sighting.seen:
        case Seen.REFUNDED:
            return returning.confirmed(payment, refund, now=now)
        case Seen.VOIDED:
            return _voided_outside(payment, _never(refund, now))
        case Seen.SETTLED | Seen.APPROVED | Seen.PROCESSING | Seen.DECLINED | Seen.OTHER:
            return None
        case _:
            assert_never(sighting.seen)


def looked(payment: Payment, refund: Attempt, *, fact: str, now: datetime) -> Step | None:
    """A look decided nothing: look again later. A person is asked when looking should have helped."""
    if payment.state is not State.REFUNDING or refund.outcome is not None:
        return None
    helpless = now - refund.last_send_at >= schedule.UNKNOWN_LONGEST
    return returning.still_open(
        payment,
        refund._replace(lookups=refund.lookups + 1),
        fact=fact,
        look=schedule.next_lookup(now, refund.lookups + 1),
        ask=f"no look could tell what became of {refund.reference}" if helpless else None,
    )


def absent(payment: Payment, refund: Attempt, *, now: datetime) -> Step | None:
    """Absence is final: no send of the refund executed or will. The caller has checked the rule."""
    if payment.state is not State.REFUNDING or refund.outcome is not None:
        return None
    return _rejected(payment, _never(refund, now)._replace(absence_final_at=now), Reason.REFUND_NOT_EXECUTED)


def _never(refund: Attempt, now: datetime) -> Attempt:
    return refund._replace(outcome="not_executed", finished_at=now)


def _rejected(
    payment: Payment, attempt: Attempt, reason: Reason, *, ask: str | None = None, finding: Finding | None = None
) -> Step:
    return step(
        payment,
        Event.REJECT_REFUND,
        State.SETTLED,
        attempt=attempt,
        **RELEASED,
        next_check_at=None,
        reason_code=reason.value,
        reason_raw_code=attempt.outcome_code,
        review_reason=also(payment, ask) if ask else payment.review_reason,
        finding=finding,
    )
