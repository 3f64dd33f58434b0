"""Evidence that money was taken: believed from anyone, at any time, for any attempt, and never dropped."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.domain import schedule
from shared.domain.payment import NEVER_CHARGED, TAKEN, Event, State
from shared.domain.reasons import Reason
from shared.domain.reviewing import also, review
from shared.domain.snapshot import RELEASED, Attempt, Finding, Payment, Step, step

OPEN = (State.SENDING, State.UNKNOWN)
_PAID = ("approved", "settled")
_NOTHING_TAKEN = (State.QUEUED, *NEVER_CHARGED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Money:
    """Evidence that the processor took the money of one attempt."""

    settled: bool
    processor_ref: str
    history_ref: str | None
    approval_code: str | None = None


def money_taken(payment: Payment, attempt: Attempt, money: Money, *, now: datetime) -> Step | None:
    """Accept that the processor has the money of `attempt`, whatever state the payment is in. Never dropped."""
    paid = attempt._replace(
        outcome="settled" if money.settled else "approved",
        processor_ref=money.processor_ref,
        history_ref=money.history_ref or attempt.history_ref,
        # What an earlier send was answered with is no approval's code.
        outcome_code=money.approval_code or (attempt.outcome_code if attempt.outcome in _PAID else None),
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
    if payment.state in (*OPEN, State.PROCESSING):
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
        **RELEASED,
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
    surplus_at = now if target is State.SURPLUS else None
    return step(
        payment,
        Event.EVIDENCE_PAID,
        target,
        attempt=paid._replace(surplus_at=surplus_at),
        detail={"was": payment.state.value},
        **RELEASED,
        current_attempt=paid.id,
        next_check_at=None if target is State.SETTLED else now + schedule.SETTLEMENT_CHECK,
        review_reason=also(payment, f"money was taken after the payment was {payment.state}"),
        surplus_at=surplus_at,
        finished_at=now,
    )


def _settled_after_void(payment: Payment, attempt: Attempt, paid: Attempt, *, now: datetime) -> Step | None:
    """A void was believed and the charge is settled all the same: a person must see it."""
    reason = f"{attempt.reference} is settled although its void was confirmed"
    finding = Finding(kind="settled_after_void", detail=reason)
    if payment.surplus_at or not payment.invoice_held:
        return step(
            payment,
            Event.SEEN_SETTLED,
            State.SETTLED,
            attempt=paid,
            next_check_at=None,
            review_reason=also(payment, reason),
            finding=finding,
        )
    if attempt.surplus_at is not None:
        return None
    # Another payment holds the invoice: this one cannot take it back.
    return step(
        payment,
        Event.OBSERVE,
        State.VOIDED,
        attempt=paid._replace(surplus_at=now),
        detail={"fact": reason},
        review_reason=also(payment, reason),
        finding=finding,
    )


def _older_attempt_paid(payment: Payment, attempt: Attempt, paid: Attempt, *, now: datetime) -> Step | None:
    if attempt.surplus_at is not None:
        return None
    return step(
        payment,
        Event.OBSERVE,
        payment.state,
        attempt=paid._replace(surplus_at=now),
        detail={"fact": "an older attempt took money", "attempt": attempt.n},
        review_reason=also(payment, f"attempt {attempt.n} took money although a newer one was made"),
        finding=Finding(kind="surplus_attempt", detail=f"{attempt.reference} took {attempt.amount_minor}"),
    )


def surplus_pays(payment: Payment, attempt: Attempt, *, now: datetime) -> Step | None:
    """An older attempt took money while a newer one was under way, and the newer one took none: the older one pays."""
    assert attempt.processor_ref
    money = Money(
        settled=attempt.outcome == "settled", processor_ref=attempt.processor_ref, history_ref=attempt.history_ref
    )
    return money_taken(payment, attempt._replace(surplus_at=None), money, now=now)


def processing(payment: Payment, attempt: Attempt, processor_ref: str, *, now: datetime) -> Step | None:
    """The processor accepted and will answer later. A look that began before the outcome was known tells nothing."""
    if attempt.outcome not in (None, "not_executed"):
        return None
    known = attempt._replace(outcome="processing", processor_ref=processor_ref, open_sends=0)
    if payment.current_attempt == attempt.id and payment.state in OPEN:
        return step(
            payment,
            Event.PROCESS,
            State.PROCESSING,
            attempt=known,
            **RELEASED,
            next_check_at=schedule.next_lookup(now, attempt.lookups),
        )
    return review(payment, known, "the processor works on an attempt that was given up")


def money_delta(before: Payment, after: Payment) -> int:
    """How the money that we hold for the invoice changes in one step, in minor units."""
    return after.amount_minor * (_pays_invoice(after) - _pays_invoice(before))


def _pays_invoice(payment: Payment) -> bool:
    return payment.state in TAKEN and payment.surplus_at is None
