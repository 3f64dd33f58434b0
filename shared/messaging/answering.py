"""Taking requests from a queue and answering each to the queue that it names."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, Final, NamedTuple

import pika
import structlog
from pika.adapters.asyncio_connection import AsyncioConnection
from pika.exceptions import AMQPError

from shared.messaging import topology
from shared.messaging.properties import text
from shared.messaging.publish import PERSISTENT
from shared.waiting import set_within

# A process that stops lets what it has begun come to its answer; the rest goes back to the queue.
DRAIN_WITHIN_S: Final = 10.0
_CLOSE_WITHIN_S: Final = 2.0

_log = structlog.get_logger()


class Request(NamedTuple):
    """A request as it came. Nothing in it can be trusted."""

    body: bytes
    reply_to: str | None
    correlation_id: str | None
    headers: Mapping[str, Any]


Answer = Callable[[Request], Awaitable[bytes]]


async def answer_requests(amqp_url: str, queue: str, answer: Answer, *, at_once: int) -> None:
    """Answer requests of `queue`, `at_once` at a time, for ever.

    A request is acknowledged after RabbitMQ has its answer safe: one whose answer may be lost is delivered again, so
    `answer` must give the same one again. An answer that nobody can take (no reply queue, or it is gone, full or one of
    our own) is dropped. What `answer` raises puts the request back and makes a new connection.
    """
    attempts = 0
    while True:
        await asyncio.sleep(topology.reconnect_delay_s(attempts) if attempts else 0.0)
        attempts += 1
        link = _Link(amqp_url, queue, answer, at_once=at_once)
        try:
            await link.serve()
        finally:
            await link.close()
        if link.answered:
            attempts = 1
        if link.error is not topology.SILENCE:
            _log.warning("ingress_disconnected", queue=queue, attempts=attempts, error=repr(link.error))


class _Link:
    """One connection's life."""

    def __init__(self, amqp_url: str, queue: str, answer: Answer, *, at_once: int) -> None:
        self.error: object = None
        self.answered = 0
        self._queue, self._answer, self._at_once = queue, answer, at_once
        self._tasks: set[asyncio.Task[None]] = set()
        self._confirms: dict[int, asyncio.Future[bool]] = {}
        self._returned: set[str] = set()
        self._published = 0
        self._stirred = asyncio.Event()
        self._closed = asyncio.Event()
        self._channel: Any = None
        self._connection = AsyncioConnection(
            topology.connection_parameters(amqp_url),
            on_open_callback=lambda connection: connection.channel(on_open_callback=self._open),
            on_open_error_callback=self._lost,
            on_close_callback=self._lost,
            custom_ioloop=asyncio.get_running_loop(),
        )

    async def serve(self) -> None:
        """Return once the connection is lost, or has been silent for too long to be trusted."""
        while self.error is None:
            self._stirred.clear()
            if not await set_within(self._stirred, topology.TRUST_SILENCE_S) and not self._tasks:
                self.error = topology.SILENCE

    async def close(self) -> None:
        """Let what is under way come to its answer if it still can be given, then close the connection."""
        if self.error is None and self._channel is not None:
            self._channel.basic_cancel(self._queue)
            await asyncio.wait([*self._tasks, asyncio.create_task(asyncio.sleep(0))], timeout=DRAIN_WITHIN_S)
        self.error = self.error or "closed by us"
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with suppress(AMQPError):
            if not (self._connection.is_closing or self._connection.is_closed):
                self._connection.close()
        await set_within(self._closed, _CLOSE_WITHIN_S)

    async def _handle(self, tag: int, request: Request) -> None:
        try:
            body = await self._answer(request)
            await self._reply(request, body)
        except Exception as error:  # noqa: BLE001  # whatever escapes, the request must come again
            _log.exception("request_unanswered", queue=self._queue, error=type(error).__name__)
            self._end("a request was not answered")
        else:
            if self.error is None:
                self._channel.basic_ack(tag)
                self.answered += 1

    async def _reply(self, request: Request, body: bytes) -> None:
        """Publish the answer and wait until RabbitMQ has it, or says that nobody does."""
        # Whoever may publish requests must not be able to make us fill our own queues.
        if not request.reply_to or request.reply_to in topology.all_queues() or self.error is not None:
            return
        self._published += 1
        number = self._published
        confirmed = self._confirms[number] = asyncio.get_running_loop().create_future()
        properties = pika.BasicProperties(
            content_type="application/json",
            correlation_id=request.correlation_id,
            message_id=str(number),
            delivery_mode=PERSISTENT,
        )
        self._channel.basic_publish("", request.reply_to, body, properties, mandatory=True)
        safe = await confirmed
        if not safe or str(number) in self._returned:
            self._returned.discard(str(number))
            _log.info("answer_undeliverable", queue=self._queue)

    def _open(self, channel: Any) -> None:
        self._channel = channel
        channel.add_on_close_callback(lambda _channel, reason: self._end(reason))
        channel.add_on_cancel_callback(lambda _frame: self._end("the queue was deleted"))
        channel.add_on_return_callback(lambda _channel, _method, sent, _body: self._returned.add(sent.message_id))
        topology.declare_on(channel)
        channel.confirm_delivery(self._confirm)
        channel.basic_qos(prefetch_count=self._at_once)
        channel.basic_consume(self._queue, self._deliver, consumer_tag=self._queue)
        _log.info("ingress_connected", queue=self._queue)

    def _deliver(self, _channel: Any, method: Any, properties: Any, body: bytes) -> None:
        reply_to, correlation_id = text(properties.reply_to), text(properties.correlation_id)
        request = Request(body, reply_to, correlation_id, properties.headers or {})
        task = asyncio.create_task(self._handle(method.delivery_tag, request))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._stirred.set()

    def _confirm(self, frame: Any) -> None:
        """RabbitMQ returns a message, where it does, before it confirms it."""
        tag, ack = frame.method.delivery_tag, isinstance(frame.method, pika.spec.Basic.Ack)
        for number in [each for each in self._confirms if each == tag or (frame.method.multiple and each < tag)]:
            if not (confirmed := self._confirms.pop(number)).done():
                confirmed.set_result(ack)

    def _lost(self, _connection: Any, reason: object) -> None:
        self._end(reason)
        self._closed.set()

    def _end(self, reason: object) -> None:
        self.error = self.error or reason
        for confirmed in self._confirms.values():
            confirmed.cancel()
        self._confirms.clear()
        self._stirred.set()
