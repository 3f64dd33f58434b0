"""Void: what asking does to a payment in each state, and what the void's answers and looks do. Pure."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, assert_never
from uuid import UUID

from shared.domain import claiming, returning, schedule
from shared.domain.answers import NotExecuted, Seen, Sighting, Unknown, VoidAnswer, VoidConfirmed, VoidRefused
from shared.domain.eligibility import Words
from shared.domain.payment import Event, State
from shared.domain.reasons import Reason
from shared.domain.returning import RELEASED
from shared.domain.reviewing import also, observe, review
from shared.domain.snapshot import Attempt, Finding, Payment, Step, step
from shared.domain.words import ProcessorName


class VoidResult(StrEnum):
    """What asking for a void did to one payment."""

    CANCELED = "canceled"  # taken out before it was sent
    MARKED = "marked"  # on its way: voided as soon as the outcome is known
    VOIDING = "voiding"  # asked of the processor
    ALREADY_ASKED = "already_asked"
    TOO_LATE = "too_late"  # settled: refund instead
    NO_VOID = "no_void"  # the processor has none: refund instead
    REFUNDING = "refunding"  # a refund is asked for already
    NOTHING_TO_VOID = "nothing_to_void"  # no money was taken, or it is back already


_WORDS: Mapping[VoidResult, Words] = MappingProxyType(
    {
        VoidResult.CANCELED: Words("It was taken out before it was sent.", "There is nothing to do."),
        VoidResult.MARKED: Words("The charge is on its way.", "It is voided as soon as its outcome is known."),
        VoidResult.VOIDING: Words("The void is asked for.", "Wait for the processor's answer."),
        VoidResult.ALREADY_ASKED: Words("The void is asked for already.", "Wait for the processor's answer."),
        VoidResult.TOO_LATE: Words("Too late: the charge is settled.", "Refund it instead."),
        VoidResult.NO_VOID: Words("Stripe takes the money at once: there is no void.", "Refund it instead."),
        VoidResult.REFUNDING: Words("Too late: its refund is asked for already.", "Wait for the processor's answer."),
        VoidResult.NOTHING_TO_VOID: Words("No money of this payment is kept.", "There is nothing to do."),
    }
)

# What a void of a whole batch reaches. Asking one by one decides for each payment again, under its lock.
REACHED: Final = (State.QUEUED, State.SENDING, State.UNKNOWN, State.APPROVED, State.SURPLUS)


def words(result: VoidResult) -> Words:
    """What asking did, and what a person can do now."""
    return _WORDS[result]


def ask(payment: Payment, *, by: str, now: datetime) -> tuple[VoidResult, Step | None]:
    """Ask for a void of one payment, under its row lock."""
    marks: dict[str, Any] = {"void_requested_at": now, "void_requested_by": by}
    match payment.state:
        case State.QUEUED:
            return VoidResult.CANCELED, claiming.cancel(payment, by=by, now=now)
        case State.SENDING | State.UNKNOWN if payment.void_requested_at:
            return VoidResult.ALREADY_ASKED, None
        case State.SENDING | State.UNKNOWN:
            return VoidResult.MARKED, step(payment, Event.MARK_VOID, payment.state, **marks)
        case State.APPROVED | State.SURPLUS if payment.processor is ProcessorName.VANTAGE:
            later = now + schedule.HINT_AGAIN
            return VoidResult.VOIDING, step(payment, Event.REQUEST_VOID, State.VOIDING, **marks, next_check_at=later)
        case State.VOIDING:
            return VoidResult.ALREADY_ASKED, None
        case State.APPROVED | State.SURPLUS | State.SETTLED | State.PROCESSING:
            has_void = payment.processor is ProcessorName.VANTAGE
            return VoidResult.TOO_LATE if has_void else VoidResult.NO_VOID, None
        case State.REFUNDING:
            return VoidResult.REFUNDING, None
        case State.DECLINED | State.FAILED | State.SKIPPED | State.CANCELED | State.VOIDED | State.REFUNDED:
            return VoidResult.NOTHING_TO_VOID, None
        case _:
            assert_never(payment.state)


def answered(payment: Payment, void: Attempt, answer: VoidAnswer, *, token: UUID, now: datetime) -> Step | None:
    """The step that the processor's answer to a void takes. A refusal moves nothing: the charge is looked up."""
    if isinstance(answer, VoidConfirmed):
        return _confirmed(payment, void, now=now)
    if payment.state is not State.VOIDING or payment.claim_token != token:
        return observe(payment, void, f"late answer to a void: {answer.code}")
    left = void._replace(lookups=void.lookups + 1, outcome_code=answer.code, outcome_detail=answer.detail)
    match answer:
        case VoidRefused() | NotExecuted():
            left = left._replace(open_sends=void.open_sends - 1)
            return _still_open(payment, void, left, fact=f"void refused: {answer.code}", now=now)
        case Unknown():
            return _still_open(payment, void, left, fact=f"void unknown: {answer.code}", now=now)
        case _:
            assert_never(answer)


def _confirmed(payment: Payment, void: Attempt, *, now: datetime) -> Step | None:
    if payment.state is State.VOIDING:
        return returning.confirmed(payment, void, now=now)
    if payment.state is State.SETTLED:
        return returning.confirmed_after_all(payment, void, now=now)
    if void.outcome == "confirmed":
        return None
    return review(payment, void, f"{void.reference} was confirmed too: the client may have got the money back twice")


def _still_open(payment: Payment, void: Attempt, left: Attempt, *, fact: str, now: datetime) -> Step:
    """Look and send again later. A person is asked when that should have helped long ago."""
    helpless = now - void.first_send_at >= schedule.UNKNOWN_LONGEST
    ask = f"the void {void.reference} comes to no end" if helpless else None
    return returning.still_open(payment, left, fact=fact, look=schedule.next_lookup(now, void.lookups), ask=ask)


def seen(payment: Payment, void: Attempt, sighting: Sighting, *, now: datetime) -> Step | None:
    """How the charge that is being voided stands at the processor now."""
    if payment.state is not State.VOIDING:
        return None
    match sighting.seen:
        case Seen.VOIDED:
            return returning.confirmed(payment, void, now=now)
        case Seen.SETTLED:
            return step(
                payment,
                Event.TOO_LATE,
                State.SETTLED,
                attempt=void._replace(outcome="refused", open_sends=0, finished_at=now),
                **RELEASED,
                next_check_at=None,
                reason_code=Reason.TOO_LATE_TO_VOID.value,
            )
        case Seen.REFUNDED:
            # Only what is settled can be refunded, so the void is too late and can never succeed.
            reason = f"{sighting.reference} was refunded outside of Batchpay while its void was asked for"
            return step(
                payment,
                Event.TOO_LATE,
                State.SETTLED,
                attempt=void._replace(outcome="refused", open_sends=0, finished_at=now),
                **RELEASED,
                next_check_at=None,
                reason_code=Reason.TOO_LATE_TO_VOID.value,
                review_reason=also(payment, reason),
                finding=Finding(kind="outside_refund", detail=reason),
            )
        case Seen.APPROVED | Seen.PROCESSING | Seen.DECLINED | Seen.OTHER:
            # Neither voided nor settled: between cut-off and settlement neither a void nor a refund works.
            return None
        case _:
            assert_never(sighting.seen)
