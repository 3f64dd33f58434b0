"""Messages as a stranger sends them, safe with RabbitMQ before the connection is closed.

Without confirms a quorum queue that has no leader yet, or more to write than it takes at once, loses what a closed
channel had sent.
"""

from collections.abc import Iterable
from typing import Any

import pika


def send(amqp_url: str, exchange: str, messages: Iterable[tuple[str, bytes]], **properties: Any) -> None:
    """Publish each (routing key, body) and wait for RabbitMQ's word that it is safe."""
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        for key, body in messages:
            channel.basic_publish(exchange, key, body, pika.BasicProperties(**properties))
