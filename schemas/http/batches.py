"""Batches: preview, submit, approval and history."""

from collections import Counter
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, ConfigDict, Field, model_validator

from schemas.events import BatchStatus
from schemas.http.base import MOST_ROWS, Amounts, Answer, JsonUuid, Sent, Text, Warn, Why
from schemas.http.invoices import MOST_INVOICES, InvoiceFilter, InvoiceId


def _each_once(invoices: list[str]) -> list[str]:
    if len(set(invoices)) != len(invoices):
        twice, _ = Counter(invoices).most_common(1)[0]
        raise ValueError(f"the invoice {twice!r} is listed twice")
    return invoices


def _blank_is_none(number: object) -> object:
    return (number.strip() or None) if isinstance(number, str) else number


PaymentNumber = Annotated[
    Annotated[str, Field(pattern=r"^[A-Za-z0-9](?:[A-Za-z0-9 -]{0,28}[A-Za-z0-9-])?$", max_length=30)] | None,
    BeforeValidator(_blank_is_none),
    Field(description="Letters, digits, dash, space. Blank: every payment gets its own number."),
]


class BatchQuery(Sent):
    """The history, from a query string."""

    model_config = ConfigDict(strict=False)

    show: Literal["pending", "posted", "all"] = "all"
    sort: Literal["submitted", "number", "submitted_by", "status", "total", "approved", "declined", "unfinished"] = (
        "submitted"
    )
    order: Literal["asc", "desc"] = "desc"
    cursor: Annotated[str, Field(max_length=2000)] | None = None
    limit: Annotated[int, Field(ge=1, le=MOST_ROWS)] = 25


class Selection(Sent):
    """Invoices by upstream's ids, or all ready ones that match a filter or that a batch failed to charge."""

    invoices: (
        Annotated[list[InvoiceId], Field(min_length=1, max_length=MOST_INVOICES), AfterValidator(_each_once)] | None
    ) = None
    matching: InvoiceFilter | None = Field(
        default=None,
        description="All that match and can be charged; invoices reopened by a void or refund are left out.",
    )
    retry_of: JsonUuid | None = Field(
        default=None,
        description="All of this batch that can be charged now after a soft decline, or after a charge that was not"
        " executed. Never what a bank refused for good.",
    )
    payment_number: PaymentNumber = None

    @model_validator(mode="after")
    def _one_of_all(self) -> Self:
        if [self.invoices, self.matching, self.retry_of].count(None) != 2:
            raise ValueError("give one of `invoices`, `matching` and `retry_of`")
        return self


class PreviewRequest(Selection):
    pass


class ControlTotals(Sent):
    """What the user saw and confirmed."""

    count: Annotated[int, Field(ge=1, le=MOST_INVOICES)]
    total_minor: Annotated[int, Field(ge=1, le=2**53 - 1)]


class SubmitRequest(Selection):
    control: ControlTotals


class RetryRequest(Sent):
    """What the user saw in a preview with `retry_of`, and confirmed."""

    control: ControlTotals
    payment_number: PaymentNumber = None


class BlockedInvoice(Answer):
    invoice: str
    number: str | None
    reasons: list[Why]


class Preview(Answer):
    """What a submit of this selection would do. Send `control` back with it."""

    selected: int
    control: ControlTotals | None = Field(description="Null if nothing of the selection can be charged.")
    currency: str
    processor: str
    next_payment_number: str
    blocked: list[BlockedInvoice]
    warnings: list[Warn]


class SubmittedBatch(Answer):
    """The batch that was submitted; the same answer for the same Idempotency-Key."""

    id: UUID
    number: str
    submitted_at: AwareDatetime
    submitted_by: str
    processor: str
    currency: str
    count: int
    total_minor: int
    payment_number: str | None
    first_payment_number: str | None
    last_payment_number: str | None
    warnings: list[Warn]


class WaitingBatch(Answer):
    """A batch above the practice's ceiling: nothing of it is charged until a second person approves it."""

    id: UUID
    number: str
    status: Literal["waiting_for_approval", "approved", "sent_back", "changed", "expired"] = Field(
        description="`changed`: when it was to be approved, the selection was not what had been confirmed any more."
    )
    requested_by: str
    requested_at: AwareDatetime
    expires_at: AwareDatetime
    currency: str
    count: int
    total_minor: int
    ceiling_minor: int
    decided_by: str | None
    decided_at: AwareDatetime | None
    reason: str | None


class WaitingBatches(Answer):
    items: list[WaitingBatch]


class ApproveRequest(Sent):
    """What the second person saw."""

    control: ControlTotals


class SendBackRequest(Sent):
    reason: Annotated[Text, Field(min_length=1, max_length=200)]


class BatchItem(Answer):
    """A line of the history. Amounts of a group are sums over its payments now."""

    id: UUID
    number: str
    status: BatchStatus
    posting: Literal["pending", "posted"]
    processor: str
    currency: str
    payment_number: str | None
    first_payment_number: str | None
    last_payment_number: str | None
    submitted_by: str
    submitted_at: AwareDatetime
    approved_by: str | None
    retry_of: UUID | None = Field(description="The batch whose declines this one tries again.")
    total: Amounts
    approved: Amounts
    declined: Amounts = Field(description="Declined, skipped and failed.")
    unfinished: Amounts
    returned: Amounts = Field(description="Voided and refunded.")
    canceled: Amounts
    in_review: int
    void_requested_at: AwareDatetime | None
    finished_at: AwareDatetime | None
    posted_at: AwareDatetime | None
    own_rows_only: bool = Field(description="True where payments of other clinicians' clients are not counted.")


class BatchPage(Answer):
    items: list[BatchItem]
    next_cursor: str | None
