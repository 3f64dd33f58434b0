"""When to look again and when to try again."""

from datetime import timedelta

import pytest

from shared.domain import schedule
from tests.snapshots import NOW


@pytest.mark.parametrize(
    ("lookups", "seconds"), [(0, 10), (1, 60), (2, 300), (3, 1800), (4, 7200), (5, 43200), (6, 43200), (1000, 43200)]
)
def test_looks_become_seldom_and_never_end(lookups: int, seconds: int) -> None:
    assert schedule.next_lookup(NOW, lookups) == NOW + timedelta(seconds=seconds)


def test_a_charge_is_tried_again_four_times_at_most() -> None:
    pauses = [schedule.retry_pause(attempts) for attempts in range(7)]
    assert [pause and pause.total_seconds() for pause in pauses] == [None, 2, 10, 60, 300, None, None]
