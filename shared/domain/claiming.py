"""May a queued payment be sent now? Decided under its row lock, immediately before the intent is committed."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from shared.domain.payment import Event, State
from shared.domain.reasons import Reason
from shared.domain.snapshot import Attempt, Payment, Step, step
from shared.domain.words import AttemptKind


class Recheck(NamedTuple):
    """What the claim reads again, because it may have changed since submit."""

    invoice_open: bool
    amount_matches: bool
    method_present: bool
    method_is_default: bool
    method_expired: bool
    practice_enrolled: bool
    processor_same: bool
    card_busy: bool
    void_requested_by: str | None
    held_until: datetime | None
    paused: bool

    @property
    def skip_reason(self) -> Reason | None:
        """The first reason why this charge would surprise somebody."""
        for holds, reason in (
            (self.practice_enrolled, Reason.PRACTICE_NOT_ENROLLED),
            (self.processor_same, Reason.PROCESSOR_CHANGED),
            (self.invoice_open, Reason.INVOICE_CLOSED),
            (self.amount_matches, Reason.AMOUNT_CHANGED),
            (self.method_present, Reason.METHOD_REMOVED),
            (self.method_is_default, Reason.METHOD_CHANGED),
            (not self.method_expired, Reason.METHOD_EXPIRED),
        ):
            if not holds:
                return reason
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAttempt:
    """What the claimer makes before it claims: its own token, the attempt's id and the frozen request."""

    id: UUID
    token: UUID
    reference: str
    request_text: str
    lease: timedelta


def cancel(payment: Payment, *, by: str, now: datetime) -> Step:
    """Take a queued payment out because a void was asked for."""
    return step(
        payment,
        Event.CANCEL,
        State.CANCELED,
        reason_code=Reason.VOID_REQUESTED.value,
        void_requested_at=payment.void_requested_at or now,
        void_requested_by=payment.void_requested_by or by,
        next_check_at=None,
        finished_at=now,
    )


def skip(payment: Payment, reason: Reason, *, now: datetime) -> Step:
    """Take a queued payment out because charging it would surprise somebody."""
    return step(payment, Event.SKIP, State.SKIPPED, reason_code=reason.value, next_check_at=None, finished_at=now)


def claim(payment: Payment, new: NewAttempt, *, now: datetime) -> Step:
    """Own the payment and record the intent to send its next attempt."""
    attempt = Attempt(
        id=new.id,
        payment_id=payment.id,
        n=payment.attempts + 1,
        kind=AttemptKind.CHARGE,
        parent_id=None,
        reference=new.reference,
        processor=payment.processor,
        account=payment.account,
        amount_minor=payment.amount_minor,
        request_text=new.request_text,
        open_sends=1,
        sends=1,
        first_send_at=now,
        last_send_at=now,
        last_claimed_at=now,
    )
    return step(
        payment,
        Event.CLAIM,
        State.SENDING,
        attempt=attempt,
        claim_token=new.token,
        lease_until=now + new.lease,
        next_check_at=now + new.lease,
        on_wire=True,
        attempts=attempt.n,
        current_attempt=attempt.id,
    )
