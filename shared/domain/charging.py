"""What an answer, a sighting or an absence does to a charge. Pure; every path ends in the transition table.

Two kinds of evidence (protocol, section 2). Money taken is believed from anyone, at any time, for any attempt. "No
money" is believed only from the owner of the claim, or from a look that nothing has overtaken.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, assert_never
from uuid import UUID

from shared.domain import schedule
from shared.domain.answers import (
    Approved,
    Blame,
    ChargeAnswer,
    Declined,
    NotExecuted,
    Processing,
    Seen,
    Settled,
    Sighting,
    Unknown,
)
from shared.domain.declines import Decline
from shared.domain.payment import TAKEN, Event, State
from shared.domain.reasons import Reason
from shared.domain.settlement_day import settlement_day
from shared.domain.snapshot import Attempt, Finding, Payment, Step, step

_OPEN = (State.SENDING, State.UNKNOWN)
_NOTHING_TAKEN = (State.QUEUED, State.DECLINED, State.FAILED, State.SKIPPED, State.CANCELED)
_RELEASED: dict[str, Any] = {"claim_token": None, "lease_until": None, "on_wire": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Money:
    """Evidence that the processor took the money of one attempt."""

    settled: bool
    processor_ref: str
    history_ref: str | None


def answered(payment: Payment, attempt: Attempt, answer: ChargeAnswer, *, token: UUID, now: datetime) -> Step | None:
    """The step that the processor's answer to one send takes; None where it tells nothing new."""
    mine = payment.claim_token == token and payment.current_attempt == attempt.id
    match answer:
        case Approved():
            money = Money(settled=False, processor_ref=answer.processor_ref, history_ref=answer.history_ref)
            return money_taken(payment, attempt, money, now=now)
        case Settled():
            money = Money(settled=True, processor_ref=answer.processor_ref, history_ref=answer.history_ref)
            return money_taken(payment, attempt, money, now=now)
        case Processing():
            return processing(payment, attempt, answer.processor_ref, now=now)
        case Declined() | NotExecuted() | Unknown() if not mine:
            return _observe(payment, attempt, f"late answer: {_words(answer)}")
        case Declined():
            return declined(payment, attempt, answer.decline, answer.processor_ref, now=now)
        case NotExecuted():
            return refused_send(payment, attempt, answer, now=now)
        case Unknown():
            return lost_track(payment, attempt, answer, now=now)
        case _:
            assert_never(answer)


def _words(answer: Declined | NotExecuted | Unknown) -> str:
    match answer:
        case Declined():
            return f"declined {answer.decline.raw_code}"
        case NotExecuted():
            return f"not executed {answer.code}"
        case Unknown():
            return f"unknown {answer.code}"
        case _:
            assert_never(answer)


# --- Money was taken --------------------------------------------------------------------------------------------------


def money_taken(payment: Payment, attempt: Attempt, money: Money, *, now: datetime) -> Step | None:
    """Accept that the processor has the money of `attempt`, whatever state the payment is in. Never dropped."""
    paid = replace(
        attempt,
        outcome="settled" if money.settled else "approved",
        processor_ref=money.processor_ref,
        history_ref=money.history_ref or attempt.history_ref,
        open_sends=0,
        finished_at=attempt.finished_at or now,
    )
    if payment.state in _NOTHING_TAKEN:
        # Of an older attempt too: a payment whose money is taken must neither be sent again nor leave its invoice open.
        return _paid_after_all(payment, paid, money, now=now)
    if attempt.id != payment.current_attempt:
        return _older_attempt_paid(payment, attempt, paid, now=now)
    if payment.state is State.PROCESSING and not money.settled:
        return review(payment, paid, "the processor approved what it was still to settle at once")
    if payment.state in (*_OPEN, State.PROCESSING):
        return _paid(payment, paid, money, now=now)
    if payment.state is State.VOIDED and money.settled:
        return _settled_after_void(payment, attempt, paid, now=now)
    if payment.state is State.APPROVED and money.settled:
        return step(
            payment,
            Event.SETTLE,
            State.SETTLED,
            attempt=paid,
            next_check_at=None,
            finished_at=payment.finished_at or now,
        )
    return None


def _target(payment: Payment, money: Money) -> State:
    if money.settled:
        return State.SETTLED
    return State.VOIDING if payment.void_requested_at else State.APPROVED


def _paid(payment: Payment, paid: Attempt, money: Money, *, now: datetime) -> Step:
    target = _target(payment, money)
    return step(
        payment,
        Event.SETTLE if target is State.SETTLED else Event.APPROVE,
        target,
        attempt=paid,
        **_RELEASED,
        next_check_at=None if target is State.SETTLED else now + schedule.SETTLEMENT_CHECK,
        finished_at=now,
        **_too_late(payment, target),
    )


def _too_late(payment: Payment, target: State) -> dict[str, Any]:
    """Void was asked for, but the money is settled: say what can be done instead."""
    asked = target is State.SETTLED and payment.void_requested_at
    return {"reason_code": Reason.TOO_LATE_TO_VOID.value} if asked else {}


def _paid_after_all(payment: Payment, paid: Attempt, money: Money, *, now: datetime) -> Step:
    target = State.SURPLUS if payment.invoice_held else _target(payment, money)
    return step(
        payment,
        Event.EVIDENCE_PAID,
        target,
        attempt=replace(paid, surplus_at=now) if target is State.SURPLUS else paid,
        detail={"was": payment.state.value},
        **_RELEASED,
        current_attempt=paid.id,
        next_check_at=None if target is State.SETTLED else now + schedule.SETTLEMENT_CHECK,
        review_reason=_also(payment, f"money was taken after the payment was {payment.state}"),
        finished_at=now,
    )


def _settled_after_void(payment: Payment, attempt: Attempt, paid: Attempt, *, now: datetime) -> Step | None:
    """A void was believed and the charge is settled all the same: a person must see it."""
    reason = f"{attempt.reference} is settled although its void was confirmed"
    finding = Finding(kind="settled_after_void", detail=reason)
    if not payment.invoice_held:
        return step(
            payment,
            Event.SEEN_SETTLED,
            State.SETTLED,
            attempt=paid,
            next_check_at=None,
            review_reason=_also(payment, reason),
            finding=finding,
        )
    if attempt.surplus_at is not None:
        return None
    # Another payment holds the invoice: this one cannot take it back.
    return step(
        payment,
        Event.OBSERVE,
        State.VOIDED,
        attempt=replace(paid, surplus_at=now),
        detail={"fact": reason},
        review_reason=_also(payment, reason),
        finding=finding,
    )


def _older_attempt_paid(payment: Payment, attempt: Attempt, paid: Attempt, *, now: datetime) -> Step | None:
    if attempt.surplus_at is not None:
        return None
    return step(
        payment,
        Event.OBSERVE,
        payment.state,
        attempt=replace(paid, surplus_at=now),
        detail={"fact": "an older attempt took money", "attempt": attempt.n},
        review_reason=_also(payment, f"attempt {attempt.n} took money although a newer one was made"),
        finding=Finding(kind="surplus_attempt", detail=f"{attempt.reference} took {attempt.amount_minor}"),
    )


def processing(payment: Payment, attempt: Attempt, processor_ref: str, *, now: datetime) -> Step | None:
    """The processor accepted and will answer later. A look that began before the outcome was known tells nothing."""
    if attempt.outcome not in (None, "not_executed"):
        return None
    known = replace(attempt, outcome="processing", processor_ref=processor_ref, open_sends=0)
    if payment.current_attempt == attempt.id and payment.state in _OPEN:
        return step(
            payment,
            Event.PROCESS,
            State.PROCESSING,
            attempt=known,
            **_RELEASED,
            next_check_at=schedule.next_lookup(now, attempt.lookups),
        )
    return review(payment, known, "the processor works on an attempt that was given up")


# --- No money ---------------------------------------------------------------------------------------------------------


def declined(
    payment: Payment, attempt: Attempt, decline: Decline, processor_ref: str | None, *, now: datetime
) -> Step | None:
    """A definite refusal under this key. The caller has checked that it may believe it."""
    if payment.state not in (*_OPEN, State.PROCESSING):
        return _observe(payment, attempt, f"late answer: declined {decline.raw_code}")
    return step(
        payment,
        Event.DECLINE,
        State.DECLINED,
        attempt=replace(
            attempt,
            outcome="declined",
            outcome_code=decline.raw_code,
            processor_ref=processor_ref,
            open_sends=0,
            finished_at=now,
        ),
        **_RELEASED,
        next_check_at=None,
        reason_code=decline.code.value,
        reason_category=decline.category.value,
        reason_raw_code=decline.raw_code,
        finished_at=now,
    )


def refused_send(payment: Payment, attempt: Attempt, answer: NotExecuted, *, now: datetime) -> Step:
    """One send certainly did not execute. The attempt is over only when no other send of it is open."""
    left = replace(attempt, open_sends=attempt.open_sends - 1, outcome_code=answer.code, outcome_detail=answer.detail)
    if left.open_sends > 0:
        return _to_unknown(payment, left, now=now)
    return not_executed(payment, left, blame=answer.blame, retry_after=answer.retry_after, evidence_at=now, now=now)


def not_executed(
    payment: Payment,
    attempt: Attempt,
    *,
    blame: Blame,
    retry_after: timedelta | None,
    evidence_at: datetime,
    now: datetime,
) -> Step:
    """The attempt took no money and never will: `open_sends` is 0, or `absence_final_at` is set.

    `evidence_at` is when that was true by the processor's clock; a charge proven absent on a later settlement day is
    not repeated by itself, because nobody expects a charge the day after.
    """
    over = replace(attempt, outcome="not_executed", finished_at=now)
    if payment.void_requested_at:
        return _ended(payment, over, State.CANCELED, Reason.VOID_REQUESTED, now=now)
    pause = retry_after or schedule.retry_pause(payment.attempts)
    same_day = settlement_day(attempt.last_send_at) == settlement_day(evidence_at)
    match blame:
        # Nothing is sent again by itself while a person has to look at what an earlier attempt did.
        case Blame.NOTHING | Blame.MERCHANT if (
            schedule.retry_pause(payment.attempts) and pause and same_day and not payment.review_reason
        ):
            due = now + (schedule.MERCHANT_HOLD if blame is Blame.MERCHANT else pause)
            return step(
                payment,
                Event.NOT_EXECUTED,
                State.QUEUED,
                attempt=over,
                **_RELEASED,
                due_at=due,
                next_check_at=due + schedule.HINT_AGAIN,
            )
        case Blame.NOTHING | Blame.MERCHANT:
            return _ended(payment, over, State.FAILED, Reason.NOT_EXECUTED, now=now)
        case Blame.METHOD:
            return _ended(payment, over, State.FAILED, Reason.METHOD_REFUSED, now=now)
        case Blame.US:
            return _ended(
                payment,
                over,
                State.FAILED,
                Reason.REQUEST_REFUSED,
                now=now,
                review=f"our request was refused: {over.outcome_code}",
            )
        case _:
            assert_never(blame)


def _ended(
    payment: Payment, over: Attempt, target: State, reason: Reason, *, now: datetime, review: str | None = None
) -> Step:
    return step(
        payment,
        Event.NOT_EXECUTED,
        target,
        attempt=over,
        **_RELEASED,
        next_check_at=None,
        reason_code=reason.value,
        reason_raw_code=over.outcome_code,
        review_reason=_also(payment, review) if review else payment.review_reason,
        finished_at=now,
    )


# --- Not knowing ------------------------------------------------------------------------------------------------------


def lost_track(payment: Payment, attempt: Attempt, answer: Unknown, *, now: datetime) -> Step:
    """The owner got no usable answer. The card stays taken until the request can no longer be on the wire."""
    seen = replace(attempt, outcome_code=answer.code, outcome_detail=answer.detail)
    return _to_unknown(payment, seen, now=now)


def _to_unknown(payment: Payment, attempt: Attempt, *, now: datetime) -> Step:
    # The owner has spoken: without its token its answer, recorded a second time, cannot count a second time.
    look = schedule.next_lookup(now, attempt.lookups)
    if payment.state is State.UNKNOWN:
        return step(payment, Event.OBSERVE, State.UNKNOWN, attempt=attempt, claim_token=None, next_check_at=look)
    return step(payment, Event.LOSE_TRACK, State.UNKNOWN, attempt=attempt, claim_token=None, next_check_at=look)


def lease_over(payment: Payment, *, now: datetime) -> Step:
    """The owner is silent past its lease. Its token stays valid: a late answer of its still counts."""
    return step(
        payment,
        Event.LOSE_TRACK,
        State.UNKNOWN,
        detail={"fact": "lease over"},
        lease_until=None,
        on_wire=False,
        next_check_at=schedule.next_lookup(now, 0),
    )


def wire_free(payment: Payment) -> Step:
    """The unknown request can no longer be on the wire: the card is free for its next payment."""
    return step(
        payment,
        Event.OBSERVE,
        State.UNKNOWN,
        detail={"fact": "send deadline over"},
        lease_until=None,
        on_wire=False,
    )


def resend(payment: Payment, attempt: Attempt, *, token: UUID, lease: timedelta, now: datetime) -> Step:
    """Own the payment again to send the same frozen request under the same key once more."""
    again = replace(
        attempt, open_sends=attempt.open_sends + 1, sends=attempt.sends + 1, last_send_at=now, last_claimed_at=now
    )
    return step(
        payment,
        Event.RESEND,
        State.SENDING,
        attempt=again,
        claim_token=token,
        lease_until=now + lease,
        next_check_at=now + lease,
        on_wire=True,
    )


def looked(payment: Payment, attempt: Attempt, *, detail: str, now: datetime) -> Step:
    """A look found nothing that decides: look again later."""
    return step(
        payment,
        Event.OBSERVE,
        payment.state,
        attempt=replace(attempt, lookups=attempt.lookups + 1),
        detail={"fact": detail},
        next_check_at=schedule.next_lookup(now, attempt.lookups + 1),
    )


# --- Looking ----------------------------------------------------------------------------------------------------------


def seen(payment: Payment, attempt: Attempt, sighting: Sighting, *, unchanged: bool, now: datetime) -> Step | None:
    """What the processor shows for `attempt` now. `unchanged`: nothing was written since before the look."""
    if sighting.amount_minor != attempt.amount_minor:
        return review(payment, attempt, f"the processor shows {sighting.amount_minor}, we sent {attempt.amount_minor}")
    match sighting.seen:
        case Seen.APPROVED | Seen.SETTLED:
            money = Money(
                settled=sighting.seen is Seen.SETTLED,
                processor_ref=sighting.processor_ref,
                history_ref=sighting.history_ref,
            )
            return money_taken(payment, attempt, money, now=now)
        case Seen.PROCESSING:
            return processing(payment, attempt, sighting.processor_ref, now=now)
        case Seen.DECLINED:
            if unchanged and sighting.decline and payment.current_attempt == attempt.id:
                return declined(payment, attempt, sighting.decline, sighting.processor_ref, now=now)
            return None
        case Seen.VOIDED:
            return _returned(payment, attempt, sighting, Event.SEEN_VOIDED, State.VOIDED, now=now)
        case Seen.REFUNDED:
            return _returned(payment, attempt, sighting, Event.SEEN_REFUNDED, State.REFUNDED, now=now)
        case Seen.OTHER:
            return review(payment, attempt, f"the processor shows a state that we do not know: {sighting.detail}")
        case _:
            assert_never(sighting.seen)


def _returned(
    payment: Payment, attempt: Attempt, sighting: Sighting, event: Event, target: State, *, now: datetime
) -> Step | None:
    """The money was taken and given back, not by us: say so."""
    if payment.current_attempt == attempt.id and payment.state is State.PROCESSING and target is State.REFUNDED:
        return _settled_and_returned(payment, attempt, sighting, now=now)
    if payment.current_attempt != attempt.id or payment.state not in (*_OPEN, State.APPROVED, State.SETTLED):
        return None
    kind = "outside_void" if target is State.VOIDED else "outside_refund"
    finding = Finding(kind=kind, detail=f"{attempt.reference}: done outside of Batchpay")
    return step(
        payment,
        event,
        target,
        attempt=replace(
            attempt,
            outcome="approved",
            processor_ref=sighting.processor_ref,
            history_ref=sighting.history_ref or attempt.history_ref,
            open_sends=0,
            finished_at=now,
        ),
        **_RELEASED,
        next_check_at=None,
        finished_at=now,
        finding=finding,
    )


def _settled_and_returned(payment: Payment, attempt: Attempt, sighting: Sighting, *, now: datetime) -> Step:
    """A bank debit is first seen when it was given back: so it had settled. A person takes it from here."""
    reason = f"{attempt.reference} settled and was given back outside of Batchpay"
    return step(
        payment,
        Event.SETTLE,
        State.SETTLED,
        attempt=replace(
            attempt,
            outcome="settled",
            processor_ref=sighting.processor_ref,
            history_ref=sighting.history_ref or attempt.history_ref,
            open_sends=0,
            finished_at=now,
        ),
        **_RELEASED,
        next_check_at=None,
        finished_at=now,
        review_reason=_also(payment, reason),
        finding=Finding(kind="outside_refund", detail=reason),
    )


def absent(payment: Payment, attempt: Attempt, *, as_of: datetime, now: datetime) -> Step:
    """Absence is final: the attempt never executed. The caller has checked the rule and that nothing changed."""
    final = replace(attempt, absence_final_at=now, outcome_code=attempt.outcome_code or "absent")
    return not_executed(payment, final, blame=Blame.NOTHING, retry_after=None, evidence_at=as_of, now=now)


def _observe(payment: Payment, attempt: Attempt, fact: str) -> Step:
    return step(payment, Event.OBSERVE, payment.state, attempt=attempt, detail={"fact": fact, "attempt": attempt.n})


def review(payment: Payment, attempt: Attempt, reason: str) -> Step | None:
    """Put the payment on the review list; None if it is there for this reason already."""
    if reason in (payment.review_reason or ""):
        return None
    return step(
        payment,
        Event.OBSERVE,
        payment.state,
        attempt=attempt,
        detail={"fact": reason},
        review_reason=_also(payment, reason),
        finding=Finding(kind="review", detail=reason),
    )


def _also(payment: Payment, reason: str) -> str:
    """The review's reasons with one more: none hides another, and each is there once."""
    known = payment.review_reason
    return reason if not known else known if reason in known else f"{known}; {reason}"


def money_delta(payment_before: State, payment_after: State, amount_minor: int) -> int:
    """How the money that we hold for an invoice changes in one step, in minor units."""
    return amount_minor * ((payment_after in TAKEN) - (payment_before in TAKEN))
