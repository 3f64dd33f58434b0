"""Vantage's settlement day: charges before 17:00 in New York belong to the day, later ones to the next.

Weekends and holidays settle like any day here: the published rule names none, and a day that settles later only makes
an absence final later, never earlier. Which day a charge really fell on is told by the report, not computed.
"""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

NEW_YORK = ZoneInfo("America/New_York")
CUT_OFF = time(17, 0)
# A request may reach the processor late and its clock may differ from ours.
CLOCK_MARGIN = timedelta(hours=1)
# A day's report is taken as complete this long after its cut-off; assumed, vantage publishes no time.
REPORT_DELAY = timedelta(hours=12)


def settlement_day(at: datetime) -> date:
    """The settlement day of a charge that executes at `at` (aware)."""
    local = at.astimezone(NEW_YORK)
    return local.date() if local.time() < CUT_OFF else local.date() + timedelta(days=1)


def cut_off(day: date) -> datetime:
    """The moment from which a charge belongs to the day after `day`, in UTC: hours added to it are real hours."""
    return datetime.combine(day, CUT_OFF, NEW_YORK).astimezone(UTC)


def days_of_send(last_send_at: datetime, total_deadline: timedelta) -> tuple[date, ...]:
    """Every settlement day in which a request sent at `last_send_at` can have executed, oldest first.

    It may execute until its answer would have been due, plus a margin; over a cut-off that is two days.
    """
    sent_at = last_send_at.astimezone(UTC)
    first = settlement_day(sent_at - CLOCK_MARGIN)
    last = settlement_day(sent_at + total_deadline + CLOCK_MARGIN)
    return (first,) if first == last else (first, last)


def report_is_out(day: date, as_of: datetime) -> bool:
    """Whether the report of `day`, read when the processor's clock said `as_of`, is complete."""
    return as_of >= cut_off(day) + REPORT_DELAY
