"""The thread with the event loop on which a worker's messages run."""

import asyncio
import threading
from collections import Counter, defaultdict, deque
from collections.abc import Awaitable, Callable
from typing import Final

import structlog
import uvloop
from dramatiq import Broker

from shared.messaging.consumer import EpochConsumer, EpochMessage
from shared.telemetry import metrics, traces
from shared.waiting import SLICE

Hook = Callable[[], Awaitable[None]]

# After the grace: how long cancelled work may take to leave its connections tidy.
CANCEL_WITHIN_S: Final = 2.0

_log = structlog.get_logger()


class LoopThread(threading.Thread):
    """Runs messages that other threads `put`, at most `in_flight` of each queue at a time, in the order they came."""

    def __init__(
        self, broker: Broker, *, in_flight: int, on_start: Hook, on_stop: Hook, on_end: Callable[[], None]
    ) -> None:
        super().__init__(name="worker-loop", daemon=True)
        self.grace_s = 0.0
        self.failure: BaseException | None = None
        self.counts = {"finished": 0, "failed": 0, "stale_copies_skipped": 0, "unfinished_at_stop": 0}
        self._broker = broker
        self._in_flight = in_flight
        self._on_start, self._on_stop, self._on_end = on_start, on_stop, on_end
        self._ready = threading.Event()
        self._waiting: defaultdict[str, deque[tuple[EpochConsumer, EpochMessage]]] = defaultdict(deque)
        self._at_work: Counter[str] = Counter()
        self._wake_asked = False
        # By id(): a Dramatiq message cannot be a key. The loop itself does not keep tasks alive.
        self._running: dict[int, asyncio.Task[None]] = {}
        self._finished: list[tuple[EpochConsumer, EpochMessage]] = []

    def put(self, consumer: EpochConsumer, message: EpochMessage) -> None:
        """Hand a message over, from any thread. A burst wakes the loop once."""
        self._waiting[consumer.queue].append((consumer, message))
        if not self._wake_asked:
            self._wake_asked = True
            self._loop.call_soon_threadsafe(self._take)

    def wait_until_ready(self) -> None:
        """Return when `on_start` has finished. Raises what it raised."""
        self._ready.wait()
        if self.failure is not None:
            raise self.failure

    def stop(self) -> None:
        """Ask the loop to finish what runs within `grace_s`, run `on_stop` and end. `join` waits for it."""
        if self.is_alive():
            self._loop.call_soon_threadsafe(self._stop_asked.set)

    def run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(self._main())
        except BaseException as error:  # noqa: BLE001 - whoever started the thread raises it
            self.failure = error
        finally:
            self._ready.set()
            self._on_end()

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop_asked = asyncio.Event()
        await self._on_start()
        self._ready.set()
        await self._stop_asked.wait()
        self._in_flight = 0
        await self._let_finish()
        self._acknowledge()
        await self._on_stop()

    async def _let_finish(self) -> None:
        running = list(self._running.values())
        if not running:
            return
        _, unfinished = await asyncio.wait(running, timeout=self.grace_s)
        self.counts["unfinished_at_stop"] = len(unfinished)
        for task in unfinished:
            task.cancel()
        if unfinished:
            await asyncio.wait(unfinished, timeout=CANCEL_WITHIN_S)

    def _take(self) -> None:
        """Start what came, as far as there is room."""
        self._wake_asked = False
        for queue in list(self._waiting):
            self._take_from(queue)

    def _take_from(self, queue: str) -> None:
        """Start a slice of what came in a queue, and the rest in the loop's next turn."""
        waiting = self._waiting[queue]
        started = 0
        while waiting and self._at_work[queue] < self._in_flight:
            if started == SLICE:
                self._loop.call_soon(self._take_from, queue)
                return
            consumer, message = waiting.popleft()
            if message.epoch.ended:
                # RabbitMQ has given it to somebody else meanwhile, perhaps to us.
                self.counts["stale_copies_skipped"] += 1
                continue
            started += 1
            self._at_work[queue] += 1
            self._running[id(message)] = self._loop.create_task(self._run(consumer, message))

    async def _run(self, consumer: EpochConsumer, message: EpochMessage) -> None:
        try:
            await self._act(message)
        except Exception:  # noqa: BLE001 - whatever escapes an actor, the row still says what is to be done
            self.counts["failed"] += 1
            metrics.FAILED_MESSAGES.labels(message.actor_name).inc()
            _log.exception("actor_failed", actor=message.actor_name, message_id=message.message_id)
        finally:
            del self._running[id(message)]
            self._at_work[consumer.queue] -= 1
        self.counts["finished"] += 1
        # Acknowledged together at the end of this turn of the loop: each wakes the consumer's thread.
        if not self._finished:
            self._loop.call_soon(self._acknowledge)
        self._finished.append((consumer, message))
        self._take_from(consumer.queue)

    async def _act(self, message: EpochMessage) -> None:
        act = self._broker.actors[message.actor_name]
        hint = traces.parse(message.options.get("traceparent")) if traces.is_on() else None
        if hint is None:
            await act(*message.args, **message.kwargs)
            return
        about = {"messaging.message.id": message.message_id, "batchpay.payment_id": message.args[0]}
        with traces.span(message.actor_name, "consumer", parent=hint, attributes=about):
            await act(*message.args, **message.kwargs)

    def _acknowledge(self) -> None:
        finished, self._finished = self._finished, []
        for consumer, message in finished:
            consumer.ack(message)
