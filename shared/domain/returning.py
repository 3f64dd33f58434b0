"""What voids and refunds have in common: an attempt of its own for the charge, with its own claim. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, NamedTuple
from uuid import UUID

from shared.domain.finding_kinds import Kind
from shared.domain.payment import Event, State
from shared.domain.reviewing import also
from shared.domain.snapshot import Attempt, Finding, Payment, Step, step
from shared.domain.words import AttemptKind

RELEASED: dict[str, Any] = {"claim_token": None, "lease_until": None}


class _Way(NamedTuple):
    """One way to give money back, in the words of the transition table."""

    asked: State
    open: Event
    confirm: Event
    seen: Event
    done: State
    late: Kind


_WAYS: Mapping[AttemptKind, _Way] = MappingProxyType(
    {
        AttemptKind.VOID: _Way(
            State.VOIDING, Event.VOID_OPEN, Event.CONFIRM_VOID, Event.SEEN_VOIDED, State.VOIDED, Kind.LATE_VOID
        ),
        AttemptKind.REFUND: _Way(
            State.REFUNDING,
            Event.REFUND_OPEN,
            Event.CONFIRM_REFUND,
            Event.SEEN_REFUNDED,
            State.REFUNDED,
            Kind.LATE_REFUND,
        ),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewReturn:
    """What the claimer of a void or refund makes before it claims."""

    kind: AttemptKind
    id: UUID
    token: UUID
    n: int
    reference: str
    request_text: str
    lease: timedelta


def claim(payment: Payment, charge: Attempt, new: NewReturn, *, now: datetime) -> Step:
    """Own the payment and record the intent to send a first void or refund of `charge`."""
    attempt = Attempt(
        id=new.id,
        payment_id=payment.id,
        n=new.n,
        kind=new.kind,
        parent_id=charge.id,
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
    return _claimed(payment, attempt, token=new.token, lease=new.lease, now=now, attempts=new.n)


def claim_again(payment: Payment, attempt: Attempt, *, token: UUID, lease: timedelta, now: datetime) -> Step:
    """Own the payment to send the same request once more, where that cannot give the money back twice."""
    again = attempt._replace(
        open_sends=attempt.open_sends + 1, sends=attempt.sends + 1, last_send_at=now, last_claimed_at=now
    )
    return _claimed(payment, again, token=token, lease=lease, now=now, attempts=payment.attempts)


def _claimed(
    payment: Payment, attempt: Attempt, *, token: UUID, lease: timedelta, now: datetime, attempts: int
) -> Step:
    way = _WAYS[attempt.kind]
    return step(
        payment,
        way.open,
        way.asked,
        attempt=attempt,
        detail={"fact": f"{attempt.kind} sent", "attempt": attempt.n, "send": attempt.sends},
        claim_token=token,
        lease_until=now + lease,
        next_check_at=now + lease,
        attempts=attempts,
    )


def still_open(payment: Payment, attempt: Attempt, *, fact: str, look: datetime, ask: str | None = None) -> Step:
    """Not over: look at `look` how the charge stands. `ask` is what a person is asked to look at."""
    way = _WAYS[AttemptKind.VOID if payment.state is State.VOIDING else AttemptKind.REFUND]
    return step(
        payment,
        way.open,
        way.asked,
        attempt=attempt,
        detail={"fact": fact},
        **RELEASED,
        next_check_at=look,
        review_reason=also(payment, ask) if ask else payment.review_reason,
        finding=Finding(kind=Kind.REVIEW, detail=ask) if ask and ask not in (payment.review_reason or "") else None,
    )


def confirmed(payment: Payment, attempt: Attempt, *, now: datetime) -> Step:
    """The money is back. Of a surplus payment nothing is left to review."""
    way = _WAYS[attempt.kind]
    return step(
        payment,
        way.confirm,
        way.done,
        attempt=_confirmed(attempt, now),
        **RELEASED,
        next_check_at=None,
        review_reason=payment.review_reason if payment.surplus_at is None else None,
        finished_at=now,
    )


def confirmed_after_all(payment: Payment, attempt: Attempt, *, now: datetime) -> Step:
    """The attempt was given up and the charge left settled; now its confirmation arrives: the money is back."""
    way = _WAYS[attempt.kind]
    reason = f"{attempt.reference} was confirmed after it had been given up"
    return step(
        payment,
        way.seen,
        way.done,
        attempt=_confirmed(attempt, now),
        reason_code=None,
        review_reason=also(payment, reason),
        finding=Finding(kind=way.late, detail=reason),
    )


def _confirmed(attempt: Attempt, now: datetime) -> Attempt:
    return attempt._replace(outcome="confirmed", open_sends=0, finished_at=now)
