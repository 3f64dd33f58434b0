"""What a person types into the wizard's search boxes, as the filter of `invoices_matching`."""

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Annotated, Any, Final, Literal

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from services.submit.console.formats import Formats
from shared.domain import money
from shared.domain.money import BadAmountError

Show = Literal["all", "ready", "blocked", "selected"]
Search = Annotated[str, Field(max_length=100)]
_COMPARED: Final = re.compile(r"(?P<sign>>=|<=|>|<|)\s*(?P<number>.+)")
# A hyphen or an en dash: phones type either.
_BETWEEN: Final = re.compile(r"(?P<low>[^-\u2013]+?)\s*[-\u2013]\s*(?P<high>[^-\u2013]+)")
_WITH_YEAR: Final = ("%b %d, %Y", "%B %d, %Y", "%b %d %Y", "%Y-%m-%d", "%m/%d/%Y")
_WITHOUT_YEAR: Final = ("%b %d", "%B %d", "%m/%d")
_MONTH: Final = ("%b %Y", "%B %Y", "%Y-%m")
_MONTH_WITHOUT_YEAR: Final = ("%b", "%B")
_LARGEST_COUNT: Final = 2**31 - 1
_LARGEST_MINOR: Final = 2**53 - 1


class View(BaseModel):
    """The list's query string. Text fields are what was typed, right or wrong."""

    model_config = ConfigDict(populate_by_name=True, extra="ignore", frozen=True)

    service_from: Annotated[str, Field(alias="from", max_length=10)] = ""
    service_to: Annotated[str, Field(alias="to", max_length=10)] = ""
    show: Show = "all"
    invoice: Annotated[Search, Field(alias="q.invoice")] = ""
    client: Annotated[Search, Field(alias="q.client")] = ""
    clinician: Annotated[Search, Field(alias="q.clinician")] = ""
    dates: Annotated[Search, Field(alias="q.dates")] = ""
    sessions: Annotated[Search, Field(alias="q.sessions")] = ""
    card: Annotated[Search, Field(alias="q.card")] = ""
    amount: Annotated[Search, Field(alias="q.amount")] = ""
    sort: Annotated[str, Field(max_length=30)] = "client"
    size: Annotated[int, Field(ge=1, le=100)] = 25
    page: Annotated[int, Field(ge=1, le=10_000)] = 1
    after: Annotated[str, Field(max_length=2000)] = ""
    before: Annotated[str, Field(max_length=2000)] = ""

    def filters(self) -> dict[str, Any]:
        """The parameters that stay when the list is sorted or paged."""
        names = {"sort", "page", "after", "before"}
        return self.model_dump(by_alias=True, exclude=names, exclude_defaults=True)

    @property
    def typed(self) -> dict[str, str]:
        """What is searched for, by column."""
        names = ("invoice", "client", "clinician", "dates", "sessions", "card", "amount")
        return {name: text for name in names if (text := getattr(self, name).strip())}

    @property
    def searches(self) -> bool:
        return bool(self.typed)


ViewQuery = Annotated[View, Query()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The filter for SQL, and per field what could not be read (it filters nothing)."""

    filter: dict[str, Any]
    faults: dict[str, str]


class _UnreadableError(ValueError):
    """This is not what the field takes."""


def read(view: View, formats: Formats) -> Wanted:
    """What the typed texts mean."""
    wanted: dict[str, Any] = {}
    faults: dict[str, str] = {}
    for name, text in (
        ("invoice", view.invoice), ("client", view.client), ("clinician", view.clinician), ("card", view.card),
    ):  # fmt: skip
        if text.strip():
            # PostgreSQL's text has no null bytes; nothing contains one.
            wanted[name] = text.strip().replace("\0", "\N{REPLACEMENT CHARACTER}")
    _read_range(wanted, faults, "sessions", view.sessions, _count)
    _read_range(wanted, faults, "amount", view.amount, lambda text: _minor(text, formats))
    if "amount_from" in wanted:
        wanted["amount_from_minor"] = wanted.pop("amount_from")
    if "amount_to" in wanted:
        wanted["amount_to_minor"] = wanted.pop("amount_to")
    _read_dates(wanted, faults, view, formats.today())
    return Wanted(filter=wanted, faults=faults)


def _read_range(wanted: dict[str, Any], faults: dict[str, str], name: str, text: str, number: Any) -> None:
    if not text.strip():
        return
    try:
        low, high = _range(text.strip(), number)
    except _UnreadableError:
        faults[name] = "Write 2, > 100 or 50-80"
        return
    if low is not None:
        wanted[f"{name}_from"] = low
    if high is not None:
        wanted[f"{name}_to"] = high


def _range(text: str, number: Any) -> tuple[int | None, int | None]:
    if found := _BETWEEN.fullmatch(text):
        return number(found["low"]), number(found["high"])
    found = _COMPARED.fullmatch(text)
    if found is None:
        raise _UnreadableError
    value = number(found["number"])
    match found["sign"]:
        case ">":
            return value + 1, None
        case ">=":
            return value, None
        case "<":
            return None, value - 1
        case "<=":
            return None, value
        case _:
            return value, value


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or int(text) > _LARGEST_COUNT:
        raise _UnreadableError
    return int(text)


def _minor(text: str, formats: Formats) -> int:
    try:
        minor = money.parse(text, formats.currency, locale=formats.locale)
    except BadAmountError as error:
        raise _UnreadableError from error
    if not 0 <= minor <= _LARGEST_MINOR:
        raise _UnreadableError
    return minor


def _read_dates(wanted: dict[str, Any], faults: dict[str, str], view: View, today: date) -> None:
    """The range and the search box of the column: both must hold."""
    lows: list[date] = []
    highs: list[date] = []
    for name, text, ends in (("from", view.service_from, lows), ("to", view.service_to, highs)):
        if text:
            try:
                ends.append(date.fromisoformat(text))
            except ValueError:
                faults[name] = "This is not a date"
    if view.dates.strip():
        days = _days(view.dates.strip(), today)
        if days is None:
            faults["dates"] = "Write Oct 13 or Oct"
        else:
            lows.append(days[0])
            highs.append(days[1])
    if lows:
        wanted["service_from"] = max(lows).isoformat()
    if highs:
        wanted["service_to"] = min(highs).isoformat()


def _days(text: str, today: date) -> tuple[date, date] | None:
    """A day or a month; without a year the last one that was not in the future."""
    for pattern in _WITH_YEAR:
        if day := _parse(text, pattern):
            return day, day
    for pattern in _WITHOUT_YEAR:
        if day := _parse(f"{text} {today.year}", f"{pattern} %Y") or _parse(
            f"{text} {today.year - 1}", f"{pattern} %Y"
        ):
            past = day if day <= today else _parse(f"{text} {today.year - 1}", f"{pattern} %Y") or day
            return past, past
    for pattern in _MONTH:
        if day := _parse(text, pattern):
            return month(day)
    for pattern in _MONTH_WITHOUT_YEAR:
        if day := _parse(f"{text} {today.year}", f"{pattern} %Y"):
            return month(day if day <= today else day.replace(year=day.year - 1))
    return None


def _parse(text: str, pattern: str) -> date | None:
    try:
        return datetime.strptime(text, pattern).date()  # noqa: DTZ007  # a day has no zone
    except ValueError:
        return None


def month(day: date) -> tuple[date, date]:
    """The first and the last day of a day's month."""
    first = day.replace(day=1)
    return first, (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)
