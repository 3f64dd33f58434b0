"""Payments: the report, the timeline, and what asking for a void did."""

from datetime import date
from typing import Annotated, Final, Literal
from uuid import UUID

from pydantic import AwareDatetime, ConfigDict, Field

from schemas.events import PaymentState
from schemas.http.base import Answer, Sent, Why
from schemas.http.invoices import Method

MOST_ROWS_OF_REPORT: Final = 1_000


class PaymentQuery(Sent):
    """A batch's report, from a query string."""

    model_config = ConfigDict(strict=False)

    cursor: Annotated[str, Field(max_length=2000)] | None = None
    limit: Annotated[int, Field(ge=1, le=MOST_ROWS_OF_REPORT)] = 100


class PaymentReason(Answer):
    code: str
    category: str | None
    message: str


class PaymentItem(Answer):
    """A row of the report."""

    id: UUID
    batch: UUID
    batch_number: str
    invoice: str
    invoice_number: str
    client: str
    client_name: str
    first_service_on: date | None
    last_service_on: date | None
    sessions: int
    method: Method
    number: str
    amount_minor: int
    currency: str
    processor: str
    state: PaymentState
    reason: PaymentReason | None
    processor_reference: str | None
    in_review: bool
    can_refund: bool
    cannot_refund: Why | None = Field(description="Null if it can be refunded now.")
    refund_reason: str | None = Field(description="In the words of who asked for its refund.")
    void_requested_at: AwareDatetime | None
    created_at: AwareDatetime
    finished_at: AwareDatetime | None


class PaymentPage(Answer):
    items: list[PaymentItem]
    next_cursor: str | None


class PaymentStep(Answer):
    at: AwareDatetime
    event: str
    from_state: str
    to_state: str
    actor: str


class PaymentAttempt(Answer):
    n: int
    kind: str
    reference: str
    amount_minor: int
    processor_reference: str | None
    outcome: str | None
    outcome_code: str | None
    first_sent_at: AwareDatetime
    finished_at: AwareDatetime | None


class PaymentDetail(Answer):
    payment: PaymentItem
    steps: list[PaymentStep]
    attempts: list[PaymentAttempt]


class PaymentVoid(Answer):
    """What asking for a void did. The processor's own answer shows in the report, later."""

    payment: UUID
    result: Literal[
        "canceled", "marked", "voiding", "already_asked", "too_late", "no_void", "refunding", "nothing_to_void"
    ]
    message: str


class VoidAnswer(Answer):
    """What asking did to each payment, and how many payments each result was reached for."""

    results: dict[str, int]
    payments: list[PaymentVoid]
