"""A RabbitMQ virtual host as tests look at it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pika
import pytest

from services.development.management import Management, ManagementError
from services.development.servers import Servers
from tests.shared_servers import unique


class RabbitMQ:
    """One virtual host of the test run's broker: `amqp_url` leads to it."""

    def __init__(self, server_url: str, api_url: str, *, vhost: str) -> None:
        address = urlsplit(server_url)
        self.vhost = vhost
        self.amqp_url = urlunsplit(address._replace(path=f"/{vhost}"))
        self.management = Management(api_url)

    def create(self) -> None:
        self.management.put("vhosts", self.vhost)
        user = urlsplit(self.amqp_url).username or "guest"
        everything = {"configure": ".*", "write": ".*", "read": ".*"}
        self.management.put("permissions", self.vhost, user, body=everything)

    def delete(self) -> None:
        """Remove the virtual host, its queues, and every connection to it."""
        self.management.delete("vhosts", self.vhost)

    def depth(self, queue: str) -> int:
        """Messages ready for delivery, exactly. A message that a consumer holds unacknowledged is not counted."""
        connection = pika.BlockingConnection(pika.URLParameters(self.amqp_url))
        try:
            declared = connection.channel().queue_declare(queue, passive=True)
            return int(declared.method.message_count)
        finally:
            connection.close()

    def bind(self, queue: str, exchange: str, key: str) -> None:
        """Make a queue that takes what the exchange gets under `key`."""
        connection = pika.BlockingConnection(pika.URLParameters(self.amqp_url))
        try:
            channel = connection.channel()
            channel.queue_declare(queue, durable=True)
            channel.queue_bind(queue, exchange, key)
        finally:
            connection.close()

    def queues(self) -> dict[str, dict[str, Any]]:
        """What the management API tells of each queue, by name. Its message counts are up to a second old."""
        return {queue["name"]: queue for queue in self.management.get("queues", self.vhost)}

    def connections(self) -> list[str]:
        """The names of the connections that are open now."""
        return [connection["name"] for connection in self.management.get("vhosts", self.vhost, "connections")]

    def close_connections(self) -> int:
        """Close every connection by force, as an operator or a failing broker would; return how many there were."""
        closed = 0
        for name in self.connections():
            try:
                self.management.delete("connections", name)
            except ManagementError:  # it went away by itself in between
                continue
            closed += 1
        return closed

    def bodies(self, queue: str, *, at_most: int = 10_000) -> list[str]:
        """The bodies of the messages that are ready in `queue`. They stay there."""
        messages = self.management.post(
            "queues",
            self.vhost,
            queue,
            "get",
            body={"count": at_most, "ackmode": "ack_requeue_true", "encoding": "auto"},
        )
        return [str(message["payload"]) for message in messages]


@contextmanager
def fresh_virtual_host(servers: Servers, prefix: str) -> Iterator[RabbitMQ]:
    """One that nobody else has, until the end of the block."""
    if servers.rabbitmq_api_url is None:
        pytest.fail(
            "Tests need RabbitMQ's management API. Set BATCHPAY_RABBITMQ_API_URL=http://user:password@host:15672"
        )
    rabbitmq = RabbitMQ(servers.amqp_url, servers.rabbitmq_api_url, vhost=unique(prefix))
    rabbitmq.create()
    try:
        yield rabbitmq
    finally:
        rabbitmq.delete()
