"""RabbitMQ, for commands that operators use."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pika
from pika.exceptions import ChannelClosedByBroker

from shared.messaging.topology import connection_parameters
from shared.settings import Settings


class Depth(NamedTuple):
    """A queue's messages that wait, without those that a consumer holds, and its consumers."""

    messages: int
    consumers: int


@contextmanager
def connected_to_rabbitmq() -> Iterator[Any]:
    connection = pika.BlockingConnection(connection_parameters(Settings().amqp_url))
    try:
        yield connection
    finally:
        if connection.is_open:
            connection.close()


def depth(connection: Any, queue: str) -> Depth | None:
    """None where there is no such queue yet. Declares nothing."""
    channel = connection.channel()
    try:
        declared = channel.queue_declare(queue, passive=True).method
    except ChannelClosedByBroker:
        return None
    channel.close()
    return Depth(declared.message_count, declared.consumer_count)
