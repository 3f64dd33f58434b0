"""A payment and its attempt as read under the row lock, and the step that a decision takes from there.

Decisions (`claiming`, `charging`, `sightings`, `voiding`) are pure: a snapshot and evidence in, a `Step` out.
`shared.store.payments` writes steps; nothing else changes a payment. Snapshots are named tuples, because a copy with
changes is made at every step and costs a tenth of a dataclass's.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from shared.domain.payment import Event, State, check
from shared.domain.words import AttemptKind, ProcessorName

# What a payment gives up when its send is over: the claim and the card.
RELEASED: dict[str, Any] = {"claim_token": None, "lease_until": None, "on_wire": False}


class Payment(NamedTuple):
    """One invoice in one batch. The first block never changes after submit; amounts are minor units."""

    id: UUID
    batch_id: UUID
    practice_id: UUID
    invoice_id: UUID
    method_id: UUID
    processor: ProcessorName
    account: str
    payer_id: str
    token: str
    method_type: str
    amount_minor: int
    currency: str
    batch_number: int
    practice_external_id: str
    invoice_external_id: str

    state: State
    version: int
    due_at: datetime
    next_check_at: datetime | None
    claim_token: UUID | None
    lease_until: datetime | None
    on_wire: bool
    attempts: int
    current_attempt: UUID | None
    void_requested_at: datetime | None
    void_requested_by: str | None
    reason_code: str | None
    reason_category: str | None
    reason_raw_code: str | None
    review_reason: str | None
    # When it turned out to be a second payment of its invoice: it holds no invoice and can only be given back.
    surplus_at: datetime | None
    finished_at: datetime | None

    # Another live payment holds this payment's invoice.
    invoice_held: bool


class Attempt(NamedTuple):
    """One key and one frozen request. `open_sends` are sends whose answer is not known to be "not executed"."""

    id: UUID
    payment_id: UUID
    n: int
    kind: AttemptKind
    parent_id: UUID | None
    reference: str
    processor: ProcessorName
    account: str
    amount_minor: int
    request_text: str
    open_sends: int
    sends: int
    first_send_at: datetime
    last_send_at: datetime
    last_claimed_at: datetime
    lookups: int = 0
    outcome: str | None = None
    outcome_code: str | None = None
    outcome_detail: str | None = None
    processor_ref: str | None = None
    history_ref: str | None = None
    absence_final_at: datetime | None = None
    surplus_at: datetime | None = None
    finished_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    kind: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One legal transition, ready to be written: the payment after it and, where one changed, the attempt after it."""

    before: Payment
    after: Payment
    event: Event
    attempt: Attempt | None = None
    detail: dict[str, Any] | None = None
    finding: Finding | None = None

    @property
    def moved(self) -> bool:
        return self.before.state != self.after.state


def step(
    payment: Payment,
    event: Event,
    target: State,
    *,
    attempt: Attempt | None = None,
    detail: dict[str, Any] | None = None,
    finding: Finding | None = None,
    **changes: Any,
) -> Step:
    """Take `payment` to `target` with `changes`; raises `IllegalTransitionError` where the table does not allow it."""
    check(payment.state, event, target)
    after = payment._replace(state=target, version=payment.version + 1, **changes)
    return Step(before=payment, after=after, event=event, attempt=attempt, detail=detail, finding=finding)
