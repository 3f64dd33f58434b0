"""The rows that an upstream product pushes, checked one by one. What a row refers to is checked in the database."""

import re
from datetime import date
from typing import Annotated, ClassVar, Final, Literal, Self
from zoneinfo import available_timezones

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticKnownError

from shared.domain import money

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


def _plain(text: str) -> str:
    if _CONTROL.search(text):
        raise ValueError("text holds no control characters")
    return text


def _currency(code: str) -> str:
    if not money.known(code):
        raise ValueError("this is no currency of ISO 4217")
    return code


def _timezone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError("this is no time zone of the IANA database")
    return name


def _empty_is_none(text: object) -> object:
    return None if text == "" else text


def _day_or_none(text: object) -> object:
    """The day that a text names; what names none is left to the field's own check.

    Where JSON is checked strictly, a text that a function has looked at is no longer taken for a date.
    """
    if not isinstance(text, str):
        return text
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        return text


def _minor(amount: object) -> object:
    """Pydantic takes `25.00` for 25, which would charge 25 cents where somebody meant 25 dollars."""
    if isinstance(amount, str) and "." in amount:
        raise PydanticKnownError("int_parsing")
    return amount


Name = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_plain)]
Currency = Annotated[str, AfterValidator(_currency)]
Minor = Annotated[int, BeforeValidator(_minor), Field(ge=0, le=2**53 - 1)]
# Above it a second person decides. Nobody loses a limit by a push that does not know of it.
Limit = Annotated[
    Minor | None,
    BeforeValidator(_empty_is_none),
    Field(description="In minor units. Left out or empty: it stays as it is; 0: there is none."),
]
Processor = Literal["vantage", "stripe"]


class Row(BaseModel):
    """Base of the rows. `kind` names its staging table, `key` the field with the row's own id."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    kind: ClassVar[str]
    key: ClassVar[str]

    line: int

    @classmethod
    def required_columns(cls) -> list[str]:
        """What a table of these rows must have, in this order."""
        return [name for name, field in cls.model_fields.items() if name != "line" and field.is_required()]


class PracticeRow(Row):
    kind = "practice"
    key = "practice_id"
    practice_id: Name
    name: Name
    timezone: Annotated[str, AfterValidator(_timezone)]
    currency: Currency
    processor: Processor
    processor_account: Name
    enrolled: bool
    approval_ceiling_minor: Limit = None
    refund_limit_minor: Limit = None


class ClinicianRow(Row):
    kind = "clinician"
    key = "clinician_id"
    practice_id: Name
    clinician_id: Name
    name: Name


class ClientRow(Row):
    kind = "client"
    key = "client_id"
    practice_id: Name
    client_id: Name
    name: Name
    email: Annotated[Name | None, BeforeValidator(_empty_is_none)]
    clinician_id: Annotated[Name | None, BeforeValidator(_empty_is_none)]


class PaymentMethodRow(Row):
    kind = "payment_method"
    key = "payment_method_id"
    practice_id: Name
    client_id: Name
    payment_method_id: Name
    processor: Processor
    type: Literal["card", "us_bank_account"]
    brand: Name
    last4: Annotated[str, Field(pattern=r"^[0-9]{4}$")]
    exp_month: Annotated[Annotated[int, Field(ge=1, le=12)] | None, BeforeValidator(_empty_is_none)]
    exp_year: Annotated[Annotated[int, Field(ge=2000, le=2100)] | None, BeforeValidator(_empty_is_none)]
    payer_id: Name
    token: Name
    is_default: bool
    first_charged_on: Annotated[date | None, BeforeValidator(_day_or_none)]

    @model_validator(mode="after")
    def _cards_expire(self) -> Self:
        if (self.type == "card") != (self.exp_month is not None and self.exp_year is not None):
            raise ValueError("a card has an expiry month and year, a bank account has none")
        return self


class InvoiceRow(Row):
    kind = "invoice"
    key = "invoice_id"
    practice_id: Name
    invoice_id: Name
    invoice_number: Name
    client_id: Name
    currency: Currency
    total_minor: Minor
    amount_due_minor: Minor
    issued_on: date
    status: Literal["open", "closed"]
    included_sequence: Annotated[
        int,
        Field(
            ge=0,
            le=2**31 - 1,
            description="The highest `sequence` of our `invoice.*` events that these figures include; 0: none.",
        ),
    ] = 0

    @field_validator("amount_due_minor")
    @classmethod
    def _due_is_part_of_total(cls, due_minor: int, row: ValidationInfo) -> int:
        if due_minor > row.data.get("total_minor", due_minor):
            raise ValueError("the amount due is more than the total")
        return due_minor


class SessionRow(Row):
    kind = "session"
    key = "session_id"
    practice_id: Name
    invoice_id: Name
    session_id: Name
    service_date: date
    clinician_id: Annotated[Name | None, BeforeValidator(_empty_is_none)]
    description: Name
    amount_minor: Annotated[int, BeforeValidator(_minor), Field(ge=-(2**53 - 1), le=2**53 - 1)]


# In the order in which they refer to each other.
KINDS: tuple[type[Row], ...] = (PracticeRow, ClinicianRow, ClientRow, PaymentMethodRow, InvoiceRow, SessionRow)
