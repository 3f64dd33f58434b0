"""Consuming in groups, for services that handle many small messages together."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Any, Final

import structlog
from pika.adapters.asyncio_connection import AsyncioConnection
from pika.exceptions import AMQPError

from shared.messaging import topology
from shared.telemetry import metrics
from shared.waiting import set_within

# The next group travels while one is handled.
GROUPS_FETCHED: Final = 2
CLOSE_WITHIN_S: Final = 2.0

_log = structlog.get_logger()


async def consume_groups(amqp_url: str, queue: str, *, max_group: int) -> AsyncGenerator[list[bytes], None]:
    """Whatever has gathered in `queue`, at least one and at most `max_group` bodies at a time, for ever.

        async with aclosing(consume_groups(amqp_url, queue, max_group=500)) as groups:
            async for group in groups:
                ...

    A group is acknowledged as a whole when the next one is asked for. Leaving the loop, by an exception too, returns
    the group to the queue. After a lost connection RabbitMQ delivers the group that was being handled again: its
    acknowledgement is dropped, as its tags mean other messages now.
    """
    attempts = 0
    while True:
        await asyncio.sleep(topology.reconnect_delay_s(attempts) if attempts else 0.0)
        attempts += 1
        link = _Link(amqp_url, queue, prefetch=max_group * GROUPS_FETCHED)
        try:
            while await link.anything():
                attempts = 1
                tag, group = link.take(max_group)
                yield group
                link.acknowledge(tag)
        finally:
            await link.close()
        if link.error is not topology.SILENCE:
            _log.warning("consumer_disconnected", queue=queue, attempts=attempts, error=repr(link.error))


class _Link:
    """One connection's life."""

    def __init__(self, amqp_url: str, queue: str, *, prefetch: int) -> None:
        self.error: object = None
        self._queue = queue
        self._prefetch = prefetch
        self._delivered: deque[tuple[int, bytes]] = deque()
        self._changed = asyncio.Event()
        self._closed = asyncio.Event()
        self._channel: Any = None
        self._connection = AsyncioConnection(
            topology.connection_parameters(amqp_url),
            on_open_callback=lambda connection: connection.channel(on_open_callback=self._open),
            on_open_error_callback=self._lost,
            on_close_callback=self._lost,
            custom_ioloop=asyncio.get_running_loop(),
        )

    async def anything(self) -> bool:
        """Wait for a delivery; False once the connection is lost, or has been silent for too long to be trusted."""
        try:
            async with asyncio.timeout(topology.TRUST_SILENCE_S):
                while not self._delivered and self.error is None:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            self.error = topology.SILENCE
        return self.error is None

    def take(self, at_most: int) -> tuple[int, list[bytes]]:
        """The next bodies, and the tag that acknowledges all of them."""
        taken = [self._delivered.popleft() for _ in range(min(at_most, len(self._delivered)))]
        return taken[-1][0], [body for _, body in taken]

    def acknowledge(self, tag: int) -> None:
        if self.error is None:
            self._channel.basic_ack(tag, multiple=True)

    async def close(self) -> None:
        """Close the connection and wait until it is."""
        self.error = self.error or "closed by us"
        with suppress(AMQPError):
            if not (self._connection.is_closing or self._connection.is_closed):
                self._connection.close()
        await set_within(self._closed, CLOSE_WITHIN_S)

    def _open(self, channel: Any) -> None:
        self._channel = channel
        channel.add_on_close_callback(lambda _channel, reason: self._end(reason))
        channel.add_on_cancel_callback(lambda _frame: self._end("the queue was deleted"))
        topology.declare_on(channel)
        channel.basic_qos(prefetch_count=self._prefetch)
        channel.basic_consume(self._queue, self._deliver)
        _log.debug("consumer_connected", queue=self._queue)

    def _deliver(self, _channel: Any, method: Any, _properties: Any, body: bytes) -> None:
        self._delivered.append((method.delivery_tag, body))
        if method.redelivered:
            metrics.REDELIVERIES.labels(self._queue).inc()
        self._changed.set()

    def _lost(self, _connection: Any, reason: object) -> None:
        self._end(reason)
        self._closed.set()

    def _end(self, reason: object) -> None:
        self.error = self.error or reason
        self._changed.set()
