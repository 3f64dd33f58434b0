"""Refunds: what asking did, and those that wait for a second person."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import AwareDatetime, Field

from schemas.http.base import Answer, Sent, Text


class PaymentRefund(Answer):
    """What asking for a refund did. The processor's own answer shows in the report, later."""

    payment: UUID
    result: Literal[
        "refunding",
        "already_asked",
        "not_settled",
        "disputed",
        "already_refunded",
        "nothing_to_refund",
        "needs_approval",
    ]
    message: str
    approval: UUID | None = Field(default=None, description="What waits for a second person, above the limit.")


class BatchRefund(Answer):
    """What asking did to each payment, and how many payments each result was reached for."""

    results: dict[str, int]
    payments: list[PaymentRefund]
    approval: UUID | None = Field(default=None, description="What waits for a second person, above the limit.")


class RefundRequest(Sent):
    """The body may be left out."""

    reason: Annotated[Text, Field(min_length=1, max_length=200)] | None = Field(
        default=None, description="For the practice's own records; the client and the processor do not see it."
    )


class WaitingRefund(Answer):
    """A refund above the practice's limit: nothing is sent to the processor until a second person approves it."""

    id: UUID
    batch: UUID
    batch_number: str
    payment: UUID | None = Field(description="Null where the refund of a whole batch was asked for.")
    status: Literal["waiting_for_approval", "approved", "sent_back", "changed", "expired"] = Field(
        description="`changed`: when it was to be approved, one of its payments could not be refunded any more."
    )
    requested_by: str
    requested_at: AwareDatetime
    expires_at: AwareDatetime
    currency: str
    count: int
    total_minor: int
    limit_minor: int
    before_minor: int | None = Field(
        description="What the batch had refunded without approval before: the limit counts it too. Null for who sees"
        " only own clients."
    )
    refund_reason: str | None
    decided_by: str | None
    decided_at: AwareDatetime | None
    reason: str | None


class WaitingRefunds(Answer):
    items: list[WaitingRefund]
