"""What people are told about a running batch: the time left, and what holds it up."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from services.submit.console.pace import outage, time_left
from shared.store.progress import Progress

NOW = datetime(2026, 11, 23, 19, 46, tzinfo=UTC)


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def progress(**changed: Any) -> Progress:
    """A batch in full swing, of which the newest answer is a second old."""
    usual: dict[str, Any] = {
        "batch_id": UUID(int=1), "lately": 60, "answered_at": ago(1), "now": NOW, "paused": False, "unanswered": 0,
        "asked_at": None, "tried_at": ago(1), "stuck": 0, "stuck_minor": 0,
    }  # fmt: skip
    return Progress(**usual | changed)


@pytest.mark.parametrize(
    ("lately", "waiting", "said"),
    [
        (60, 1, "About 1 minute left."),
        (60, 60, "About 1 minute left."),
        (60, 61, "About 2 minutes left."),
        (7, 65, "About 10 minutes left."),
        (10, 600, "About 60 minutes left."),
        (10, 601, "About 2 hours left."),
        (60, 0, ""),
        (0, 60, ""),
    ],
)
def test_the_time_left_is_that_of_the_last_minutes_speed_rounded_up(lately: int, waiting: int, said: str) -> None:
    assert time_left(progress(lately=lately), finished=10, waiting=waiting) == said


def test_nothing_is_said_of_the_time_left_before_ten_payments_or_during_an_outage() -> None:
    assert time_left(progress(), finished=9, waiting=10) == ""
    assert time_left(progress(paused=True), finished=10, waiting=10) == ""
    assert time_left(None, finished=10, waiting=10) == ""


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({}, None),
        ({"paused": True}, "paused"),
        ({"answered_at": ago(30), "asked_at": ago(30), "unanswered": 2}, "silent"),
        ({"answered_at": None, "asked_at": ago(31), "unanswered": 2}, "silent"),
        # One that hangs is no outage; nor are two that were sent a moment ago, after a quiet hour.
        ({"answered_at": ago(300), "asked_at": ago(299), "unanswered": 1}, None),
        ({"answered_at": ago(3600), "asked_at": ago(5), "unanswered": 9}, None),
    ],
)
def test_an_outage_is_a_pause_or_a_silence_after_several_sends(changed: dict[str, Any], why: str | None) -> None:
    assert outage(progress(**changed), waiting=3) == why
    assert outage(progress(**changed), waiting=0) is None
