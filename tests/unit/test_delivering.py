"""When a webhook is sent again and given up, and what becomes of events on their way to PostgreSQL."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta

import psycopg
import pytest

from services.notify.keeping import RETRY_S, keep_events
from shared.domain.delivering import PAUSES, is_budget_spent, pause_after, webhook_id
from shared.store.deliveries import Event
from tests.snapshots import NOW


def test_it_is_tried_ten_times_in_three_days() -> None:
    pauses = [pause_after(attempts, jitter=0) for attempts in range(1, 11)]
    assert pauses == [*PAUSES, None]
    assert sum(PAUSES, timedelta()) == timedelta(hours=75, minutes=35, seconds=5)


@pytest.mark.parametrize(("jitter", "seconds"), [(0.0, 5), (0.5, 5.5), (1.0, 6)])
def test_a_pause_is_never_shorter_and_at_most_a_fifth_longer(jitter: float, seconds: float) -> None:
    assert pause_after(1, jitter=jitter) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("failures", "days", "spent"),
    [(10, 5, True), (9, 5, False), (10, 4.99, False), (1_000_000, 1, False), (1, 30, False)],
)
def test_the_budget_is_spent_after_ten_failures_and_five_days(failures: int, days: float, *, spent: bool) -> None:
    assert is_budget_spent(failures, NOW - timedelta(days=days), now=NOW) is spent


def test_a_webhook_id_has_no_full_stop() -> None:
    assert webhook_id("0190.7.invoice") == "0190-7-invoice"


def test_while_postgresql_is_away_a_group_is_tried_again_and_the_next_is_not_asked_for() -> None:
    asked, kept, slept, woken = [], [], [], []
    failures = [psycopg.OperationalError(), psycopg.OperationalError()]

    async def groups() -> AsyncIterator[list[bytes]]:
        for n in (1, 2):
            asked.append(n)
            yield [json.dumps({"event_id": str(n), "type": "payment.settled", "practice_id": "oak"}).encode()]

    async def keep(events: Sequence[Event]) -> int:
        kept.append((events[0].event_id, list(asked)))
        if failures:
            raise failures.pop()
        return 2 - asked[-1]

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    asyncio.run(keep_events(groups(), keep=keep, wake=lambda: woken.append(asked[-1]), sleep=sleep))
    assert kept == [("1", [1]), ("1", [1]), ("1", [1]), ("2", [1, 2])]
    assert slept == [RETRY_S] * 2
    assert woken == [1], "what was known already is nothing to send"
