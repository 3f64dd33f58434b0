"""The kill switch of a processor: while it is paused no charge begins, and nothing is forgotten meanwhile."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool

from schemas.commands import CHARGE_QUEUES
from shared.domain.words import ProcessorName
from shared.messaging.publish import Publisher
from shared.store import outbox, pauses
from shared.store.pool import open_pool
from tests import builders
from tests.integration.janitor_ground import STRIPE, Ground, on_ground
from tests.integration.paper import Paper
from tests.integration.test_relay import relaying
from tests.waiting import eventually
from workers.charge.claiming import Claimer, claim_group

VANTAGE = ProcessorName.VANTAGE
T = TypeVar("T")


@pytest.fixture
def database(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


def with_pool(database_url: str, work: Callable[[AsyncConnectionPool], Awaitable[T]]) -> T:
    async def main() -> T:
        async with open_pool(database_url, process="test", most=2, keyed=True) as pool:
            return await work(pool)

    return asyncio.run(main())


def claimed(database_url: str, *ids: UUID) -> list[bool]:
    async def work(pool: AsyncConnectionPool) -> list[bool]:
        claimer = Claimer(pool=pool, processor=Paper(), environment="test", actor="charge")
        return [one is not None for one in await claim_group(ids, claimer=claimer)]

    return with_pool(database_url, work)


def pause(database_url: str, processor: ProcessorName = VANTAGE) -> bool:
    async def work(pool: AsyncConnectionPool) -> bool:
        async with pool.connection() as connection:
            return await pauses.pause(connection, processor, by="ann", reason="answers are late", source="test")

    return with_pool(database_url, work)


def resume(database_url: str, processor: ProcessorName = VANTAGE) -> bool:
    async def work(pool: AsyncConnectionPool) -> bool:
        async with pool.connection() as connection:
            return await pauses.resume(connection, processor, by="bob", source="test")

    return with_pool(database_url, work)


def states(database: psycopg.Connection[Any]) -> list[str]:
    return [row[0] for row in database.execute("SELECT state FROM payment ORDER BY id")]


def hints(database: psycopg.Connection[Any], lane: str) -> set[UUID]:
    return {row[0] for row in database.execute("SELECT payment_id FROM outbox WHERE lane = %s", [lane])}


def test_while_a_processor_is_paused_nothing_of_it_is_claimed_and_afterwards_all(
    database: psycopg.Connection[Any], database_url: str
) -> None:
    made = builders.submitted(database, 3)
    pause(database_url)
    assert claimed(database_url, *made.payments) == [False] * 3
    assert states(database) == ["queued"] * 3
    # The hints that led here are gone, so each is written again.
    assert hints(database, "charge.vantage") == set(made.payments)
    assert resume(database_url)
    assert claimed(database_url, *made.payments) == [True] * 3


def test_a_pause_is_of_one_processor_only(database: psycopg.Connection[Any], database_url: str) -> None:
    made = builders.submitted(database)
    pause(database_url, STRIPE)
    assert claimed(database_url, *made.payments) == [True]


@pytest.mark.parametrize("what", ["pause", "hold"])
def test_a_payment_whose_void_was_asked_for_is_taken_out_although_it_waits(
    what: str, database: psycopg.Connection[Any], database_url: str
) -> None:
    made = builders.submitted(database)
    if what == "pause":
        pause(database_url)
    else:
        database.execute(
            "INSERT INTO merchant_account SELECT processor, account, now() + interval '1 h', 'key' FROM payment"
        )
    database.execute("UPDATE batch SET void_requested_at = clock_timestamp(), void_requested_by = 'pat'")
    assert claimed(database_url, *made.payments) == [False]
    assert states(database) == ["canceled"]


def test_hints_of_a_paused_processor_wait_in_the_outbox_until_it_is_resumed(
    database: psycopg.Connection[Any], database_url: str, amqp_url: str
) -> None:
    pause(database_url)
    database.execute(
        "INSERT INTO outbox (lane, batch_id, payment_id)"
        " SELECT lane, uuid7(), uuid7() FROM unnest(ARRAY['charge.vantage', 'charge.stripe', 'void']) lane"
    )
    with Publisher(amqp_url) as publisher, relaying(database_url, amqp_url):
        eventually(lambda: not hints(database, "charge.stripe") | hints(database, "void"))
        assert len(hints(database, "charge.vantage")) == 1
        assert publisher.depth(CHARGE_QUEUES[VANTAGE]) == 0
        resume(database_url)
        eventually(lambda: publisher.depth(CHARGE_QUEUES[VANTAGE]) == 1)


def test_first_hints_of_a_paused_processor_wait_in_their_row_until_it_is_resumed(
    database: psycopg.Connection[Any], database_url: str, amqp_url: str
) -> None:
    pause(database_url)
    made = builders.submitted(database, 3)
    other = builders.submitted(database, 3, processor="stripe")
    with Publisher(amqp_url) as publisher, relaying(database_url, amqp_url):
        for name, batch in (("vantage", made.batch_id), ("stripe", other.batch_id)):
            database.execute("INSERT INTO batch_hint (lane, batch_id) VALUES (%s, %s)", [f"charge.{name}", batch])
        database.execute("SELECT pg_notify('batchpay_submitted', %s)", [str(made.batch_id)])
        database.execute("SELECT pg_notify('batchpay_outbox', '')")
        eventually(lambda: publisher.depth(CHARGE_QUEUES[STRIPE]) == 3)
        # RabbitMQ has the hints a moment before the relay has committed that.
        left = [(made.batch_id, UUID(int=0))]
        eventually(lambda: database.execute("SELECT batch_id, after FROM batch_hint").fetchall() == left)
        assert publisher.depth(CHARGE_QUEUES[VANTAGE]) == 0
        resume(database_url)
        eventually(lambda: publisher.depth(CHARGE_QUEUES[VANTAGE]) == 3)


def test_a_paused_lane_gives_the_relay_nothing_to_look_at(database: psycopg.Connection[Any], database_url: str) -> None:
    lanes = {"charge.vantage": UUID(int=0), "void": UUID(int=0)}
    database.execute(
        "INSERT INTO outbox (lane, batch_id, payment_id) SELECT unnest(%s::text[]), uuid7(), uuid7()", [list(lanes)]
    )
    database.execute("INSERT INTO batch_hint (lane, batch_id) VALUES ('charge.vantage', uuid7())")

    def waiting() -> dict[str, int]:
        found = outbox.waiting_batches(database, after=lanes, at_most=10)
        return {lane: len(batches) for lane, batches in found.items()}

    assert waiting() == {"charge.vantage": 2, "void": 1}
    pause(database_url)
    assert waiting() == {"charge.vantage": 0, "void": 1}


def test_the_janitor_neither_hints_a_paused_processor_again_and_again_nor_forgets_it(
    database_url: str,
) -> None:
    async def story(ground: Ground) -> None:
        async with ground.pool.connection() as connection:
            await pauses.pause(connection, STRIPE, by="ann", reason="late", source="test")
        with psycopg.connect(database_url, autocommit=True) as connection_of_builders:
            made = builders.submitted(connection_of_builders, 3, processor="stripe")
        for _ in range(3):
            ground.connection.execute("UPDATE payment SET next_check_at = now() WHERE next_check_at < now()")
            await ground.sweep()
        waiting = ground.connection.execute("SELECT payment_id FROM outbox WHERE lane = 'charge.stripe'").fetchall()
        assert sorted(row["payment_id"] for row in waiting) == sorted(made.payments)

    on_ground(STRIPE, database_url, story)


def test_a_lookup_goes_on_but_nothing_is_sent_again_while_the_processor_is_paused(database_url: str) -> None:
    async def story(ground: Ground) -> None:
        executed = await ground.unknown("reset_after_execute", sent=timedelta(hours=1))
        absent = await ground.unknown("reset_before_execute", sent=timedelta(hours=1))
        async with ground.pool.connection() as connection:
            await pauses.pause(connection, STRIPE, by="ann", reason="late", source="test")
        await ground.sweep()
        assert (executed.state, absent.state) == ("settled", "unknown")
        assert ground.bench.ledger(absent.order.reference) == []
        async with ground.pool.connection() as connection:
            await pauses.resume(connection, STRIPE, by="bob", source="test")
        await ground.sweep()
        assert absent.state == "settled"

    on_ground(STRIPE, database_url, story)


def test_who_paused_and_resumed_and_why_is_in_the_audit_log(
    database: psycopg.Connection[Any], database_url: str
) -> None:
    assert [pause(database_url), pause(database_url)] == [True, False]
    assert [resume(database_url), resume(database_url)] == [True, False]
    assert database.execute("SELECT practice_id, actor, action, detail FROM audit_entry ORDER BY id").fetchall() == [
        (None, "ann", "processor.paused", {"processor": "vantage", "reason": "answers are late"}),
        (None, "bob", "processor.resumed", {"processor": "vantage"}),
    ]
