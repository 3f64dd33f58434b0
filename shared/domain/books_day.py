"""The day of each processor's books: Vantage's settlement day in New York, Stripe's day in UTC."""

from datetime import UTC, date, datetime, time, timedelta

from shared.domain.settlement_day import CLOCK_MARGIN, REPORT_DELAY, cut_off, settlement_day
from shared.domain.words import ProcessorName

# Stripe dates everything by one clock, and its lists show what was made at once.
_STRIPE_MARGIN = timedelta(minutes=10)


def day_of(processor: ProcessorName, at: datetime) -> date:
    """The day in whose books money is that moved at `at`."""
    return settlement_day(at) if processor is ProcessorName.VANTAGE else at.astimezone(UTC).date()


def end_of(processor: ProcessorName, day: date) -> datetime:
    """The first moment of the next day."""
    if processor is ProcessorName.VANTAGE:
        return cut_off(day)
    return datetime.combine(day, time(), UTC) + timedelta(days=1)


def days_between(processor: ProcessorName, first: datetime, last: datetime) -> list[date]:
    """Every day in whose books money can be that moved by `first` at the earliest and `last` at the latest.

    Both are by our clock, which may differ from the processor's.
    """
    margin = CLOCK_MARGIN if processor is ProcessorName.VANTAGE else _STRIPE_MARGIN
    start, end = day_of(processor, first - margin), day_of(processor, last + margin)
    return [start + timedelta(days=n) for n in range((end - start).days + 1)]


def is_complete(processor: ProcessorName, day: date, as_of: datetime) -> bool:
    """Whether books of `day` that were read when the processor's clock said `as_of` show all of it."""
    return as_of >= complete_at(processor, day)


def complete_at(processor: ProcessorName, day: date) -> datetime:
    """From when on, by the processor's clock, books of `day` show all of it."""
    return end_of(processor, day) + (REPORT_DELAY if processor is ProcessorName.VANTAGE else _STRIPE_MARGIN)


def last_complete(processor: ProcessorName, now: datetime) -> date:
    """The newest day whose books are complete at `now`."""
    day = day_of(processor, now)
    while not is_complete(processor, day, now):
        day -= timedelta(days=1)
    return day
