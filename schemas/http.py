"""The HTTP interface: what callers send and get. Amounts are integer minor units, times ISO 8601 in UTC."""

import re
from collections import Counter
from datetime import date
from typing import Annotated, Final, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from schemas.events import BatchStatus, PaymentState

# A practice's largest evening run is a tenth of this; one submit of it takes seconds and some megabytes.
MOST_INVOICES: Final = 50_000
MOST_ROWS: Final = 200
MOST_ROWS_OF_REPORT: Final = 1_000
MOST_DAYS: Final = 92
MOST_EVENT_TYPES: Final = 50
LONGEST_URL: Final = 2_000
_LONGEST_SEARCH: Final = 100
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")

Minor = Annotated[int, Field(ge=0, le=2**53 - 1, description="Integer minor units (cents for USD).")]
Count = Annotated[int, Field(ge=0, le=2**31 - 1)]


def _no_null_byte(text: str) -> str:
    if "\0" in text:
        raise ValueError("text holds no null byte")
    return text


def _each_once(invoices: list[str]) -> list[str]:
    if len(set(invoices)) != len(invoices):
        twice, _ = Counter(invoices).most_common(1)[0]
        raise ValueError(f"the invoice {twice!r} is listed twice")
    return invoices


def _blank_is_none(number: object) -> object:
    return (number.strip() or None) if isinstance(number, str) else number


def _is_day(value: object) -> object:
    """Pydantic would also take seconds since 1970, and a moment at midnight."""
    if isinstance(value, str) and not _DAY.fullmatch(value):
        raise ValueError("write a day as YYYY-MM-DD")
    return value


Text = Annotated[str, AfterValidator(_no_null_byte)]
InvoiceId = Annotated[Text, Field(min_length=1, max_length=200)]
Search = Annotated[Text, Field(max_length=_LONGEST_SEARCH)]
# JSON has no dates and no UUIDs: a text is read as one although the model is strict.
JsonDate = Annotated[date, Field(strict=False), BeforeValidator(_is_day, json_schema_input_type=date)]
JsonUuid = Annotated[UUID, Field(strict=False)]
PaymentNumber = Annotated[
    Annotated[str, Field(pattern=r"^[A-Za-z0-9](?:[A-Za-z0-9 -]{0,28}[A-Za-z0-9-])?$", max_length=30)] | None,
    BeforeValidator(_blank_is_none),
    Field(description="Letters, digits, dash, space. Blank: every payment gets its own number."),
]


class Sent(BaseModel):
    """Base of what callers send: exact types, no unknown fields."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Answer(BaseModel):
    """Base of what callers get."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class InvoiceFilter(Sent):
    """Open invoices that fit all of this. An invoice fits a range of dates if any of its sessions does."""

    service_from: JsonDate | None = None
    service_to: JsonDate | None = None
    client: Search | None = None
    invoice: Search | None = None
    clinician: Search | None = None
    card: Search | None = Field(default=None, description="Part of brand and last four digits: `visa 42`.")
    amount_from_minor: Minor | None = None
    amount_to_minor: Minor | None = None
    sessions_from: Count | None = None
    sessions_to: Count | None = None

    def wanted(self) -> dict[str, str | int]:
        """The keys of the SQL function `invoices_matching`."""
        return self.model_dump(mode="json", include=set(InvoiceFilter.model_fields), exclude_none=True)


class InvoiceQuery(InvoiceFilter):
    """The wizard's list, from a query string."""

    model_config = ConfigDict(strict=False)

    show: Literal["all", "ready", "blocked"] = "all"
    sort: Literal["client", "clinician", "invoice", "service_date", "sessions", "card", "amount"] = "client"
    order: Literal["asc", "desc"] = "asc"
    cursor: Annotated[str, Field(max_length=2000)] | None = None
    limit: Annotated[int, Field(ge=1, le=MOST_ROWS)] = 25


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


class PaymentQuery(Sent):
    """A batch's report, from a query string."""

    model_config = ConfigDict(strict=False)

    cursor: Annotated[str, Field(max_length=2000)] | None = None
    limit: Annotated[int, Field(ge=1, le=MOST_ROWS_OF_REPORT)] = 100


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


class Fault(Answer):
    """One thing that is wrong, and what to do about it."""

    field: str
    value: str | int | bool | None = None
    code: str
    message: str
    fix: str


class Problem(Answer):
    """RFC 9457. `code` is stable; `errors` names every fault at once."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    errors: list[Fault] = []


class RefusedRow(Answer):
    """A pushed row that did not land."""

    row: int = Field(description="The line of NDJSON and CSV, the place in an array; from 1.")
    field: str = Field(description="Empty where the row as a whole is wrong.")
    value: str
    reason: str
    fix: str


class PushResult(Answer):
    """What became of a push. The refused rows are left out, all others landed."""

    rows: int
    added: int
    changed: int
    unchanged: int
    refused: int
    errors: list[RefusedRow] = Field(description="What is wrong with the refused rows; the first thousand faults.")


class Warn(Answer):
    """Nothing is wrong; a person should know."""

    code: str
    message: str


class Why(Answer):
    """A reason why an invoice cannot be charged."""

    code: str
    message: str
    fix: str


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


class Amounts(Answer):
    count: int
    amount_minor: int


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


class Money(Answer):
    """Sums over the steps of payments: net is gross less fees, voids, refunds and disputes."""

    charges: int
    gross_minor: int
    fees_minor: int = Field(description="What the processor kept, as its books say.")
    fees_unknown: int = Field(description="Charges whose fee is not in the books yet; it counts as nothing.")
    net_minor: int
    pending_minor: int = Field(description="Charged, not settled.")
    posted_minor: int = Field(description="Charged, settled, not given back.")
    voided_minor: int
    refunded_minor: int
    disputed_minor: int = Field(description="Taken back by clients' banks, unless the practice won.")


class MoneyOfDay(Money):
    day: date


class MoneyOfDays(Answer):
    total: Money
    days: list[MoneyOfDay] = Field(description="Days on which nothing moved are left out.")


class MoneyQuery(Sent):
    """Days by the practice's calendar, both included."""

    model_config = ConfigDict(strict=False, populate_by_name=True)

    from_: JsonDate = Field(alias="from")
    to: JsonDate


class BatchPage(Answer):
    items: list[BatchItem]
    next_cursor: str | None


class Method(Answer):
    type: str
    brand: str
    last4: str
    exp_month: int | None
    exp_year: int | None


class InvoiceItem(Answer):
    """An invoice with an amount due. `reasons` is empty if it can be charged now."""

    invoice: str
    number: str
    client: str
    client_name: str
    clinician_name: str | None
    currency: str
    total_minor: int
    amount_due_minor: int
    issued_on: date
    first_service_on: date | None
    last_service_on: date | None
    sessions: int
    sessions_outside_range: int
    reopened: bool = Field(description="By a void or refund: only charged again if selected by hand.")
    method: Method | None
    reasons: list[Why]


class MatchingInvoices(Answer):
    """How many invoices the filter leaves, on all pages."""

    all: Amounts
    ready: Amounts
    ready_reopened: int


class InvoicePage(Answer):
    items: list[InvoiceItem]
    matching: MatchingInvoices
    next_cursor: str | None


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
    refund_reason: str | None
    decided_by: str | None
    decided_at: AwareDatetime | None
    reason: str | None


class WaitingRefunds(Answer):
    items: list[WaitingRefund]


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


EventType = Annotated[
    str,
    Field(
        pattern=r"^(batch|finding|invoice|payment|request)\.(\*|[a-z_]+)$",
        max_length=60,
        description="`batch.completed`, or `batch.*` for all of a kind.",
    ),
]


class WebhookQuery(Sent):
    """The practice's webhooks, from a query string."""

    model_config = ConfigDict(strict=False)

    cursor: Annotated[str, Field(max_length=2000)] | None = None
    limit: Annotated[int, Field(ge=1, le=MOST_ROWS)] = 25


class DeliveryQuery(Sent):
    """What one webhook was sent, from a query string."""

    model_config = ConfigDict(strict=False)

    cursor: Annotated[str, Field(max_length=2000)] | None = None
    limit: Annotated[int, Field(ge=1, le=MOST_ROWS)] = 25


class WebhookRequest(Sent):
    """Where events are to be sent. `types` left out: all of them."""

    url: Annotated[Text, Field(min_length=1, max_length=LONGEST_URL, description="https://, on the internet.")]
    types: Annotated[list[EventType], Field(min_length=1, max_length=MOST_EVENT_TYPES)] | None = None


class RotateRequest(Sent):
    """For how long the old secret is valid beside the new one; 0 if somebody else knows it."""

    old_valid_hours: Annotated[int, Field(ge=0, le=24)] = 24


class Webhook(Answer):
    """Who is told of the practice's events."""

    id: UUID
    url: str
    types: list[str] | None = Field(description="Null: all of them.")
    state: Literal["active", "disabled"]
    failures: int = Field(description="Requests that failed since the last one that did not.")
    failing_since: AwareDatetime | None
    created_at: AwareDatetime
    created_by: str
    disabled_at: AwareDatetime | None
    disabled_by: str | None
    disabled_why: Literal["failing", "gone", "asked"] | None = Field(
        description="`failing`: nothing arrived for five days. `gone`: the receiver answered 410."
    )


class NewWebhook(Webhook):
    secret: str = Field(description="Signs every request. It is shown only here.")


class WebhookPage(Answer):
    items: list[Webhook]
    next_cursor: str | None


class RotatedSecret(Answer):
    secret: str = Field(description="Signs every request from now on. It is shown only here.")
    old_valid_until: AwareDatetime | None = Field(description="Until then the secrets before it sign as well.")


class SentTest(Answer):
    """A test event is on its way; see the deliveries for what became of it."""

    event_id: str


class WebhookDelivery(Answer):
    """One event on its way to one webhook."""

    event_id: str
    type: str
    state: Literal["waiting", "delivered", "failed", "held"] = Field(
        description="`failed`: given up after the last try. `held`: not sent, as the webhook was disabled."
    )
    attempts: int
    created_at: AwareDatetime
    next_try_at: AwareDatetime | None
    last_try_at: AwareDatetime | None
    last_status: int | None = Field(description="The HTTP status that the receiver answered.")
    last_failure: str | None
    done_at: AwareDatetime | None


class WebhookDeliveryPage(Answer):
    items: list[WebhookDelivery]
    next_cursor: str | None
