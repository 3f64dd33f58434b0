"""A Dramatiq worker whose messages wait in coroutines on one event loop instead of each blocking a thread."""

import signal
import threading
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final, ParamSpec

import dramatiq
import structlog
from dramatiq.worker import ConsumerThread, Worker

from shared.messaging.broker import HintBroker
from shared.messaging.consumer import EpochConsumer, EpochMessage
from shared.messaging.loop import Hook, LoopThread
from shared.telemetry import metrics

P = ParamSpec("P")

# Messages fetched beyond those in flight, so that a finished one is followed at once while its acknowledgement and the
# next delivery travel. The rest of the work stays in the queue, where any worker can take it.
PREFETCH_MARGIN: Final = 0.1
# How often a consumer thread looks around when nothing comes; whatever matters wakes it sooner.
IDLE_MS: Final = 1000
# Beyond the grace for work in flight: cancelling it, closing pools and connections.
CLOSE_WITHIN_S: Final = 10.0

_log = structlog.get_logger()


def add_actor(
    broker: HintBroker, run: Callable[P, Awaitable[None]], *, actor_name: str, queue_name: str
) -> dramatiq.Actor[P, Any]:
    """Declare an actor for AsyncWorker: `run` is `async`, and gets a message's arguments."""
    metrics.FAILED_MESSAGES.labels(actor_name)  # at nought, so that the first failure is an increase

    # Dramatiq wraps a coroutine function so that it blocks the calling thread; a plain function is left alone.
    def start(*args: P.args, **kwargs: P.kwargs) -> Awaitable[None]:
        return run(*args, **kwargs)

    return dramatiq.Actor(start, broker=broker, actor_name=actor_name, queue_name=queue_name, priority=0, options={})


def run_worker(
    broker: HintBroker, *, queues: Iterable[str], in_flight: int, on_start: Hook, on_stop: Hook, grace_s: float
) -> None:
    """Work on `queues` until SIGTERM or SIGINT, then stop gracefully and return. A second signal ends the process.

    At most `in_flight` messages of each queue run at a time, so that none of them waits for another queue's.
    RabbitMQ may come and go. Raises what `on_start` raises, and RuntimeError if the event loop ended by itself.
    """
    stop = threading.Event()

    def ask_to_stop(number: int, _frame: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, ask_to_stop)
    worker = AsyncWorker(
        broker, queues=set(queues), in_flight=in_flight, on_start=on_start, on_stop=on_stop, on_end=stop.set
    )
    worker.start()
    stop.wait()
    failure = worker.failure
    worker.stop_within(grace_s)
    if failure is not None:
        raise RuntimeError("the worker's event loop ended by itself") from failure


class AsyncWorker(Worker):
    """Dramatiq's worker with its consumer threads, and one event loop in place of its worker threads.

    At most `in_flight` messages of each queue run at a time. A message is acknowledged when its actor has finished,
    however it finished: the row in the database is the work, and the janitor hints again at what is unfinished. So a
    message that always fails can neither circle nor fill the dead letters. `on_start` and `on_stop` run on the loop,
    before the first message and after the last; `on_end` is called, on the loop's thread, if the loop ends.
    """

    def __init__(
        self,
        broker: HintBroker,
        *,
        queues: set[str] | None = None,
        in_flight: int,
        on_start: Hook,
        on_stop: Hook,
        on_end: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(broker, queues=queues, worker_threads=1, worker_timeout=IDLE_MS)
        self.loop_thread = LoopThread(broker, in_flight=in_flight, on_start=on_start, on_stop=on_stop, on_end=on_end)
        self.queue_prefetch = in_flight + max(1, round(in_flight * PREFETCH_MARGIN))

    @property
    def failure(self) -> BaseException | None:
        """What ended the event loop, if it was not asked to end."""
        return self.loop_thread.failure

    def start(self) -> None:
        """Run `on_start`, then consume. Raises what `on_start` raised."""
        self.loop_thread.start()
        self.loop_thread.wait_until_ready()
        super().start()

    def stop_within(self, grace_s: float) -> None:
        """Stop consuming, let messages in flight finish for at most `grace_s`, acknowledge them and disconnect.

        What did not finish, or never started, returns to its queue.
        """
        for thread in self.consumers.values():
            assert isinstance(thread, HintThread)
            thread.cancel()
        self.loop_thread.grace_s = grace_s
        self.stop(timeout=round((grace_s + CLOSE_WITHIN_S) * 1000))
        _log.info("worker_stopped", **self.counts())

    def counts(self) -> dict[str, int]:
        """What happened to messages so far."""
        consumers = [thread.consumer for thread in self.consumers.values()]
        ours = [consumer for consumer in consumers if isinstance(consumer, EpochConsumer)]
        return self.loop_thread.counts | {
            "stale_acknowledgements": sum(consumer.stale for consumer in ours),
            "rejected": sum(consumer.rejected for consumer in ours),
        }

    def _add_worker(self) -> None:
        self.workers.append(self.loop_thread)  # type: ignore[arg-type]  # it stops and joins as a WorkerThread does

    def _add_consumer(self, queue_name: str, *, delay: bool = False) -> None:
        if delay or queue_name in self.consumers or not self._is_wanted(queue_name):
            return
        thread = HintThread(
            broker=self.broker,
            queue_name=queue_name,
            prefetch=self.queue_prefetch,
            work_queue=self.work_queue,
            worker_timeout=self.worker_timeout,
        )
        thread.hand_over = self.loop_thread.put
        self.consumers[queue_name] = thread
        thread.start()

    def _is_wanted(self, queue_name: str) -> bool:
        return self.consumer_whitelist is None or queue_name in self.consumer_whitelist


class HintThread(ConsumerThread):
    """Dramatiq's consumer thread, handing messages over to the loop. Nothing is delayed and nothing has a priority."""

    hand_over: Callable[[EpochConsumer, EpochMessage], None]
    _cancelled = False

    def handle_message(self, message: Any) -> None:
        assert isinstance(self.consumer, EpochConsumer)
        if message.actor_name in self.broker.actors:
            self.hand_over(self.consumer, message)
        else:
            # A worker of another release may know the actor, but waiting for it would hold the queue up.
            _log.error("actor_unknown", queue=self.queue_name, actor=message.actor_name)
            self.consumer.nack(message)

    def handle_delayed_messages(self) -> None:
        """Nothing is delayed."""

    def cancel(self) -> None:
        """Take no more messages."""
        if isinstance(self.consumer, EpochConsumer):
            self.consumer.cancel()

    def stop(self) -> None:
        super().stop()
        if isinstance(self.consumer, EpochConsumer):
            self.consumer.wake()
