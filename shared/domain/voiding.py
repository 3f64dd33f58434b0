"""Void: what asking does to a payment in each state, and what the void's answers and looks do. Pure."""

from datetime import datetime
from enum import StrEnum
from typing import Any, assert_never
from uuid import UUID

from shared.domain import claiming, returning, schedule
from shared.domain.answers import NotExecuted, Seen, Sighting, Unknown, VoidAnswer, VoidConfirmed, VoidRefused
from shared.domain.payment import Event, State
from shared.domain.reasons import Reason
from shared.domain.returning import RELEASED
from shared.domain.reviewing import also
from shared.domain.snapshot import Attempt, Finding, Payment, Step, step
from shared.domain.words import ProcessorName


class VoidResult(StrEnum):
    """What asking for a void did to one payment."""

    CANCELED = "canceled"  # taken out before it was sent
    MARKED = "marked"  # on its way: voided as soon as the outcome is known
    VOIDING = "voiding"  # asked of the processor
    ALREADY_ASKED = "already_asked"
    TOO_LATE = "too_late"  # settled, or the processor has no void: refund instead
    NOTHING_TO_VOID = "nothing_to_void"  # no money was taken, or it is back already


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
        case State.APPROVED | State.SURPLUS | State.SETTLED | State.PROCESSING | State.REFUNDING:
            return VoidResult.TOO_LATE, None
        case State.DECLINED | State.FAILED | State.SKIPPED | State.CANCELED | State.VOIDED | State.REFUNDED:
            return VoidResult.NOTHING_TO_VOID, None
        case _:
            assert_never(payment.state)


def answered(payment: Payment, void: Attempt, answer: VoidAnswer, *, token: UUID, now: datetime) -> Step | None:
    """The step that the processor's answer to a void takes. A refusal moves nothing: the charge is looked up."""
    if payment.state is State.SETTLED and isinstance(answer, VoidConfirmed):
        return returning.confirmed_after_all(payment, void, now=now)
    if payment.state is not State.VOIDING:
        return None
    mine = payment.claim_token == token
    look = schedule.next_lookup(now, void.lookups)
    match answer:
        case VoidConfirmed():
            return returning.confirmed(payment, void, now=now)
        case VoidRefused() | NotExecuted() | Unknown() if not mine:
            return None
        case VoidRefused() | NotExecuted():
            left = void._replace(
                open_sends=void.open_sends - 1,
                lookups=void.lookups + 1,
                outcome_code=answer.code,
                outcome_detail=answer.detail,
            )
            return returning.still_open(payment, left, fact=f"void refused: {answer.code}", look=look)
        case Unknown():
            left = void._replace(lookups=void.lookups + 1, outcome_code=answer.code, outcome_detail=answer.detail)
            return returning.still_open(payment, left, fact=f"void unknown: {answer.code}", look=look)
        case _:
            assert_never(answer)


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
