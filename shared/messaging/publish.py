"""Publishing with confirms, many messages under way at a time."""

import threading
import time
from collections.abc import Callable, Sequence
from itertools import takewhile
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

import pika
import structlog

from shared.messaging import topology
from shared.messaging.gathering import GatheringConnection
from shared.messaging.repair import repair
from shared.telemetry import metrics

# Unconfirmed messages under way: enough that RabbitMQ writes many with one fsync, few enough to repeat after a cut.
WINDOW: Final = 1000
# How long a call waits for a connection, and after that for confirms. Beyond both a blocked connection's own bound, so
# that a memory alarm ends as a lost connection, which says why.
CONNECT_WITHIN_S: Final = 2.0
CONFIRM_WITHIN_S: Final = topology.BLOCKED_S + 10.0

# A restarted cluster needs seconds to elect the leaders of its queues; only then is a refusal a queue's own.
REPAIR_AFTER_S: Final = 15.0

PERSISTENT: Final = 2

_log = structlog.get_logger()


class Outgoing(NamedTuple):
    """A message to publish. `message_id` is unique within one call of `publish`.

    `also_keys` are further routing keys: a queue that is bound by several of them gets one copy all the same. What is
    not `mandatory` may be for nobody, and is safe then as well.
    """

    exchange: str
    routing_key: str
    body: bytes
    message_id: str
    headers: dict[str, str] | None = None
    also_keys: tuple[str, ...] = ()
    mandatory: bool = True


class Publisher:
    """One connection to RabbitMQ in a thread of its own, made again whenever it is lost.

        with Publisher(amqp_url) as publisher:
            confirmed = publisher.publish(messages)

    One thread at a time may call it. Queues that refuse messages for longer than `repair_after_s` are looked at, and
    made anew if RabbitMQ cannot use them.
    """

    def __init__(self, amqp_url: str, *, repair_after_s: float = REPAIR_AFTER_S) -> None:
        self._repair_after_s = repair_after_s
        self._parameters = topology.connection_parameters(amqp_url)
        self._link: _Link | None = None
        self._connected = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._keep_connected, name="publisher", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self._closing.set()
        self._drop_link()
        self._thread.join()

    def wait_connected(self, within_s: float) -> bool:
        """Whether there is a connection now, or comes to be within this time."""
        return self._connected.wait(within_s)

    def publish(self, messages: Sequence[Outgoing]) -> list[bool]:
        """Publish all, persistent; for each, whether RabbitMQ has it safe in every queue that it is for.

        False means not known: nacked, returned because no queue takes it, or no answer before the connection was lost.
        Such a message may have arrived all the same.
        """
        if not messages:
            return []
        confirmed = [False] * len(messages)
        with metrics.CONFIRM_SECONDS.time():
            self._call(lambda link, done: link.publish(messages, confirmed, done))
        # A confirm that comes after the call has given up must not change its answer.
        answer = list(confirmed)
        _count(answer)
        return answer

    def depth(self, queue: str) -> int | None:
        """How many messages are ready in a queue; None without an answer, and if the queue is gone."""
        found = self._look(queue)
        return found.message_count if found else None

    def has_consumers(self, queue: str) -> bool:
        """Whether anybody takes messages from a queue, as far as RabbitMQ answers."""
        found = self._look(queue)
        return bool(found and found.consumer_count)

    def _look(self, queue: str) -> Any:
        """RabbitMQ's `Queue.DeclareOk` for a queue that is there; None without an answer."""
        answer: list[Any] = []
        self._call(lambda link, done: link.look(queue, answer, done))
        return answer[0] if answer else None

    def _call(self, start: "Callable[[_Link, threading.Event], None]") -> None:
        """Run `start` in the connection's thread and wait until it has set its event, or the connection is lost."""
        if not self._connected.wait(CONNECT_WITHIN_S):
            return
        link, done = self._link, threading.Event()
        if link is None or not link.call(lambda: start(link, done), done):
            return
        if not done.wait(CONFIRM_WITHIN_S):
            _log.warning("publisher_unanswered", within_s=CONFIRM_WITHIN_S)
            # A late answer must not meet the next call.
            self._drop_link()

    def _drop_link(self) -> None:
        link = self._link
        if link is not None:
            link.call(link.close, threading.Event())

    def _keep_connected(self) -> None:
        attempts = 0
        while not self._closing.wait(topology.reconnect_delay_s(attempts) if attempts else 0.0):
            attempts += 1
            link = self._link = _Link(self._parameters, self._connected.set, self._repair_after_s)
            if self._closing.is_set():  # it was set before there was this link to drop
                link.close()
            link.run()
            if self._connected.is_set():
                attempts = 1
            self._connected.clear()
            if not self._closing.is_set():
                _log.warning("publisher_disconnected", error=repr(link.error), attempts=attempts)
                if link.refused_too_long:
                    repair(self._parameters)


def _headers(message: Outgoing) -> dict[str, Any] | None:
    # RabbitMQ's sender-selected distribution: it routes by every key in this header too.
    return {**(message.headers or {}), "CC": list(message.also_keys)} if message.also_keys else message.headers


def _count(confirmed: Sequence[bool]) -> None:
    arrived = sum(confirmed)
    metrics.PUBLISHED.labels("yes").inc(arrived)
    metrics.PUBLISHED.labels("no").inc(len(confirmed) - arrived)


class _Link:
    """One connection's life. Everything but `call` runs in the connection's thread."""

    def __init__(self, parameters: Any, on_ready: Callable[[], None], repair_after_s: float) -> None:
        self.error: object = None
        self.refused_too_long = False
        self._refused_since_s: float | None = None
        self._repair_after_s = repair_after_s
        self._on_ready = on_ready
        self._calls: set[threading.Event] = set()
        self._over = False
        self._lock = threading.Lock()
        self._publishing: _Publishing | None = None
        self._tag = 0
        self._connection = GatheringConnection(
            parameters,
            on_open_callback=lambda connection: connection.channel(on_open_callback=self._open),
            on_open_error_callback=self._lost,
            on_close_callback=self._lost,
        )

    def run(self) -> None:
        """Serve the connection until it is lost or closed."""
        try:
            self._connection.ioloop.start()
        except Exception as error:  # noqa: BLE001  # pika has many, ValueError too, and without its thread nothing connects again
            self.error = error
        with self._lock:
            self._over = True
        for done in self._calls:
            done.set()
        self._connection.ioloop.close()

    def call(self, start: Callable[[], None], done: threading.Event) -> bool:
        """Run `start` in the connection's thread; `done` is set at the latest when the connection is over."""
        with self._lock:
            if self._over:
                return False
            self._calls.add(done)
            self._connection.ioloop.add_callback_threadsafe(lambda: self._start(start, done))
            return True

    def _start(self, start: Callable[[], None], done: threading.Event) -> None:
        # A call that meets a connection on its way out is answered at once, with nothing.
        if self.error is None:
            start()
        else:
            self._finish(done)

    def publish(self, messages: Sequence[Outgoing], confirmed: list[bool], done: threading.Event) -> None:
        self._publishing = _Publishing(messages, confirmed, done)
        self._fill_window(self._publishing)

    def look(self, queue: str, answer: list[Any], done: threading.Event) -> None:
        def declared(frame: Any) -> None:
            answer.append(frame.method)
            self._finish(done)

        self._channel.queue_declare(queue, passive=True, callback=declared)

    def close(self) -> None:
        self.error = self.error or "closed by us"
        if not (self._connection.is_closing or self._connection.is_closed):
            self._connection.close()

    def _open(self, channel: Any) -> None:
        self._channel = channel
        channel.add_on_close_callback(self._channel_closed)
        channel.add_on_return_callback(self._returned)
        topology.declare_on(channel)
        channel.confirm_delivery(self._answered, callback=lambda _frame: self._on_ready())

    def _fill_window(self, publishing: "_Publishing") -> None:
        with self._connection.gathering():
            self._write_window(publishing)

    def _write_window(self, publishing: "_Publishing") -> None:
        while len(publishing.unanswered) < WINDOW and publishing.next < len(publishing.messages):
            message = publishing.messages[publishing.next]
            self._tag += 1
            publishing.unanswered[self._tag] = publishing.next
            publishing.next += 1
            properties = pika.BasicProperties(
                message_id=message.message_id, headers=_headers(message), delivery_mode=PERSISTENT
            )
            self._channel.basic_publish(
                message.exchange, message.routing_key, message.body, properties, mandatory=message.mandatory
            )

    def _answered(self, frame: Any) -> None:
        publishing = self._publishing
        if publishing is None:
            return
        tag, ack = frame.method.delivery_tag, isinstance(frame.method, pika.spec.Basic.Ack)
        publishing.answer(tag, multiple=frame.method.multiple, ack=ack)
        self._fill_window(publishing)
        if not publishing.unanswered:
            self._publishing = None
            self._finish(publishing.done)
            if publishing.returned:
                # A queue is gone. Everything is declared with the next connection, and not sooner: RabbitMQ moves the
                # consumers of a queue to one of the same name made at once, and then delivers nothing to them.
                self._leave(f"{len(publishing.returned)} messages returned")
            self._judge(refused=publishing.refused)

    def _judge(self, *, refused: int) -> None:
        """Give this connection up for a repair if every call for so long had messages that no queue would take."""
        now_s = time.monotonic()
        self._refused_since_s = (self._refused_since_s or now_s) if refused else None
        if self._refused_since_s is not None and now_s - self._refused_since_s > self._repair_after_s:
            self.refused_too_long = True
            self._leave(f"{refused} messages refused")

    def _leave(self, why: object) -> None:
        self.error = self.error or why
        if self._connection.is_open:
            self._connection.close()

    def _returned(self, _channel: Any, _method: Any, properties: Any, _body: bytes) -> None:
        if self._publishing is not None:
            self._publishing.returned.add(properties.message_id)

    def _finish(self, done: threading.Event) -> None:
        self._calls.discard(done)
        done.set()

    def _channel_closed(self, _channel: Any, reason: object) -> None:
        self._leave(reason)

    def _lost(self, _connection: Any, reason: object) -> None:
        self.error = self.error or reason
        self._connection.ioloop.stop()


class _Publishing:
    """What became of the messages of one call so far."""

    def __init__(self, messages: Sequence[Outgoing], confirmed: list[bool], done: threading.Event) -> None:
        self.messages = messages
        self.confirmed = confirmed
        self.done = done
        self.next = 0
        self.unanswered: dict[int, int] = {}
        self.returned: set[str] = set()
        self.refused = 0

    def answer(self, tag: int, *, multiple: bool, ack: bool) -> None:
        """Take in a confirm. RabbitMQ returns a message, where it does, before it confirms it."""
        # They are in the order in which they were given.
        tags = [*takewhile(lambda earlier: earlier <= tag, self.unanswered)] if multiple else [tag]
        self.refused += 0 if ack else len(tags)
        for answered in tags:
            index = self.unanswered.pop(answered)
            self.confirmed[index] = ack and self.messages[index].message_id not in self.returned
