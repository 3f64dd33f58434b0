"""Messages on one event loop."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator

import pytest

from schemas.commands import FIRST_CHARGE_QUEUES
from shared.messaging import topology
from shared.messaging.broker import HintBroker
from shared.messaging.consumer import EpochConsumer
from shared.messaging.publish import Outgoing, Publisher
from shared.messaging.worker import AsyncWorker
from tests.cutting import cut_connections
from tests.metrics import shown
from tests.rabbitmq_vhost import RabbitMQ
from tests.waiting import eventually
from tests.working import ACTOR, QUEUE, Runs, hints, working


@pytest.fixture
def publisher(amqp_url: str) -> Iterator[Publisher]:
    with Publisher(amqp_url) as publisher:
        yield publisher


def names(count: int) -> set[str]:
    return {str(number) for number in range(count)}


def test_messages_wait_together_without_a_thread_each(amqp_url: str, publisher: Publisher) -> None:
    runs = Runs(is_open=False)
    with working(amqp_url, runs, in_flight=50):
        publisher.publish(hints(120))
        eventually(lambda: len(runs.started) == 50)
        assert threading.active_count() < 10
        runs.open = True
        eventually(lambda: set(runs.finished) == names(120))
    assert publisher.depth(QUEUE) == 0
    assert set(runs.finished.values()) == {1}


def test_a_full_queue_holds_up_no_other(amqp_url: str, publisher: Publisher) -> None:
    other = FIRST_CHARGE_QUEUES["stripe"]
    runs = Runs(is_open=False)
    with working(amqp_url, runs, queues=(QUEUE, other), in_flight=2):
        publisher.publish(hints(9))
        eventually(lambda: runs.started == {"0": 1, "1": 1})
        publisher.publish(hints(1, queue=other))
        eventually(lambda: runs.started == {"0": 2, "1": 1})
        runs.open = True
        eventually(lambda: runs.finished.total() == 10)


def test_what_does_not_finish_within_the_grace_returns_to_the_queue(amqp_url: str, publisher: Publisher) -> None:
    runs = Runs(is_open=False)
    publisher.publish(hints(40))
    with working(amqp_url, runs, in_flight=8, grace_s=0.05) as worker:
        eventually(lambda: len(runs.started) == 8)
    assert worker.counts()["unfinished_at_stop"] == 8
    eventually(lambda: publisher.depth(QUEUE) == 40)


def test_a_stop_lets_work_in_flight_finish_and_starts_nothing_more(amqp_url: str, publisher: Publisher) -> None:
    runs = Runs(is_open=False)
    publisher.publish(hints(40))
    with working(amqp_url, runs, in_flight=8):
        eventually(lambda: len(runs.started) == 8)
        threading.Timer(0.2, setattr, (runs, "open", True)).start()
    assert len(runs.finished) == 8
    eventually(lambda: publisher.depth(QUEUE) == 32)


def test_a_message_that_fails_is_acknowledged_once_and_counted(amqp_url: str, publisher: Publisher) -> None:
    runs = 0

    async def fail(_payment_id: str) -> None:
        nonlocal runs
        runs += 1
        raise RuntimeError("no")

    before = shown("failed_messages_total", actor=ACTOR)
    publisher.publish(hints(3))
    with working(amqp_url, fail) as worker:
        eventually(lambda: worker.counts()["failed"] == 3)
    assert shown("failed_messages_total", actor=ACTOR) == before + 3
    assert publisher.depth(QUEUE) == 0
    assert runs == 3
    assert publisher.depth(topology.dead_letter_queue(QUEUE)) == 0


def test_what_nobody_can_run_goes_to_the_dead_letters_and_is_counted(amqp_url: str, publisher: Publisher) -> None:
    runs, before = Runs(), shown("rejected_messages_total", queue=QUEUE)
    publisher.publish([Outgoing("", QUEUE, b"{", "x"), *hints(1, actor="charge_paypal")])
    with working(amqp_url, runs) as worker:
        eventually(lambda: publisher.depth(topology.dead_letter_queue(QUEUE)) == 2)
        publisher.publish(hints(2))
        eventually(lambda: set(runs.finished) == names(2))
        assert worker.counts()["rejected"] == 2
    assert shown("rejected_messages_total", queue=QUEUE) == before + 2


def test_every_message_is_finished_although_connections_are_cut(amqp_url: str, publisher: Publisher) -> None:
    finished: Counter[str] = Counter()

    async def charge(payment_id: str) -> None:
        await asyncio.sleep(0.02)
        finished[payment_id] += 1

    stale, again = (shown(name, queue=QUEUE) for name in ("stale_acknowledgements_total", "redeliveries_total"))
    assert publisher.publish(hints(1000)) == [True] * 1000
    with working(amqp_url, charge, in_flight=20) as worker:
        for part in (100, 300, 500):
            eventually(lambda part=part: len(finished) > part)
            assert cut_connections(amqp_url)
        eventually(lambda: set(finished) == names(1000))
    eventually(lambda: publisher.depth(QUEUE) == 0)
    assert worker.counts()["stale_acknowledgements"] >= 1
    assert shown("stale_acknowledgements_total", queue=QUEUE) > stale
    assert shown("redeliveries_total", queue=QUEUE) > again
    assert worker.counts()["unfinished_at_stop"] == 0


def test_a_stale_copy_that_waited_is_not_run(rabbitmq: RabbitMQ, amqp_url: str, publisher: Publisher) -> None:
    runs = Runs(is_open=False)
    publisher.publish(hints(2))
    with working(amqp_url, runs, in_flight=1) as worker:
        eventually(lambda: runs.started.total() == 1 and rabbitmq.depth(QUEUE) == 0)
        consumer = worker.consumers[QUEUE].consumer
        assert isinstance(consumer, EpochConsumer)
        before = consumer._epoch
        assert cut_connections(amqp_url)
        eventually(lambda: consumer._epoch not in {None, before}, what="reconnect")
        eventually(lambda: rabbitmq.depth(QUEUE) == 0, what="both are delivered again")
        runs.open = True
        eventually(lambda: worker.counts()["finished"] == 3)
    assert runs.finished == {"0": 2, "1": 1}
    assert worker.counts()["stale_copies_skipped"] == 1


def test_work_goes_on_after_the_queue_was_deleted(rabbitmq: RabbitMQ, amqp_url: str, publisher: Publisher) -> None:
    runs = Runs()
    with working(amqp_url, runs):
        publisher.publish(hints(5))
        eventually(lambda: len(runs.finished) == 5)
        rabbitmq.management.delete("queues", rabbitmq.vhost, QUEUE)
        eventually(lambda: publisher.publish(hints(10)) == [True] * 10)
        eventually(lambda: len(runs.finished) == 10)


def test_work_goes_on_after_rabbitmq_came_back_empty(rabbitmq: RabbitMQ, amqp_url: str, publisher: Publisher) -> None:
    runs = Runs()
    with working(amqp_url, runs) as worker:
        eventually(lambda: publisher.publish(hints(1)) == [True])
        eventually(lambda: len(runs.finished) == 1)
        rabbitmq.delete()
        eventually(lambda: not publisher.wait_connected(0))
        rabbitmq.create()
        eventually(lambda: publisher.publish(hints(10)) == [True] * 10)
        eventually(lambda: len(runs.finished) == 10)
        assert worker.failure is None


def test_a_worker_that_cannot_prepare_does_not_start(amqp_url: str) -> None:
    async def nothing() -> None:
        pass

    async def fail() -> None:
        raise ConnectionError("no database")

    worker = AsyncWorker(HintBroker(amqp_url), in_flight=1, on_start=fail, on_stop=nothing)
    with pytest.raises(ConnectionError, match="no database"):
        worker.start()


PROGRAM = """
import asyncio, os
from shared.messaging.broker import HintBroker
from shared.messaging.worker import add_actor, run_worker

async def charge(payment_id):
    print("started", flush=True)
    await asyncio.sleep(0.3)
    print("finished", flush=True)

async def on_start():
    print("prepared", flush=True)

async def on_stop():
    print("closed", flush=True)

broker = HintBroker(os.environ["URL"])
add_actor(broker, charge, actor_name="charge_stripe", queue_name="charge.stripe.v1")
run_worker(broker, queues=["charge.stripe.v1"], in_flight=4, on_start=on_start, on_stop=on_stop, grace_s=5)
"""


def test_a_signal_lets_a_worker_process_finish_and_exit_with_0(amqp_url: str, publisher: Publisher) -> None:
    publisher.publish(hints(1))
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True, env={**os.environ, "URL": amqp_url}
    )
    assert process.stdout is not None
    lines = iter(process.stdout.readline, "")
    assert next(line for line in lines if line == "started\n")
    process.send_signal(signal.SIGTERM)
    rest = [line for line in lines if line in {"finished\n", "closed\n"}]
    assert (process.wait(10), rest) == (0, ["finished\n", "closed\n"])
    process.stdout.close()
    assert publisher.depth(QUEUE) == 0
