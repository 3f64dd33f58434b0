"""A quorum queue without a leader, as RabbitMQ 3.10 leaves it when its node dies in the moment of the declaration."""

import subprocess
from collections.abc import Iterator

import pytest

from schemas.commands import AGGREGATOR_QUEUE, CHARGE_QUEUES
from schemas.events import EVENTS_EXCHANGE
from services.development.rabbitmq import rabbitmq_server_program
from services.development.servers import Kind, Servers, development_servers
from shared.messaging import topology
from shared.messaging.publish import Outgoing, Publisher
from shared.messaging.repair import repair
from tests.waiting import eventually

QUEUE = CHARGE_QUEUES["vantage"]
REPAIR_AFTER_S = 0.2
WITHIN_S = 60.0


@pytest.fixture(scope="module")
def own_servers() -> Iterator[Servers]:
    """A RabbitMQ whose queues these tests may break from inside."""
    with development_servers(Kind.LOCAL) as servers:
        topology.declare(servers.amqp_url)
        yield servers


def take_leader(servers: Servers, queue: str) -> None:
    """Stop the queue's only replica for good; to RabbitMQ the queue still exists."""
    assert servers.rabbitmq
    program = rabbitmq_server_program().with_name("rabbitmqctl")
    stop = f"ok = ra:stop_server(quorum_queues, {{'%2F_{queue}', node()}})."
    subprocess.run([str(program), "eval", stop], env=dict(servers.rabbitmq.environment), check=True, timeout=WITHIN_S)


@pytest.mark.parametrize(
    ("queue", "exchange", "routing_key"),
    [
        (QUEUE, "", QUEUE),
        (AGGREGATOR_QUEUE, "", AGGREGATOR_QUEUE),
        (topology.NOTIFY_QUEUE, "", topology.NOTIFY_QUEUE),
        (topology.UNROUTED_QUEUE, EVENTS_EXCHANGE, "nobody.asked"),
    ],
)
def test_a_queue_without_a_leader_is_made_anew_by_who_publishes_to_it(
    own_servers: Servers, queue: str, exchange: str, routing_key: str
) -> None:
    message = Outgoing(exchange, routing_key, b"{}", "one")
    take_leader(own_servers, queue)
    with Publisher(own_servers.amqp_url, repair_after_s=REPAIR_AFTER_S) as publisher:
        assert publisher.publish([message]) == [False]
        eventually(lambda: publisher.publish([message]) == [True], within_s=WITHIN_S, what="the queue takes messages")
        assert publisher.publish([message]) == [True]


def test_a_queue_that_serves_is_left_alone_with_its_messages(own_servers: Servers) -> None:
    parameters = topology.connection_parameters(own_servers.amqp_url)
    with Publisher(own_servers.amqp_url) as publisher:
        assert publisher.publish([Outgoing("", QUEUE, b"{}", "one")]) == [True]
        eventually(lambda: publisher.depth(QUEUE), what="a message waits")
        before = publisher.depth(QUEUE)
        take_leader(own_servers, AGGREGATOR_QUEUE)
        assert repair(parameters) == [AGGREGATOR_QUEUE]
        assert repair(parameters) == []
        eventually(lambda: publisher.depth(QUEUE) == before, what="what the look took is back")


def test_without_rabbitmq_nothing_is_repaired() -> None:
    assert repair(topology.connection_parameters("amqp://guest:guest@127.0.0.1:1/%2F?connection_attempts=1")) == []
