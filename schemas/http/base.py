"""What all messages of the HTTP interface share. Amounts are integer minor units, times ISO 8601 in UTC."""

import re
from datetime import date
from typing import Annotated, Final
from uuid import UUID

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

MOST_ROWS: Final = 200
_LONGEST_SEARCH: Final = 100
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")

Minor = Annotated[int, Field(ge=0, le=2**53 - 1, description="Integer minor units (cents for USD).")]
Count = Annotated[int, Field(ge=0, le=2**31 - 1)]


def _no_null_byte(text: str) -> str:
    if "\0" in text:
        raise ValueError("text holds no null byte")
    return text


def _is_day(value: object) -> object:
    """Pydantic would also take seconds since 1970, and a moment at midnight."""
    if isinstance(value, str) and not _DAY.fullmatch(value):
        raise ValueError("write a day as YYYY-MM-DD")
    return value


Text = Annotated[str, AfterValidator(_no_null_byte)]
Search = Annotated[Text, Field(max_length=_LONGEST_SEARCH)]
# JSON has no dates and no UUIDs: a text is read as one although the model is strict.
JsonDate = Annotated[date, Field(strict=False), BeforeValidator(_is_day, json_schema_input_type=date)]
JsonUuid = Annotated[UUID, Field(strict=False)]


class Sent(BaseModel):
    """Base of what callers send: exact types, no unknown fields."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Answer(BaseModel):
    """Base of what callers get."""

    model_config = ConfigDict(extra="forbid", frozen=True)


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


class Warn(Answer):
    """Nothing is wrong; a person should know."""

    code: str
    message: str


class Why(Answer):
    """A reason why an invoice cannot be charged."""

    code: str
    message: str
    fix: str


class Amounts(Answer):
    count: int
    amount_minor: int
