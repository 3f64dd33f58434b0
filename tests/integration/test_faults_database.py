"""PostgreSQL refuses, stalls or has no connection left: every use case tries again, and nothing is done twice.

The refusals are raised by a trigger with the error code of the real fault, because a disk that is full to the last
page stops the whole server, and deadlocks come when they like. The sequence that counts them is not rolled back.
"""

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

import psycopg
import pytest
import structlog
from psycopg import sql
from psycopg.rows import scalar_row
from psycopg_pool import AsyncConnectionPool

from schemas.commands import CHARGE_QUEUES
from services.aggregator.aggregator import aggregate
from services.relay.relay import lines_of, run_relay
from shared.domain.answers import Approved
from shared.store import batch_status
from shared.store.invariants import check
from shared.store.pool import connection_options, open_pool
from tests import builders
from tests.console_client import Console, with_console
from tests.integration.paper import Paper
from tests.rabbitmq_vhost import RabbitMQ
from tests.submit_service import Caller, seed, with_service
from tests.waiting import eventually
from workers.charge.claiming import Claimer, claim_group
from workers.evidence import Answered, record_until_done
from workers.sending import Claimed

Connection = psycopg.Connection[Any]
T = TypeVar("T")

FAULTS = {
    "disk_full": "53100",
    "out_of_memory": "53200",
    "deadlock": "40P01",
    "serialization_failure": "40001",
    "statement_timeout": "57014",
}
every_fault = pytest.mark.parametrize("code", FAULTS.values(), ids=FAULTS.keys())
INVOICES = ["oak-i1", "oak-i2", "oak-i3"]


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


def refuse(connection: Connection, table: str, code: str, *, times: int = 2) -> None:
    """Let the next writes to a table fail with this error code."""
    connection.execute(
        sql.SQL(
            """CREATE SEQUENCE refusal;
            CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
              IF nextval('refusal') <= {} THEN
                RAISE EXCEPTION 'refused by the test' USING ERRCODE = {};
              END IF;
              RETURN NULL;
            END $$;
            CREATE TRIGGER refused AFTER INSERT OR UPDATE OR DELETE ON {}
              FOR EACH STATEMENT EXECUTE FUNCTION refuse()"""
        ).format(sql.Literal(times), sql.Literal(code), sql.Identifier(table))
    )


def value(connection: Connection, statement: Any) -> Any:
    with connection.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(statement).fetchone()


def refused(connection: Connection) -> int:
    """How often the trigger was asked."""
    return int(value(connection, "SELECT last_value FROM refusal"))


@contextmanager
def relaying(database_url: str, amqp_url: str) -> Iterator[None]:
    stop = threading.Event()
    given = {"database_url": database_url, "amqp_url": amqp_url, "stop": stop}
    relay = threading.Thread(target=run_relay, args=[lines_of(queued_at_most=10)], kwargs=given)
    relay.start()
    try:
        yield
    finally:
        stop.set()
        relay.join()


def with_pool(database_url: str, work: Callable[[AsyncConnectionPool], Awaitable[T]]) -> T:
    async def main() -> T:
        async with open_pool(database_url, process="test", most=2) as pool:
            return await work(pool)

    return asyncio.run(main())


def claim(database_url: str, made: builders.Submitted) -> list[Claimed]:
    def claimed(pool: AsyncConnectionPool) -> Awaitable[list[Claimed | None]]:
        claimer = Claimer(pool=pool, processor=Paper(), environment="test", actor="test")
        return claim_group(made.payments, claimer=claimer)

    return [one for one in with_pool(database_url, claimed) if one]


def approved(claimed: list[Claimed]) -> list[Answered]:
    return [Answered(one.owned, Approved(processor_ref=f"ref-{place}")) for place, one in enumerate(claimed)]


async def first(told: list[Any]) -> None:
    """Wait until something was logged."""
    async with asyncio.timeout(20):
        while not told:  # noqa: ASYNC110  # a list of log lines tells nobody that it grows
            await asyncio.sleep(0.01)


# --- A statement is refused -------------------------------------------------------------------------------------------


@every_fault
def test_a_claim_is_tried_once_more(connection: Connection, database_url: str, code: str) -> None:
    made = builders.submitted(connection, 3)
    refuse(connection, "attempt", code, times=1)
    assert len(claim(database_url, made)) == 3
    assert value(connection, "SELECT count(*) FROM attempt") == 3
    assert value(connection, "SELECT sum(sends) FROM attempt") == 3


def test_a_claim_finds_a_connection_when_all_that_wait_in_the_pool_were_ended(
    connection: Connection, database_url: str
) -> None:
    """A hint that is dropped comes again only after a minute."""
    made = builders.submitted(connection, 2)

    async def claimed(pool: AsyncConnectionPool) -> list[Claimed | None]:
        async with pool.connection(), pool.connection():
            """Both are open now, and go back to the pool."""
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = 'batchpay-test'"
        )
        claimer = Claimer(pool=pool, processor=Paper(), environment="test", actor="test")
        return await claim_group(made.payments, claimer=claimer)

    assert all(with_pool(database_url, claimed))


@every_fault
def test_a_claim_that_stays_refused_leaves_everything_queued(
    connection: Connection, database_url: str, code: str
) -> None:
    made = builders.submitted(connection, 3)
    refuse(connection, "attempt", code, times=100)
    assert claim(database_url, made) == []
    assert value(connection, "SELECT count(*) FROM payment WHERE state = 'queued' AND claim_token IS NULL") == 3
    assert value(connection, "SELECT count(*) FROM attempt") == 0


@every_fault
def test_answers_are_recorded_once_however_often_it_took(connection: Connection, database_url: str, code: str) -> None:
    answers = approved(claim(database_url, builders.submitted(connection, 3)))
    refuse(connection, "outbox", code)
    with_pool(database_url, lambda pool: record_until_done(answers, pool=pool, actor="test"))
    assert refused(connection) > 2
    assert value(connection, "SELECT count(*) FROM payment WHERE state = 'approved'") == 3
    assert value(connection, "SELECT sum(taken_minor) FROM invoice") == 3 * 5_000
    assert value(connection, "SELECT count(*) FROM outbox WHERE routing_key = 'payment.approved'") == 3
    assert check(connection) == []


@pytest.mark.parametrize("asked", ["interface", "console"])
def test_connections_that_all_ended_while_they_waited_cost_one_request(database_url: str, asked: str) -> None:
    """As after a restart of PostgreSQL: the pool holds dead connections only, and each would cost one."""
    pooled = "FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'batchpay-submit'"
    seed(database_url)

    async def story(console: Console) -> None:
        caller, pat = console.caller, await console.person()
        async with asyncio.timeout(30):
            while (await caller.sql(f"SELECT count(*) {pooled}"))[0][0] < 5:
                await asyncio.gather(*(caller.get("/v1/invoices") for _ in range(20)))
        await caller.sql(f"SELECT pg_terminate_backend(pid) {pooled}")
        ask = partial(caller.get, "/v1/invoices") if asked == "interface" else partial(pat.get, "/console/batches")
        assert [(await ask()).status for _ in range(10)] == [503, *[200] * 9]

    with_console(database_url, story)


@every_fault
def test_a_submit_is_answered_with_try_again_and_leaves_nothing_until_it_succeeds(database_url: str, code: str) -> None:
    seed(database_url)

    async def story(caller: Caller) -> None:
        with psycopg.connect(database_url, autocommit=True) as connection:
            refuse(connection, "batch_hint", code)
        for _ in range(2):
            reply = await caller.submit(INVOICES, 600)
            assert (reply.status, reply.headers["Retry-After"]) == (503, "1")
            assert await caller.sql("SELECT (SELECT count(*) FROM batch), (SELECT count(*) FROM payment)") == [(0, 0)]
        reply = await caller.submit(INVOICES, 600)
        assert reply.status == 201
        assert await caller.sql("SELECT count(*) FROM payment") == [(3,)]

    with_service(database_url, story)


@every_fault
def test_a_batch_is_recomputed_when_it_can_be(connection: Connection, database_url: str, code: str) -> None:
    made = builders.submitted(connection, 2)
    for payment in made.payments:
        builders.paid(connection, payment)
    refuse(connection, "batch", code)

    async def groups() -> Any:
        yield [json.dumps({"batch_id": str(made.batch_id)}).encode()]

    async def recompute(pool: AsyncConnectionPool) -> None:
        await aggregate(groups(), recompute=lambda ids: batch_status.recompute(pool, ids, actor="test"))

    with_pool(database_url, recompute)
    assert value(connection, "SELECT status FROM batch") == "completed"
    assert value(connection, "SELECT count(*) FROM outbox WHERE routing_key = 'batch.completed'") == 1


def test_a_hint_whose_row_cannot_be_deleted_is_given_again_and_not_lost(
    connection: Connection, database_url: str, amqp_url: str, rabbitmq: RabbitMQ
) -> None:
    made = builders.submitted(connection, 1)
    connection.execute(
        "INSERT INTO outbox (lane, batch_id, payment_id) VALUES ('charge.vantage', %s, %s)",
        [made.batch_id, made.payments[0]],
    )
    refuse(connection, "outbox", FAULTS["deadlock"])
    with relaying(database_url, amqp_url):
        eventually(lambda: value(connection, "SELECT count(*) FROM outbox") == 0, what="the row has left")
    # Once for every refused deletion, and once more: a hint too many does no harm.
    assert rabbitmq.depth(CHARGE_QUEUES["vantage"]) == 3


def test_first_hints_whose_cursor_cannot_be_moved_are_given_again_and_not_lost(
    connection: Connection, database_url: str, amqp_url: str, rabbitmq: RabbitMQ
) -> None:
    made = builders.submitted(connection, 2)
    connection.execute("INSERT INTO batch_hint (lane, batch_id) VALUES ('charge.vantage', %s)", [made.batch_id])
    refuse(connection, "batch_hint", FAULTS["deadlock"])
    with relaying(database_url, amqp_url):
        eventually(lambda: value(connection, "SELECT count(*) FROM batch_hint") == 0, what="the row is gone")
    # Refused were what moves a cursor and what ends it, of one statement that is both.
    assert rabbitmq.depth(CHARGE_QUEUES["vantage"]) >= 2 * 2


# --- There is no connection -------------------------------------------------------------------------------------------


def test_answers_wait_for_a_connection_as_long_as_the_pool_is_exhausted(
    connection: Connection, database_url: str
) -> None:
    answers = approved(claim(database_url, builders.submitted(connection, 1)))

    async def work() -> None:
        async with AsyncConnectionPool(database_url, min_size=1, max_size=1, timeout=0.05) as pool:
            await pool.wait()
            with structlog.testing.capture_logs() as told:
                async with pool.connection():
                    recording = asyncio.create_task(record_until_done(answers, pool=pool, actor="test"))
                    await first(told)
                await recording
            assert {line["event"] for line in told} >= {"record_retried", "payment_approve"}
            assert told[0]["error"] == "PoolTimeout"

    asyncio.run(work())
    assert value(connection, "SELECT state FROM payment") == "approved"


# --- Everything has a bound -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("keyed", [False, True])
def test_every_connection_of_a_pool_is_bounded(database_url: str, keyed: bool) -> None:
    async def shown(pool: AsyncConnectionPool) -> list[str]:
        async with pool.connection() as connection:
            names = ("statement_timeout", "idle_in_transaction_session_timeout", "enable_seqscan", "application_name")
            rows = [await (await connection.execute(f"SHOW {name}")).fetchone() for name in names]
            return [row[0] for row in rows if row]

    async def main() -> list[str]:
        async with open_pool(database_url, process="some", most=1, keyed=keyed) as pool:
            return await shown(pool)

    assert asyncio.run(main()) == ["30s", "10s", "off" if keyed else "on", "batchpay-some"]
    options = connection_options("some")
    assert options["connect_timeout"] == 5
    assert options["tcp_user_timeout"] == 20_000


def test_the_relays_connections_are_bounded_too(connection: Connection, database_url: str, amqp_url: str) -> None:
    named = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name = 'batchpay-relay'"
    )
    with relaying(database_url, amqp_url):
        eventually(lambda: value(connection, named) == 6, what="two a line are named as all bounded ones are")


def test_a_statement_that_is_stuck_ends_and_is_tried_again(connection: Connection, database_url: str) -> None:
    answers = approved(claim(database_url, builders.submitted(connection, 1)))

    async def work() -> None:
        options = connection_options("test") | {"options": "-c statement_timeout=100"}
        async with AsyncConnectionPool(database_url, min_size=1, max_size=1, kwargs=options) as pool:
            with structlog.testing.capture_logs() as told:
                async with await psycopg.AsyncConnection.connect(database_url) as somebody:
                    await somebody.execute("SELECT FROM payment FOR UPDATE")
                    recording = asyncio.create_task(record_until_done(answers, pool=pool, actor="test"))
                    await first(told)
                await recording
            assert told[0]["error"] == "QueryCanceled"

    asyncio.run(work())
    assert value(connection, "SELECT state FROM payment") == "approved"
