"""A worker of hints in this process, whose actor counts its runs."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager

import dramatiq

from schemas.commands import CHARGE_QUEUES
from shared.messaging.broker import HintBroker
from shared.messaging.publish import Outgoing
from shared.messaging.worker import AsyncWorker, add_actor

QUEUE, ACTOR = CHARGE_QUEUES["stripe"], "charge_stripe"


class Runs:
    """An actor that counts its runs, and waits until it is open."""

    def __init__(self, *, is_open: bool = True) -> None:
        self.started: Counter[str] = Counter()
        self.finished: Counter[str] = Counter()
        self.open = is_open

    async def __call__(self, payment_id: str) -> None:
        self.started[payment_id] += 1
        while not self.open:  # noqa: ASYNC110 - it is opened by another thread
            await asyncio.sleep(0.005)
        self.finished[payment_id] += 1


@contextmanager
def working(
    amqp_url: str,
    run: Callable[[str], Awaitable[None]],
    *,
    actor: str = ACTOR,
    queues: Sequence[str] = (QUEUE,),
    in_flight: int = 8,
    grace_s: float = 5.0,
) -> Iterator[AsyncWorker]:
    async def nothing() -> None:
        pass

    broker = HintBroker(amqp_url)
    add_actor(broker, run, actor_name=actor, queue_name=QUEUE)
    for queue in queues:
        broker.declare_queue(queue)
    worker = AsyncWorker(broker, queues=set(queues), in_flight=in_flight, on_start=nothing, on_stop=nothing)
    worker.start()
    try:
        yield worker
    finally:
        worker.stop_within(grace_s)
        broker.close()


def hints(count: int, *, actor: str = ACTOR, queue: str = QUEUE) -> list[Outgoing]:
    messages = [
        dramatiq.Message[None](queue_name=queue, actor_name=actor, args=(str(number),), kwargs={}, options={})
        for number in range(count)
    ]
    return [Outgoing("", queue, message.encode(), message.message_id) for message in messages]
