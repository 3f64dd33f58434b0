"""Amounts, dates and times as the people of one practice read them."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from babel.core import Locale, get_locale_identifier
from babel.dates import format_date, format_skeleton, format_time, get_timezone_location, get_timezone_name
from babel.numbers import format_decimal, get_currency_name

from shared.domain import money
from shared.domain.settlement_day import cut_off, settlement_day

_RANGE: Final = "\N{THIN SPACE}\N{EN DASH}\N{THIN SPACE}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Formats:
    """Babel with a practice's locale, zone and currency."""

    timezone: str
    locale: str
    currency: str

    @property
    def language(self) -> str:
        """The locale as HTML wants it: `en-US`."""
        return str(
            get_locale_identifier((Locale.parse(self.locale).language, Locale.parse(self.locale).territory), "-")
        )

    def now(self) -> datetime:
        return datetime.now(UTC)

    def local(self, at: datetime) -> datetime:
        return at.astimezone(ZoneInfo(self.timezone))

    def today(self) -> date:
        return self.local(self.now()).date()

    def money(self, amount_minor: int, currency: str | None = None) -> str:
        return money.words(amount_minor, currency or self.currency, locale=self.locale)

    def count(self, number: int) -> str:
        return str(format_decimal(number, locale=self.locale))

    def day(self, day: date) -> str:
        return str(format_date(day, format="medium", locale=self.locale))

    def short_day(self, day: date) -> str:
        """Without the year, where it is this one: `Nov 13`."""
        if day.year != self.today().year:
            return self.day(day)
        return str(format_skeleton("MMMd", day, locale=self.locale))

    def days(self, first: date | None, last: date | None) -> str:
        """A range with what both ends share said once: `Oct 6 - 13, 2026`."""
        if first is None or last is None:
            return ""
        if first == last:
            return self.day(first)
        if first.year != last.year or not self.locale.startswith("en_US"):
            return f"{self.day(first)}{_RANGE}{self.day(last)}"
        start = str(format_skeleton("MMMd", first, locale=self.locale))
        end = f"{last.day}, {last.year}" if first.month == last.month else self.day(last)
        return f"{start}{_RANGE}{end}"

    def time(self, at: datetime, *, seconds: bool = False) -> str:
        style = "medium" if seconds else "short"
        return str(format_time(self.local(at), format=style, tzinfo=ZoneInfo(self.timezone), locale=self.locale))

    def when(self, at: datetime, *, seconds: bool = False) -> str:
        """`Today, 2:44 PM` or `Nov 20, 2026, 4:22 PM`."""
        day = self.local(at).date()
        name = "Today" if day == self.today() else self.day(day)
        return f"{name}, {self.time(at, seconds=seconds)}"

    def stamp(self, at: datetime) -> str:
        """`Nov 20, 2026, 4:22 PM`, also today: for what is filed and read another day."""
        return f"{self.day(self.local(at).date())}, {self.time(at)}"

    def short_when(self, at: datetime) -> str:
        """On a button: `2:44 PM` if that is today, else the day alone."""
        day = self.local(at).date()
        return self.time(at) if day == self.today() else self.short_day(day)

    def coming(self, at: datetime) -> str:
        """A moment to come, as exactly as a person needs it: `today at 2:44 PM`, `tomorrow, Nov 24`, `Nov 26`."""
        day = self.local(at).date()
        if day == self.today():
            return self.moment(at)
        return f"tomorrow, {self.short_day(day)}" if day == self.today() + timedelta(days=1) else self.short_day(day)

    def moment(self, at: datetime) -> str:
        """Within a sentence: `today at 2:44 PM` or `on Nov 20, 2026 at 4:22 PM`."""
        day = self.local(at).date()
        name = "today" if day == self.today() else f"on {self.day(day)}"
        return f"{name} at {self.time(at)}"

    def iso(self, at: datetime) -> str:
        return at.astimezone(UTC).isoformat(timespec="seconds")

    def local_iso(self, at: datetime | None) -> str:
        return "" if at is None else self.local(at).isoformat(timespec="seconds")

    def zone(self) -> str:
        """`Eastern Time (New York)`"""
        name = get_timezone_name(ZoneInfo(self.timezone), width="long", locale=self.locale, zone_variant="generic")
        city = get_timezone_location(ZoneInfo(self.timezone), locale=self.locale, return_city=True)
        return f"{name} ({city})"

    def currency_name(self) -> str:
        return str(get_currency_name(self.currency, count=2, locale=self.locale))

    def settles_at(self, at: datetime | None = None) -> datetime:
        """The cut-off that ends the Vantage day of `at`, or of now."""
        return cut_off(settlement_day(at or self.now()))

    def until(self, at: datetime) -> str:
        """How long it is until then: `2 h 8 min`."""
        return _hours(at - self.now())

    def since(self, at: datetime) -> str:
        """How long ago that was: `5 h 37 min`."""
        return _hours(self.now() - at)

    def settlement(self, at: datetime | None = None) -> str:
        """That cut-off in this practice's zone: `today at 5:00 PM`, `tomorrow at 2:00 PM`."""
        when = self.settles_at(at)
        day = self.local(when).date()
        if day == self.today() + timedelta(days=1):
            return f"tomorrow at {self.time(when)}"
        return self.moment(when)


def _hours(time: timedelta) -> str:
    """In hours and begun minutes; in days where hours say little."""
    if time >= timedelta(days=2):
        return f"{time.days} days"
    hours, minutes = divmod(-(-max(0, round(time.total_seconds())) // 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
