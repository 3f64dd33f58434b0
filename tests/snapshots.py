"""Payments and attempts as the domain reads them, for tests without a database; keywords replace fields."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from shared.domain.answers import Seen, Sighting
from shared.domain.payment import State
from shared.domain.returning import NewReturn
from shared.domain.snapshot import Attempt, Payment
from shared.domain.words import AttemptKind, ProcessorName

# A Tuesday in New York, 10:00: far from every cut-off.
NOW = datetime(2026, 3, 17, 14, 0, tzinfo=UTC)
TOKEN = UUID(int=7)
LEASE = timedelta(seconds=100)
CHARGE = UUID(int=101)
OLDER = UUID(int=100)

OWNED = (State.SENDING,)
CHARGED = (State.APPROVED, State.SETTLED, State.VOIDING, State.REFUNDING, State.VOIDED, State.REFUNDED, State.SURPLUS)
OUTCOMES = {
    State.QUEUED: "not_executed",
    State.PROCESSING: "processing",
    State.APPROVED: "approved",
    State.SETTLED: "settled",
    State.VOIDING: "approved",
    State.REFUNDING: "settled",
    State.DECLINED: "declined",
    State.FAILED: "not_executed",
    State.SKIPPED: "not_executed",
    State.CANCELED: "not_executed",
    State.VOIDED: "approved",
    State.REFUNDED: "settled",
    State.SURPLUS: "settled",
}


def a_payment(state: State = State.QUEUED, **fields: Any) -> Payment:
    """A payment whose second attempt is the current one, as a sound database has it in this state."""
    owned = state is State.SENDING
    defaults: dict[str, Any] = {
        "id": UUID(int=1),
        "batch_id": UUID(int=2),
        "practice_id": UUID(int=3),
        "invoice_id": UUID(int=4),
        "method_id": UUID(int=5),
        "processor": ProcessorName.VANTAGE,
        "account": "account",
        "payer_id": "payer",
        "token": "card-token",
        "method_type": "card",
        "amount_minor": 5_000,
        "currency": "USD",
        "batch_number": 1001,
        "practice_external_id": "practice-1",
        "invoice_external_id": "invoice-1",
        "state": state,
        "version": 3,
        "due_at": NOW,
        "next_check_at": NOW,
        "claim_token": TOKEN if owned else None,
        "lease_until": NOW + LEASE if owned else None,
        "on_wire": owned,
        "attempts": 2,
        "current_attempt": CHARGE,
        "void_requested_at": None,
        "void_requested_by": None,
        "reason_code": None,
        "reason_category": None,
        "reason_raw_code": None,
        "review_reason": None,
        "surplus_at": None,
        "finished_at": None,
        "invoice_held": False,
    }
    return Payment(**defaults | fields)


def a_charge(payment: Payment | None = None, **fields: Any) -> Attempt:
    """The charge attempt of this payment, as a sound database has it beside the payment's state."""
    state = payment.state if payment else State.SENDING
    outcome = OUTCOMES.get(state)
    defaults: dict[str, Any] = {
        "id": CHARGE,
        "payment_id": UUID(int=1),
        "n": 2,
        "kind": AttemptKind.CHARGE,
        "parent_id": None,
        "reference": "test-1-2",
        "processor": ProcessorName.VANTAGE,
        "account": "account",
        "amount_minor": 5_000,
        "request_text": "{}",
        "open_sends": 0 if outcome else 1,
        "sends": 1,
        "first_send_at": NOW,
        "last_send_at": NOW,
        "last_claimed_at": NOW,
        "outcome": outcome,
        "processor_ref": "ref-2" if state in CHARGED else None,
        "finished_at": NOW if outcome else None,
    }
    return Attempt(**defaults | fields)


def an_older_charge(**fields: Any) -> Attempt:
    """The attempt before the current one: proven not executed."""
    given = {"id": OLDER, "n": 1, "reference": "test-1-1", "outcome": "not_executed", "open_sends": 0} | fields
    return a_charge(**given)


def a_void(**fields: Any) -> Attempt:
    """A sent void of the current charge."""
    given = {"id": UUID(int=102), "n": 3, "kind": AttemptKind.VOID, "parent_id": CHARGE, "reference": "test-1-3"}
    return a_charge(**given | fields)


def a_refund(**fields: Any) -> Attempt:
    """A sent refund of the current charge."""
    given = {"id": UUID(int=103), "n": 3, "kind": AttemptKind.REFUND, "parent_id": CHARGE, "reference": "test-1-3"}
    return a_charge(**given | fields)


def a_new_return(kind: AttemptKind) -> NewReturn:
    """The attempt that a worker is about to send."""
    return NewReturn(
        kind=kind,
        id=UUID(int=9),
        token=UUID(int=8),
        n=3,
        reference="test-1-3",
        request_text="{}",
        lease=LEASE,
    )


def a_sighting(seen: Seen) -> Sighting:
    """How the processor shows the current charge."""
    return Sighting(seen=seen, reference="test-1-2", processor_ref="ref-2", history_ref=None, amount_minor=5_000)
