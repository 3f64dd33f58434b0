"""What stock Dramatiq loses, and that our broker does not."""

import threading
from collections.abc import Callable
from typing import Any

import dramatiq
import dramatiq.worker
import pytest
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from dramatiq.middleware import Retries
from dramatiq.worker import ConsumerThread

from schemas.commands import AGGREGATOR_QUEUE, CHARGE_QUEUES, VOID_QUEUE
from shared.messaging import topology
from shared.messaging.broker import HintBroker
from shared.messaging.consumer import EpochConsumer
from tests.cutting import cut_connections
from tests.rabbitmq_vhost import RabbitMQ
from tests.waiting import eventually

QUEUE = CHARGE_QUEUES["vantage"]


class Work:
    """An actor: the first two messages pass, the next two wait for `first_gate`, all later runs for `last_gate`."""

    def __init__(self) -> None:
        self.started: list[int] = []
        self.finished: set[int] = set()
        self.first_gate, self.last_gate = threading.Event(), threading.Event()
        self._lock = threading.Lock()

    def __call__(self, number: int) -> None:
        with self._lock:
            self.started.append(number)
            run = len(self.started)
        if run > 2:
            (self.first_gate if run <= 4 else self.last_gate).wait()
        self.finished.add(number)


def lost_by_one_reconnect(
    broker: RabbitmqBroker, broker_url: str, rabbitmq: RabbitMQ, connection_of: Callable[[ConsumerThread], object]
) -> set[int]:
    """Messages that neither finished nor are in the queue after one reconnect with work in progress, and a crash."""
    work = Work()
    actor = dramatiq.actor(work, broker=broker, actor_name="work", queue_name=QUEUE)
    broker.declare_queue(QUEUE, ensure=True)
    for number in range(8):
        actor.send(number)
    worker = dramatiq.Worker(broker, worker_threads=2, worker_timeout=50)
    worker.start()
    try:
        eventually(lambda: len(work.started) == 4 and rabbitmq.depth(QUEUE) == 2, what="two of four in progress")
        before = connection_of(worker.consumers[QUEUE])
        assert cut_connections(broker_url)
        eventually(lambda: connection_of(worker.consumers[QUEUE]) not in {None, before}, what="reconnect")
        eventually(lambda: rabbitmq.depth(QUEUE) == 2, what="the four are delivered again")
        work.first_gate.set()
        eventually(lambda: len(work.started) == 6, what="the next two in progress")
        # Closing the connection under work in progress is what a crash of the worker would be to RabbitMQ.
        worker.stop(timeout=200)
        eventually(lambda: rabbitmq.depth(QUEUE) >= 4)
        left = {dramatiq.Message.decode(body.encode()).args[0] for body in rabbitmq.bodies(QUEUE)}
        return set(range(8)) - work.finished - left
    finally:
        work.last_gate.set()
        broker.close()


def test_no_message_is_lost_when_work_outlives_its_connection(rabbitmq: RabbitMQ, amqp_url: str) -> None:
    def connection_of(thread: ConsumerThread) -> object:
        assert isinstance(thread.consumer, EpochConsumer)
        return thread.consumer._epoch

    assert lost_by_one_reconnect(HintBroker(amqp_url), amqp_url, rabbitmq, connection_of) == set()


def test_stock_dramatiq_acknowledges_messages_that_never_ran(
    rabbitmq: RabbitMQ, amqp_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dramatiq.worker, "CONSUMER_RESTART_DELAY_SECS", 0.1)
    broker = RabbitmqBroker(url=amqp_url, confirm_delivery=True, middleware=[])
    assert lost_by_one_reconnect(broker, amqp_url, rabbitmq, lambda thread: thread.consumer) == {4, 5}


def test_stock_dramatiq_loses_a_message_whose_retry_cannot_be_published(rabbitmq: RabbitMQ, amqp_url: str) -> None:
    broker = RabbitmqBroker(url=amqp_url, confirm_delivery=True, middleware=[Retries(min_backoff=60_000)])
    failed = threading.Event()

    def work() -> None:
        failed.set()
        raise RuntimeError

    actor = dramatiq.actor(work, broker=broker, actor_name="work", queue_name=QUEUE)
    full = {"pattern": r".*\.DQ", "definition": {"max-length": 0, "overflow": "reject-publish"}, "apply-to": "queues"}
    rabbitmq.management.put("policies", rabbitmq.vhost, "full", body=full)
    broker.declare_queue(QUEUE, ensure=True)
    actor.send()
    worker = dramatiq.Worker(broker, worker_threads=1, worker_timeout=50)
    worker.start()
    assert failed.wait(5)
    worker.stop(timeout=5000)
    broker.close()
    assert sum(depths(rabbitmq).values()) == 0


def depths(rabbitmq: RabbitMQ) -> dict[str, int]:
    return {queue: rabbitmq.depth(queue) for queue in rabbitmq.queues()}


def test_dramatiq_has_none_of_its_middleware_with_us(amqp_url: str) -> None:
    assert HintBroker(amqp_url).middleware == []


def test_all_queues_are_quorum_queues_and_none_delays(rabbitmq: RabbitMQ, amqp_url: str) -> None:
    broker = HintBroker(amqp_url)
    broker.declare_queue(VOID_QUEUE, ensure=True)
    broker.close()
    found = {name: queue["type"] for name, queue in rabbitmq.queues().items()}
    assert set(found.values()) == {"quorum"}
    assert {VOID_QUEUE, AGGREGATOR_QUEUE, topology.UNROUTED_QUEUE} < set(found)
    assert not [name for name in found if name.endswith(".DQ")]


def test_a_delay_is_refused(amqp_url: str) -> None:
    broker = HintBroker(amqp_url)
    actor: Any = dramatiq.actor(lambda: None, broker=broker, actor_name="work", queue_name=QUEUE)
    with pytest.raises(ValueError, match="keeps no time"):
        actor.send_with_options(delay=10)


def test_a_queue_outside_the_topology_is_refused(amqp_url: str) -> None:
    with pytest.raises(ValueError, match="not one of the command queues"):
        HintBroker(amqp_url).declare_queue("charge.vantag.v1")


def test_a_deleted_queue_is_declared_again_by_the_next_message(rabbitmq: RabbitMQ, amqp_url: str) -> None:
    broker = HintBroker(amqp_url)
    actor: Any = dramatiq.actor(lambda: None, broker=broker, actor_name="work", queue_name=QUEUE)
    actor.send()
    rabbitmq.management.delete("queues", rabbitmq.vhost, QUEUE)
    actor.send()
    broker.close()
    assert rabbitmq.depth(QUEUE) == 1


def test_declaring_is_repeatable_and_the_url_keeps_its_own_settings(amqp_url: str) -> None:
    topology.declare(amqp_url)
    topology.declare(amqp_url)
    assert topology.connection_parameters(amqp_url).heartbeat == topology.HEARTBEAT_S
    assert topology.connection_parameters(f"{amqp_url}?heartbeat=7").heartbeat == 7
    assert topology.connection_parameters(amqp_url).blocked_connection_timeout == topology.BLOCKED_S
