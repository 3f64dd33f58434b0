"""What the processor's answer to one send does to a charge. Pure; every path ends in the transition table.

Two kinds of evidence (protocol, section 2). Money taken is believed from anyone (`taken`). "No money" is believed only
from the owner of the claim, or from a look that nothing has overtaken.
"""

from datetime import datetime, timedelta
from typing import assert_never
from uuid import UUID

from shared.domain import schedule
from shared.domain.answers import (
    Approved,
    Blame,
    ChargeAnswer,
    Declined,
    NotExecuted,
    Processing,
    Settled,
    Unknown,
)
from shared.domain.declines import Decline
from shared.domain.payment import Event, State
from shared.domain.reasons import Reason
from shared.domain.reviewing import also, observe
from shared.domain.settlement_day import settlement_day
from shared.domain.snapshot import RELEASED, Attempt, Payment, Step, step
from shared.domain.taken import OPEN, Money, money_taken, processing


def answered(payment: Payment, attempt: Attempt, answer: ChargeAnswer, *, token: UUID, now: datetime) -> Step | None:
    """The step that the processor's answer to one send takes; None where it tells nothing new."""
    mine = payment.claim_token == token and payment.current_attempt == attempt.id
    match answer:
        case Approved():
            money = Money(
                settled=False,
                processor_ref=answer.processor_ref,
                history_ref=answer.history_ref,
                approval_code=answer.approval_code,
            )
            return money_taken(payment, attempt, money, now=now)
        case Settled():
            money = Money(settled=True, processor_ref=answer.processor_ref, history_ref=answer.history_ref)
            return money_taken(payment, attempt, money, now=now)
        case Processing():
            return processing(payment, attempt, answer.processor_ref, now=now)
        case Declined() | NotExecuted() | Unknown() if not mine:
            return observe(payment, attempt, f"late answer: {_words(answer)}")
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


def declined(
    payment: Payment, attempt: Attempt, decline: Decline, processor_ref: str | None, *, now: datetime
) -> Step | None:
    """A definite refusal under this key. The caller has checked that it may believe it."""
    if payment.state not in (*OPEN, State.PROCESSING):
        return observe(payment, attempt, f"late answer: declined {decline.raw_code}")
    return step(
        payment,
        Event.DECLINE,
        State.DECLINED,
        attempt=attempt._replace(
            outcome="declined",
            outcome_code=decline.raw_code,
            processor_ref=processor_ref,
            open_sends=0,
            finished_at=now,
        ),
        **RELEASED,
        next_check_at=None,
        reason_code=decline.code.value,
        reason_category=decline.category.value,
        reason_raw_code=decline.raw_code,
        finished_at=now,
    )


def refused_send(payment: Payment, attempt: Attempt, answer: NotExecuted, *, now: datetime) -> Step:
    """One send certainly did not execute. The attempt is over only when no other send of it is open."""
    left = attempt._replace(open_sends=attempt.open_sends - 1, outcome_code=answer.code, outcome_detail=answer.detail)
    if left.open_sends > 0:
        return _to_unknown(payment, left, review=payment.review_reason, now=now)
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
    over = attempt._replace(outcome="not_executed", finished_at=now)
    if payment.void_requested_at:
        return _ended(payment, over, State.CANCELED, Reason.VOID_REQUESTED, now=now)
    pause = min(retry_after or schedule.RETRY_PAUSES[0], schedule.RETRY_LONGEST)
    pause = max(pause, schedule.retry_pause(payment.attempts) or pause)
    same_day = settlement_day(attempt.last_send_at) == settlement_day(evidence_at)
    match blame:
        # Nothing is sent again by itself while a person has to look at what an earlier attempt did.
        case Blame.NOTHING | Blame.MERCHANT if (
            schedule.retry_pause(payment.attempts) and same_day and not payment.review_reason
        ):
            due = now + (schedule.MERCHANT_HOLD if blame is Blame.MERCHANT else pause)
            return step(
                payment,
                Event.NOT_EXECUTED,
                State.QUEUED,
                attempt=over,
                **RELEASED,
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
        **RELEASED,
        next_check_at=None,
        reason_code=reason.value,
        reason_raw_code=over.outcome_code,
        review_reason=also(payment, review) if review else payment.review_reason,
        finished_at=now,
    )


def lost_track(payment: Payment, attempt: Attempt, answer: Unknown, *, now: datetime) -> Step:
    """The owner got no usable answer. The card stays taken until the request can no longer be on the wire."""
    seen = attempt._replace(outcome_code=answer.code, outcome_detail=answer.detail)
    review = also(payment, f"our request was refused: {answer.code}") if answer.review else payment.review_reason
    return _to_unknown(payment, seen, review=review, now=now)


def _to_unknown(payment: Payment, attempt: Attempt, *, review: str | None, now: datetime) -> Step:
    return step(
        payment,
        Event.OBSERVE if payment.state is State.UNKNOWN else Event.LOSE_TRACK,
        State.UNKNOWN,
        attempt=attempt,
        # The owner has spoken: without its token its answer, recorded a second time, cannot count a second time.
        claim_token=None,
        next_check_at=schedule.next_lookup(now, attempt.lookups),
        review_reason=review,
    )


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
    again = attempt._replace(
        open_sends=attempt.open_sends + 1, sends=attempt.sends + 1, last_send_at=now, last_claimed_at=now
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
