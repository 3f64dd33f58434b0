"""Events: past tense, any receivers, published to the topic exchange `batchpay.events`.

Routing keys are the `type`: `payment.approved`, `batch.completed`, ... Every event is also routed by
`of-practice.<practice_id>`, and by `of-batch.<batch_id>` if it has a batch, so that a queue can be bound to just one.
Delivery is at least once and unordered: a receiver keeps the newest by `sequence` per subject. No event carries a
client's name, a session's description or the payment number that a person typed.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final, Literal, get_args
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

EVENTS_EXCHANGE = "batchpay.events"
UNROUTED_EXCHANGE = "batchpay.events.unrouted"

PaymentState = Literal[
    "queued",
    "sending",
    "unknown",
    "processing",
    "approved",
    "settled",
    "voiding",
    "refunding",
    "declined",
    "failed",
    "skipped",
    "canceled",
    "voided",
    "refunded",
    "surplus",
]
BatchStatus = Literal[
    "processing", "voiding", "completed", "completed_with_errors", "failed", "voided", "partially_voided"
]
# What `type` may be. A payment's is its new state, but for `sending`, which lasts moments and is not told.
EVENT_TYPES: Final = (
    *(f"payment.{state}" for state in get_args(PaymentState) if state != "sending"),
    *(f"payment.dispute_{step}" for step in ("opened", "won", "lost")),
    "invoice.paid",
    "invoice.reopened",
    "batch.progressed",
    *(f"batch.{status}" for status in get_args(BatchStatus) if status != "processing"),
    "batch.posted",
    "finding.opened",
    "request.accepted",
    "request.rejected",
)
AmountMinor = Annotated[int, Field(description="Integer minor units of `currency` (cents for USD).")]


class Message(BaseModel):
    """Base of every message: unknown fields are kept out, so that a typing error cannot pass as data."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class PaymentEvent(Message):
    """A payment took a step. `sequence` grows with every step of this payment."""

    schema_version: Literal[1] = 1
    event_id: str
    type: Annotated[str, Field(pattern=r"^payment\.[a-z_]+$")]
    occurred_at: AwareDatetime
    practice_id: str
    batch_id: UUID
    batch_number: str
    payment_id: UUID
    invoice_id: str
    sequence: int
    state: PaymentState
    amount_minor: AmountMinor
    currency: str
    reason_code: str | None = None
    reason_category: str | None = None


class InvoiceEvent(Message):
    """A payment of an invoice was taken (`invoice.paid`) or given back (`invoice.reopened`).

    `sequence` grows with every such change of this invoice; `amount_due_minor` is what is owed after it.
    """

    schema_version: Literal[1] = 1
    event_id: str
    type: Annotated[str, Field(pattern=r"^invoice\.(paid|reopened)$")]
    occurred_at: AwareDatetime
    practice_id: str
    invoice_id: str
    batch_id: UUID
    batch_number: str
    payment_id: UUID
    sequence: int
    amount_minor: AmountMinor
    amount_due_minor: AmountMinor
    currency: str


class BatchEvent(Message):
    """A batch's status or counts changed. Amounts are sums over its payments in that group."""

    schema_version: Literal[1] = 1
    event_id: str
    type: Annotated[str, Field(pattern=r"^batch\.[a-z_]+$")]
    occurred_at: AwareDatetime
    practice_id: str
    batch_id: UUID
    batch_number: str
    sequence: int
    status: BatchStatus
    posting: Literal["pending", "posted"]
    currency: str
    total: int
    total_minor: AmountMinor
    approved: int
    approved_minor: AmountMinor
    declined: int
    declined_minor: AmountMinor
    unfinished: int
    unfinished_minor: AmountMinor
    returned: int
    returned_minor: AmountMinor
    canceled: int
    canceled_minor: AmountMinor
    in_review: int


class FindingEvent(Message):
    """Something is out of order between us and the processor, or money is where none should be. `kind` is stable."""

    schema_version: Literal[1] = 1
    event_id: str
    type: Literal["finding.opened"]
    occurred_at: AwareDatetime
    practice_id: str
    payment_id: UUID | None = None
    batch_id: UUID | None = None
    kind: str
    detail: str
    suggested_action: str


class WebhookTest(Message):
    """Sent to one webhook when somebody asks for it, and published nowhere."""

    schema_version: Literal[1] = 1
    event_id: str
    type: Literal["webhook.test"] = "webhook.test"
    occurred_at: AwareDatetime
    practice_id: str


def subject_keys(event: Mapping[str, Any]) -> tuple[str, ...]:
    """The routing keys of whose event it is, beside the one that is its type."""
    subjects = (("of-practice", event.get("practice_id")), ("of-batch", event.get("batch_id")))
    return tuple(f"{word}.{subject}" for word, subject in subjects if subject)


def instant(value: datetime) -> str:
    """An aware time as ISO 8601 in UTC, as every message writes it."""
    return value.isoformat().replace("+00:00", "Z")
