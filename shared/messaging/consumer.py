"""A Dramatiq consumer that knows which connection a message came over.

A delivery tag is a small integer that means something only on the channel that delivered it. After a reconnect RabbitMQ
delivers the unacknowledged messages again under the same small integers, so that an acknowledgement of work from the
old connection would remove another message, which is then lost. Here every message carries its epoch, the one
connection that delivered it, and only that connection can acknowledge it.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import pika
import structlog
from dramatiq import Consumer, Message, MessageProxy
from dramatiq.errors import DecodeError
from pika.exceptions import AMQPError

from shared.messaging import topology
from shared.telemetry import metrics

if TYPE_CHECKING:
    from dramatiq.brokers.rabbitmq import RabbitmqBroker

# What pika raises for a connection that is gone or cannot be made; its own checks fail as AssertionError when the
# connection breaks under them.
CONNECTION_ERRORS: Final = (AMQPError, AssertionError, OSError)

_log = structlog.get_logger()


class SilentTooLong(AMQPError):  # type: ignore[misc]  # noqa: N818 - pika is untyped; it reads as the fact it states
    """Nothing was delivered for so long that the connection is made anew to be sure of it."""


class EpochMessage(MessageProxy):
    """A message, the epoch that delivered it and its delivery tag there."""

    def __init__(self, message: "Message[Any]", epoch: "Epoch", tag: int) -> None:
        super().__init__(message)
        self.epoch = epoch
        self.tag = tag


class Epoch:
    """The life of one connection: what it delivered and what of that was acknowledged."""

    def __init__(self, parameters: Any, queue: str, prefetch: int) -> None:
        self._redeliveries = metrics.REDELIVERIES.labels(queue)
        self._connection = pika.BlockingConnection(parameters)
        try:
            self._channel = self._connection.channel()
            topology.declare_on(self._channel)
            self._channel.basic_qos(prefetch_count=prefetch)
            self._channel.add_on_cancel_callback(self._cancelled_by_broker)
            self.ended = False
            self.delivered: deque[tuple[int, bytes]] = deque()
            self._finished: deque[tuple[int, bool]] = deque()
            self._flush_asked = False
            self._settled: set[int] = set()
            self._settled_to = 0
            self._outstanding = 0
            self._last_delivery_s = time.monotonic()
            self._alarm_is_set = False
            self._consumer_tag: str | None = self._channel.basic_consume(queue, self._deliver)
        except BaseException:
            self.end()
            raise

    def receive(self, timeout_s: float) -> None:
        """Wait until something was delivered or `wake` was called, at most `timeout_s`.

        pika's own time limit makes a timer for each call and keeps it when the call is over: to sort them is a tenth of
        a busy consumer's time. Here one timer serves every call until it rings.
        """
        if self.ended:
            raise AMQPError("the queue was deleted")
        if not self._outstanding and time.monotonic() > self._last_delivery_s + topology.TRUST_SILENCE_S:
            raise SilentTooLong
        if not self._alarm_is_set:
            self._alarm_is_set = True
            self._connection.call_later(timeout_s, self._alarm_rang)
        self._connection.process_data_events(None)

    def _alarm_rang(self) -> None:
        self._alarm_is_set = False

    def finish(self, tag: int, *, ack: bool) -> bool:
        """Acknowledge or reject a message, from any thread; False if this epoch is over and RabbitMQ has it back."""
        if self.ended:
            return False
        self._finished.append((tag, ack))
        # One wake-up of the consumer's thread settles all that finished until it comes to it: that is most of the cost.
        if self._flush_asked:
            return True
        self._flush_asked = True
        return self.wake(self.flush)

    def flush(self) -> None:
        """Tell RabbitMQ about everything finished so far: in the consumer's thread."""
        self._flush_asked = False
        acked = set()
        while self._finished:
            tag, ack = self._finished.popleft()
            self._outstanding -= 1
            if ack:
                acked.add(tag)
            else:
                self._channel.basic_reject(tag, requeue=False)
                self._settled.add(tag)
        for tag, multiple in self._acknowledgements(acked):
            self._channel.basic_ack(tag, multiple=multiple)

    def _acknowledgements(self, acked: set[int]) -> list[tuple[int, bool]]:
        """The fewest frames for these tags: one for all up to the first message that is still being worked on."""
        settled = self._settled | acked
        reached = self._settled_to
        while reached + 1 in settled:
            reached += 1
            settled.discard(reached)
        self._settled_to, self._settled = reached, settled
        # RabbitMQ wants the named tag to be one that it still waits for, so the last new one is named.
        upto = max((tag for tag in acked if tag <= reached), default=None)
        frames = [] if upto is None else [(upto, True)]
        return frames + [(tag, False) for tag in sorted(acked) if tag > reached]

    def wake(self, call: Callable[[], None] = lambda: None) -> bool:
        """Let `receive` return after `call`, from any thread; False if the connection is gone."""
        try:
            self._connection.add_callback_threadsafe(call)
        except AMQPError:
            return False
        return True

    def cancel(self) -> None:
        """Take no more deliveries, and keep the connection for the acknowledgements."""
        if self._consumer_tag is not None:
            tag, self._consumer_tag = self._consumer_tag, None
            self._channel.basic_cancel(tag)

    def end(self) -> None:
        """Close the connection. Whatever is not acknowledged goes back to its queue."""
        self.ended = True
        with suppress(*CONNECTION_ERRORS):
            if self._connection.is_open:
                self._connection.close()

    def _deliver(self, _channel: Any, method: Any, _properties: Any, body: bytes) -> None:
        self.delivered.append((method.delivery_tag, body))
        self._outstanding += 1
        if method.redelivered:
            self._redeliveries.inc()
        self._last_delivery_s = time.monotonic()

    def _cancelled_by_broker(self, _method: Any) -> None:
        self.ended = True


class EpochConsumer(Consumer):
    """Iterates over the messages of a queue for ever: None while there is none, or no RabbitMQ.

    It reconnects by itself and quickly. Dramatiq's consumer thread, which would make a new consumer after an error,
    waits three seconds first, a time that can only be changed in the environment before Dramatiq is imported.
    """

    def __init__(self, broker: "RabbitmqBroker", queue_name: str, prefetch: int, timeout: int) -> None:
        self._stale_acknowledgements = metrics.STALE_ACKNOWLEDGEMENTS.labels(queue_name)
        self._rejected_messages = metrics.REJECTED_MESSAGES.labels(queue_name)
        self.stale = 0
        self.rejected = 0
        self._parameters = broker.parameters
        self.queue = queue_name
        self._prefetch = prefetch
        self._timeout_s = timeout / 1000
        self._epoch: Epoch | None = None
        self._attempts = 0
        self._woken = threading.Event()
        self._cancelled = False

    def __next__(self) -> EpochMessage | None:
        epoch = self._epoch
        try:
            if self._cancelled or epoch is None:
                self._idle(epoch)
                return None
            if not epoch.delivered:
                epoch.receive(self._timeout_s)
        except CONNECTION_ERRORS as error:
            self._lose(error)
            return None
        return self._next_message(epoch) if epoch.delivered else None

    def ack(self, message: MessageProxy) -> None:
        """Acknowledge, from any thread. A message of an earlier epoch is counted: RabbitMQ has delivered it again."""
        self._finish(message, ack=True)

    def nack(self, message: MessageProxy) -> None:
        """Reject to the dead letters, from any thread, with the same rule."""
        self.rejected += 1
        self._rejected_messages.inc()
        self._finish(message, ack=False)

    def cancel(self) -> None:
        """Take no more messages, from any thread. Acknowledgements go on until `close`."""
        self._cancelled = True
        self.wake()

    def wake(self) -> None:
        """Let a waiting `__next__` return, from any thread."""
        self._woken.set()
        if self._epoch is not None:
            self._epoch.wake()

    def close(self) -> None:
        """Send what was acknowledged and close the connection; unfinished messages return to their queue."""
        epoch, self._epoch = self._epoch, None
        if epoch is not None:
            with suppress(*CONNECTION_ERRORS):
                epoch.flush()
            epoch.end()

    def _next_message(self, epoch: Epoch) -> EpochMessage | None:
        tag, body = epoch.delivered.popleft()
        try:
            return EpochMessage(Message.decode(body), epoch, tag)
        except DecodeError:
            # The body itself stays out of the log: nobody knows what a stranger wrote into it.
            _log.error("message_unreadable", queue=self.queue, size_bytes=len(body))
            self.rejected += 1
            self._rejected_messages.inc()
            epoch.finish(tag, ack=False)
            return None

    def _finish(self, message: MessageProxy, *, ack: bool) -> None:
        assert isinstance(message, EpochMessage), f"{message!r} did not come from an EpochConsumer"
        if not message.epoch.finish(message.tag, ack=ack):
            self.stale += 1
            self._stale_acknowledgements.inc()
            _log.info(
                "stale_acknowledgement_ignored", queue=self.queue, message_id=message.message_id, total=self.stale
            )

    def _idle(self, epoch: Epoch | None) -> None:
        """Connect; or, once cancelled, only keep an open connection alive for acknowledgements."""
        if epoch is not None:
            epoch.cancel()
            epoch.delivered.clear()
            epoch.receive(self._timeout_s)
        elif self._cancelled:
            self._pause(self._timeout_s)
        else:
            self._pause(topology.reconnect_delay_s(self._attempts) if self._attempts else 0.0)
            self._attempts += 1
            self._epoch = Epoch(self._parameters, self.queue, self._prefetch)
            _log.debug("consumer_connected", queue=self.queue)
            self._attempts = 1

    def _pause(self, at_most_s: float) -> None:
        if self._woken.wait(at_most_s):
            self._woken.clear()

    def _lose(self, error: BaseException) -> None:
        epoch, self._epoch = self._epoch, None
        if epoch is not None:
            epoch.end()
        if not isinstance(error, SilentTooLong):
            _log.warning("consumer_disconnected", queue=self.queue, attempts=self._attempts, error=repr(error))
