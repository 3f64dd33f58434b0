"""When a simulated Vantage charge can be voided, refunded, and when its day's report is out."""

from datetime import date, datetime, timedelta
from enum import StrEnum

from workers.simulators.vantage.tables import CUT_OFF_HOUR, ZONE, Switches

_SATURDAY = 5


class Standing(StrEnum):
    PENDING = "pending"  # can be voided
    SUBMITTED = "submitted"  # the dead zone: neither void nor refund
    SETTLED = "settled"  # can be refunded
    FUNDED = "funded"


def settlement_day(moment: datetime) -> date:
    """The New York day whose 17:00 comes next; exactly 17:00 belongs to the next day."""
    local = moment.astimezone(ZONE)
    return local.date() if local.hour < CUT_OFF_HOUR else local.date() + timedelta(days=1)


def cut_off(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, CUT_OFF_HOUR, tzinfo=ZONE)


def standing(executed_at: datetime, submitted_at: datetime | None, now: datetime, switches: Switches) -> Standing:
    """`submitted_at` is set when the acquirer submitted before the published cut-off."""
    day = settlement_day(executed_at)
    submitted = submitted_at or cut_off(day)
    if now < submitted:
        return Standing.PENDING
    if now < submitted + timedelta(seconds=switches.dead_zone_s):
        return Standing.SUBMITTED
    return Standing.SETTLED if now < cut_off(funding_day(day)) else Standing.FUNDED


def funding_day(day: date) -> date:
    """The next business day; bank holidays are not simulated."""
    following = day + timedelta(days=1)
    while following.weekday() >= _SATURDAY:
        following += timedelta(days=1)
    return following


def report_out_at(day: date, switches: Switches) -> datetime:
    return cut_off(day) + timedelta(seconds=switches.dead_zone_s + switches.report_lag_s)
