"""Consuming in groups."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing

import pytest

from schemas.commands import AGGREGATOR_QUEUE
from shared.messaging.consume import consume_groups
from shared.messaging.publish import Outgoing, Publisher
from tests.cutting import cut_connections
from tests.rabbitmq_vhost import RabbitMQ
from tests.waiting import eventually


@pytest.fixture
def publisher(amqp_url: str) -> Iterator[Publisher]:
    with Publisher(amqp_url) as publisher:
        yield publisher


def events(count: int) -> list[Outgoing]:
    return [Outgoing("", AGGREGATOR_QUEUE, b"%d" % number, str(number)) for number in range(count)]


def bodies(count: int) -> set[bytes]:
    return {message.body for message in events(count)}


async def groups_until(
    amqp_url: str, enough: Callable[[list[list[bytes]]], bool], *, max_group: int
) -> list[list[bytes]]:
    seen: list[list[bytes]] = []
    async with asyncio.timeout(20), aclosing(consume_groups(amqp_url, AGGREGATOR_QUEUE, max_group=max_group)) as groups:
        async for group in groups:
            seen.append(group)
            if enough(seen):
                break
    return seen


def test_gives_what_gathered_in_order_and_in_bounded_groups(amqp_url: str, publisher: Publisher) -> None:
    publisher.publish(events(100))
    seen = asyncio.run(groups_until(amqp_url, lambda seen: sum(map(len, seen)) == 100, max_group=30))
    assert [body for group in seen for body in group] == [message.body for message in events(100)]
    assert max(map(len, seen)) <= 30
    assert len(seen) < 20


def test_a_group_is_acknowledged_when_the_next_one_is_asked_for(amqp_url: str, publisher: Publisher) -> None:
    publisher.publish(events(5))
    first, second = asyncio.run(groups_until(amqp_url, lambda seen: len(seen) == 2, max_group=2))
    assert (first, second) == ([b"0", b"1"], [b"2", b"3"])
    eventually(lambda: publisher.depth(AGGREGATOR_QUEUE) == 3)


def test_a_group_whose_handling_fails_returns_to_the_queue(amqp_url: str, publisher: Publisher) -> None:
    async def fail() -> None:
        async with aclosing(consume_groups(amqp_url, AGGREGATOR_QUEUE, max_group=10)) as groups:
            async for _group in groups:
                raise RuntimeError("no database")

    publisher.publish(events(3))
    with pytest.raises(RuntimeError, match="no database"):
        asyncio.run(fail())
    eventually(lambda: publisher.depth(AGGREGATOR_QUEUE) == 3)


def test_a_cancelled_consumer_closes_its_connection(amqp_url: str, publisher: Publisher) -> None:
    async def cancel() -> None:
        task = asyncio.ensure_future(groups_until(amqp_url, lambda _seen: False, max_group=10))
        await asyncio.sleep(0.2)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(cancel())
    publisher.publish(events(1))
    assert publisher.depth(AGGREGATOR_QUEUE) == 1


async def cut_between_groups(
    groups: AsyncIterator[list[bytes]], cut: Callable[[], object], seen: set[bytes], *, count: int
) -> None:
    rounds = 0
    async for group in groups:
        seen.update(group)
        rounds += 1
        if rounds in {2, 4}:
            # Right after the first cut there may be no connection that a second one could cut.
            await asyncio.to_thread(eventually, cut, what="a connection is cut")
        if len(seen) == count:
            return


def test_nothing_is_lost_when_the_connection_is_cut_while_a_group_is_handled(
    amqp_url: str, publisher: Publisher
) -> None:
    seen: set[bytes] = set()

    async def consume() -> None:
        async with asyncio.timeout(20), aclosing(consume_groups(amqp_url, AGGREGATOR_QUEUE, max_group=10)) as groups:
            await cut_between_groups(groups, lambda: cut_connections(amqp_url), seen, count=100)

    publisher.publish(events(100))
    asyncio.run(consume())
    assert seen == bodies(100)


def test_goes_on_after_rabbitmq_came_back_empty(rabbitmq: RabbitMQ, amqp_url: str, publisher: Publisher) -> None:
    async def consume() -> list[bytes]:
        seen = []
        async with asyncio.timeout(20), aclosing(consume_groups(amqp_url, AGGREGATOR_QUEUE, max_group=10)) as groups:
            async for group in groups:
                seen += group
                if len(seen) == 2:
                    break
                await asyncio.to_thread(restart_empty)
        return seen

    def restart_empty() -> None:
        rabbitmq.delete()
        eventually(lambda: not publisher.wait_connected(0))
        rabbitmq.create()
        eventually(lambda: publisher.publish(events(1)) == [True])

    publisher.publish(events(1))
    assert asyncio.run(consume()) == [b"0", b"0"]
