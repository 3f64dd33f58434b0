"""Vantage's settlement day: 17:00 in New York, on the days when clocks change too."""

from datetime import UTC, date, datetime, timedelta

import pytest

from shared.domain.settlement_day import cut_off, days_of_send, report_is_out, settlement_day

DEADLINE = timedelta(seconds=75)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("at", "day"),
    [
        ("2026-01-15 21:59:59", "2026-01-15"),  # winter: 16:59:59
        ("2026-01-15 22:00:00", "2026-01-16"),
        ("2026-07-15 20:59:59", "2026-07-15"),  # summer: 16:59:59
        ("2026-07-15 21:00:00", "2026-07-16"),
        ("2026-03-07 21:59:59", "2026-03-07"),  # the day before clocks go forward
        ("2026-03-07 22:00:00", "2026-03-08"),
        ("2026-03-08 20:59:59", "2026-03-08"),  # the day on which they do
        ("2026-03-08 21:00:00", "2026-03-09"),
        ("2026-10-31 20:59:59", "2026-10-31"),  # the day before they go back
        ("2026-10-31 21:00:00", "2026-11-01"),
        ("2026-11-01 21:59:59", "2026-11-01"),
        ("2026-11-01 22:00:00", "2026-11-02"),
        ("2026-01-01 03:00:00", "2026-01-01"),  # still New Year's Eve there, after its cut-off
    ],
)
def test_the_day_ends_at_five_in_new_york(at: str, day: str) -> None:
    assert settlement_day(utc(at)) == date.fromisoformat(day)


@pytest.mark.parametrize("day", ["2026-01-15", "2026-03-08", "2026-07-15", "2026-11-01"])
def test_a_cut_off_is_the_first_moment_of_the_next_day(day: str) -> None:
    one = date.fromisoformat(day)
    assert settlement_day(cut_off(one)) == one + timedelta(days=1)
    assert settlement_day(cut_off(one) - timedelta(microseconds=1)) == one
    assert cut_off(one).tzinfo is UTC


def test_trace_5_a_send_near_the_cut_off_belongs_to_two_days() -> None:
    days = (date(2026, 1, 15), date(2026, 1, 16))
    assert days_of_send(utc("2026-01-15 21:59:59"), DEADLINE) == days
    assert days_of_send(utc("2026-01-15 21:00:00"), DEADLINE) == days  # its answer may take until the margin's end
    assert days_of_send(utc("2026-01-15 22:59:59"), DEADLINE) == days  # our clock may be ahead of the processor's


def test_a_send_far_from_the_cut_off_belongs_to_one_day() -> None:
    assert days_of_send(utc("2026-01-15 14:00:00"), DEADLINE) == (date(2026, 1, 15),)
    assert days_of_send(utc("2026-01-15 23:00:01"), DEADLINE) == (date(2026, 1, 16),)


@pytest.mark.parametrize("day", ["2026-01-15", "2026-03-07", "2026-03-08", "2026-10-31", "2026-11-01"])
def test_a_report_is_out_twelve_real_hours_after_the_cut_off_when_clocks_change_too(day: str) -> None:
    one = date.fromisoformat(day)
    out_at = cut_off(one).astimezone(UTC) + timedelta(hours=12)
    assert report_is_out(one, out_at)
    assert not report_is_out(one, out_at - timedelta(seconds=1))
