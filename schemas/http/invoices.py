"""Open invoices: what can be asked for, and what is known of each."""

from datetime import date
from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field

from schemas.http.base import MOST_ROWS, Amounts, Answer, Count, JsonDate, Minor, Search, Sent, Text, Why

# A practice's largest evening run is a tenth of this; one submit of it takes seconds and some megabytes.
MOST_INVOICES: Final = 50_000


InvoiceId = Annotated[Text, Field(min_length=1, max_length=200)]


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
