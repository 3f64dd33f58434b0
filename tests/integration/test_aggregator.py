"""Batches recomputed from their payments on real servers; traces are those of the protocol's section 1."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import aclosing
from functools import partial
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg.rows import dict_row

from schemas.commands import AGGREGATOR_QUEUE
from schemas.events import BatchEvent
from services.aggregator.aggregator import aggregate
from shared.messaging import topology
from shared.messaging.consume import consume_groups
from shared.store.batch_status import Changed, recompute, stale_batches
from shared.store.pool import open_pool
from tests import builders
from tests.aggregating import aggregated
from tests.sending import send
from tests.waiting import eventually

Connection = psycopg.Connection[Any]


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


def stale(database_url: str, limit: int = 10) -> set[UUID]:
    async def main() -> set[UUID]:
        async with await psycopg.AsyncConnection.connect(database_url) as connection:
            return set(await stale_batches(connection, limit=limit))

    return asyncio.run(main())


def row(connection: Connection, batch_id: UUID) -> dict[str, Any]:
    with connection.cursor(row_factory=dict_row) as cursor:
        found = cursor.execute("SELECT * FROM batch WHERE id = %s", [batch_id]).fetchone()
    assert found
    return found


def events(connection: Connection) -> list[BatchEvent]:
    rows = connection.execute("SELECT routing_key, body FROM outbox WHERE lane = 'event' ORDER BY id").fetchall()
    told = [BatchEvent.model_validate(json.loads(body)) for _, body in rows]
    assert [event.type for event in told] == [key for key, _ in rows]
    return told


def test_a_batch_says_what_its_payments_say(connection: Connection, database_url: str) -> None:
    made = builders.submitted(connection, 3, amount_minor=1_000)
    builders.paid(connection, made.payments[0], "approved")
    assert [one.events for one in aggregated(database_url, made.batch_id)] == [("batch.progressed",)]
    connection.execute("UPDATE payment SET state = 'skipped' WHERE state = 'queued'")
    assert [one.events for one in aggregated(database_url, made.batch_id)] == [("batch.completed_with_errors",)]
    connection.execute("UPDATE payment SET state = 'settled' WHERE state = 'approved'")
    assert [one.events for one in aggregated(database_url, made.batch_id)] == [("batch.posted",)]

    batch = row(connection, made.batch_id)
    assert (batch["status"], batch["posting"], batch["version"]) == ("completed_with_errors", "posted", 3)
    assert (batch["approved"], batch["approved_minor"]) == (1, 1_000)
    assert (batch["declined"], batch["declined_minor"], batch["unfinished"]) == (2, 2_000, 0)
    assert batch["finished_at"] < batch["posted_at"] == batch["updated_at"]
    told = events(connection)
    assert [(event.sequence, event.status, event.posting) for event in told] == [
        (1, "processing", "pending"),
        (2, "completed_with_errors", "pending"),
        (3, "completed_with_errors", "posted"),
    ]
    assert {(event.total, event.total_minor, event.practice_id) for event in told} == {
        (3, 3_000, connection.execute("SELECT external_id FROM practice").fetchone()[0])  # type: ignore[index]
    }
    assert len({event.event_id for event in told}) == 3


def test_completed_and_posted_at_once_are_two_events(connection: Connection, database_url: str) -> None:
    made = builders.submitted(connection)
    builders.paid(connection, made.payments[0])
    assert [one.events for one in aggregated(database_url, made.batch_id)] == [("batch.completed", "batch.posted")]
    assert [event.sequence for event in events(connection)] == [1, 2]
    assert row(connection, made.batch_id)["version"] == 2


def test_where_nothing_differs_nothing_is_written_and_nothing_told(connection: Connection, database_url: str) -> None:
    made = builders.submitted(connection)
    before = row(connection, made.batch_id)
    assert aggregated(database_url, made.batch_id, made.batch_id, UUID(int=1)) == []
    assert row(connection, made.batch_id) == before
    assert events(connection) == []


@pytest.mark.unsound("its payments move without attempts")
def test_a_batch_that_runs_again_keeps_when_it_finished_last(connection: Connection, database_url: str) -> None:
    made = builders.submitted(connection)
    builders.paid(connection, made.payments[0])
    aggregated(database_url, made.batch_id)
    first = row(connection, made.batch_id)
    connection.execute("UPDATE payment SET state = 'refunding', next_check_at = clock_timestamp()")
    aggregated(database_url, made.batch_id)
    running = row(connection, made.batch_id)
    assert (running["status"], running["posting"]) == ("voiding", "pending")
    assert (running["finished_at"], running["posted_at"]) == (first["finished_at"], first["posted_at"])
    connection.execute("UPDATE payment SET state = 'refunded', next_check_at = NULL")
    aggregated(database_url, made.batch_id)
    last = row(connection, made.batch_id)
    assert (last["status"], last["posting"]) == ("voided", "posted")
    assert last["finished_at"] > first["finished_at"]
    assert last["posted_at"] > first["posted_at"]


def test_trace_20_an_aggregator_that_waited_does_not_write_what_it_saw_before(
    connection: Connection, database_url: str
) -> None:
    made = builders.submitted(connection, 2)
    with psycopg.connect(database_url) as other:
        other.execute("SELECT FROM batch FOR UPDATE")

        async def main() -> list[Changed]:
            async with open_pool(database_url, process="test", most=2) as pool:
                task = asyncio.create_task(recompute(pool, [made.batch_id], actor="test"))
                await asyncio.to_thread(eventually, partial(waits_for_lock, connection))
                # It waits already; now a payment moves, and the lock is given up.
                builders.paid(connection, made.payments[0])
                other.commit()
                return await task

        asyncio.run(main())
    assert row(connection, made.batch_id)["approved"] == 1


def waits_for_lock(connection: Connection) -> bool:
    found = connection.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    ).fetchone()
    return bool(found and found[0])


def test_trace_20_many_aggregators_leave_one_truth_and_every_sequence_once(
    connection: Connection, database_url: str
) -> None:
    batches = [builders.submitted(connection, 3) for _ in range(5)]

    async def main() -> None:
        async with open_pool(database_url, process="test", most=4) as pool:
            for place in range(3):
                for made in batches:
                    builders.paid(connection, made.payments[place])
                orders = [[made.batch_id for made in batches], [made.batch_id for made in reversed(batches)]] * 2
                await asyncio.gather(*(recompute(pool, order, actor="test") for order in orders))

    asyncio.run(main())
    for made in batches:
        told = [event for event in events(connection) if event.batch_id == made.batch_id]
        assert [event.sequence for event in told] == [1, 2, 3, 4]
        assert [event.approved for event in told] == [1, 2, 3, 3]
        assert row(connection, made.batch_id)["status"] == "completed"


def test_trace_21_status_and_event_are_written_together_or_not_at_all(
    connection: Connection, database_url: str
) -> None:
    made = builders.submitted(connection)
    builders.paid(connection, made.payments[0])
    connection.execute("ALTER TABLE outbox ADD CONSTRAINT broken CHECK (lane <> 'event')")
    with pytest.raises(psycopg.errors.CheckViolation):
        aggregated(database_url, made.batch_id)
    assert row(connection, made.batch_id)["status"] == "processing"
    connection.execute("ALTER TABLE outbox DROP CONSTRAINT broken")
    assert aggregated(database_url, made.batch_id)


def test_trace_19_the_janitor_finds_a_pending_batch_whose_events_were_lost(
    connection: Connection, database_url: str
) -> None:
    made = builders.submitted(connection)
    builders.paid(connection, made.payments[0], "approved")
    assert stale(database_url) == set()
    connection.execute("UPDATE batch SET updated_at = updated_at - interval '61 seconds'")
    assert stale(database_url) == {made.batch_id}
    assert aggregated(database_url, made.batch_id)
    assert stale(database_url) == set()


def test_a_quiet_pending_batch_is_looked_at_in_turn(connection: Connection, database_url: str) -> None:
    first, second = builders.submitted(connection).batch_id, builders.submitted(connection).batch_id
    connection.execute("UPDATE batch SET updated_at = updated_at - interval '2 minutes'")
    connection.execute("UPDATE batch SET updated_at = updated_at - interval '1 second' WHERE id = %s", [first])
    assert stale(database_url, limit=1) == {first}
    assert aggregated(database_url, first) == []
    assert stale(database_url, limit=1) == {second}
    assert events(connection) == []


@pytest.mark.unsound("its last step is written by hand")
def test_trace_19_the_janitor_finds_a_posted_batch_with_a_step_after_the_last_look(
    connection: Connection, database_url: str
) -> None:
    made = builders.submitted(connection)
    builders.paid(connection, made.payments[0])
    connection.execute("SET session_replication_role = replica")  # else steps cannot be dated back
    connection.execute("UPDATE payment_event SET at = at - interval '20 minutes'")
    connection.execute("RESET session_replication_role")
    aggregated(database_url, made.batch_id)
    connection.execute("UPDATE batch SET updated_at = updated_at - interval '10 minutes'")
    assert stale(database_url) == set()
    connection.execute(
        "INSERT INTO payment_event (payment_id, event, from_state, to_state, actor)"
        " VALUES (%s, 'seen_refunded', 'settled', 'refunded', 'test')",
        [made.payments[0]],
    )
    assert stale(database_url) == {made.batch_id}
    aggregated(database_url, made.batch_id)
    assert stale(database_url) == set()


def test_payment_events_on_the_queue_become_batch_status(
    connection: Connection, database_url: str, amqp_url: str
) -> None:
    made = builders.submitted(connection)
    topology.declare(amqp_url)
    builders.paid(connection, made.payments[0])
    body = json.dumps({"batch_id": str(made.batch_id)}).encode()
    send(amqp_url, "", [(AGGREGATOR_QUEUE, body)] * 20)

    async def main() -> None:
        async with (
            open_pool(database_url, process="test", most=2) as pool,
            aclosing(consume_groups(amqp_url, AGGREGATOR_QUEUE, max_group=100)) as groups,
        ):
            task = asyncio.create_task(aggregate(groups, recompute=partial(recompute, pool, actor="test")))
            await asyncio.to_thread(
                eventually, lambda: row(connection, made.batch_id)["status"] == "completed", within_s=20
            )
            task.cancel()
            await asyncio.wait([task])

    asyncio.run(main())
    assert [event.type for event in events(connection)] == ["batch.completed", "batch.posted"]
