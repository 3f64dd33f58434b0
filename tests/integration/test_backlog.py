"""The gauges of what waits say what the tables say, and are nought again when it is gone."""

import asyncio
from typing import Any

import psycopg

from shared.store.pool import open_pool
from tests import builders
from tests.metrics import shown
from workers.janitor.backlog import read_backlog


def read(database_url: str) -> None:
    async def main() -> None:
        async with open_pool(database_url, process="test", most=1) as pool:
            await read_backlog(pool)

    asyncio.run(main())


def execute(database_url: str, statement: str, *parameters: Any) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(statement, parameters)  # type: ignore[arg-type]  # tests write SQL freely


def test_what_waits_is_counted_by_state_and_lane_with_the_age_of_the_oldest(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        made = builders.submitted(connection, 3)
    first, second, third = made.payments
    execute(database_url, "UPDATE payment SET due_at = now() - interval '100 s' WHERE id = %s", first)
    execute(database_url, "UPDATE payment SET due_at = now() + interval '1 h' WHERE id = %s", second)
    execute(database_url, "UPDATE payment SET review_reason = 'look', due_at = now() WHERE id = %s", third)
    execute(
        database_url,
        "INSERT INTO outbox (lane, batch_id, payment_id, available_at, created_at)"
        " VALUES ('charge.vantage', %s, %s, now() - interval '50 s', now() - interval '50 s')",
        made.batch_id,
        first,
    )
    read(database_url)
    assert shown("payments", processor="vantage", state="queued") == 2
    assert 100 <= shown("payments_oldest_seconds", processor="vantage", state="queued") < 130
    assert shown("payments", processor="stripe", state="unknown") == 0
    assert shown("payments_in_review") == 1
    assert shown("outbox_rows", lane="charge.vantage") == 1
    assert 50 <= shown("outbox_oldest_seconds", lane="charge.vantage") < 80
    assert shown("findings_open", kind="chargeback") == 0
    # First hints wait in their batch's row, one for each payment that it has not come to.
    execute(
        database_url,
        "INSERT INTO batch_hint (lane, batch_id, after, created_at)"
        " VALUES ('charge.vantage', %s, %s, now() - interval '90 s')",
        made.batch_id,
        min(made.payments),
    )
    read(database_url)
    assert shown("outbox_rows", lane="charge.vantage") == 1 + 2
    assert 90 <= shown("outbox_oldest_seconds", lane="charge.vantage") < 120
    execute(database_url, "UPDATE batch_hint SET after = %s", max(made.payments))
    read(database_url)
    assert shown("outbox_rows", lane="charge.vantage") == 1
    assert 50 <= shown("outbox_oldest_seconds", lane="charge.vantage") < 90
    execute(database_url, "DELETE FROM outbox")
    read(database_url)
    assert shown("outbox_rows", lane="charge.vantage") == 0
    assert shown("outbox_oldest_seconds", lane="charge.vantage") == 0
