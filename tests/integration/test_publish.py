"""Publishing with confirms."""

import gc
import threading
import warnings
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pika
import pytest

from schemas.commands import VOID_QUEUE
from schemas.events import EVENTS_EXCHANGE
from shared.messaging import topology
from shared.messaging.gathering import GatheringConnection
from shared.messaging.publish import WINDOW, Outgoing, Publisher
from tests.cutting import cut_connections
from tests.rabbitmq_vhost import RabbitMQ
from tests.waiting import eventually


@pytest.fixture
def publisher(amqp_url: str) -> Iterator[Publisher]:
    with Publisher(amqp_url) as publisher:
        yield publisher


def to_void(count: int) -> list[Outgoing]:
    return [Outgoing("", VOID_QUEUE, b"{}", str(number)) for number in range(count)]


def test_confirms_more_than_a_window(rabbitmq: RabbitMQ, publisher: Publisher) -> None:
    count = 3 * WINDOW + 7
    assert publisher.publish(to_void(count)) == [True] * count
    assert publisher.depth(VOID_QUEUE) == rabbitmq.depth(VOID_QUEUE) == count


def test_whatever_the_library_raises_the_publisher_connects_again(amqp_url: str) -> None:
    """pika raises ValueError when a connection is reset in the moment in which it is made."""

    def fail(_link: Any, _done: Any) -> None:
        raise ValueError("Expected connected socket")

    with Publisher(amqp_url) as publisher:
        publisher._call(fail)
        eventually(lambda: publisher.depth(VOID_QUEUE) == 0, what="it answers again")
        # The connection that was given up is closed when it is collected.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()


def test_nothing_to_publish_is_nothing(publisher: Publisher) -> None:
    assert publisher.publish([]) == []


def test_messages_carry_what_was_asked(rabbitmq: RabbitMQ, publisher: Publisher) -> None:
    publisher.publish([Outgoing("", VOID_QUEUE, b"body", "m-1", {"traceparent": "00-1"})])
    (message,) = rabbitmq.management.post(
        "queues",
        rabbitmq.vhost,
        VOID_QUEUE,
        "get",
        body={"count": 1, "ackmode": "ack_requeue_true", "encoding": "auto"},
    )
    assert message["payload"] == "body"
    properties = message["properties"]
    assert properties["headers"]["traceparent"] == "00-1"
    assert (properties["message_id"], properties["delivery_mode"]) == ("m-1", 2)


class Recorder:
    """The socket's side of a connection."""

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.written.append(data)


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def connection(recorder: Recorder) -> Iterator[GatheringConnection]:
    """One that was never made, and writes into the recorder."""
    connection = GatheringConnection(pika.ConnectionParameters("127.0.0.1", 1), internal_connection_workflow=False)
    connection._transport = recorder
    yield connection
    connection.ioloop.close()


def test_pika_sends_every_frame_by_itself(connection: GatheringConnection, recorder: Recorder) -> None:
    """Should an upgrade change this, `GatheringConnection` has nothing more to do."""
    connection._output_marshaled_frames([b"method", b"header", b"body"])
    assert recorder.written == [b"method", b"header", b"body"]


def test_what_is_written_while_gathering_is_sent_in_one_piece_also_if_something_fails(
    connection: GatheringConnection, recorder: Recorder
) -> None:
    with connection.gathering():
        connection._output_marshaled_frames([b"method", b"header"])
        connection._output_marshaled_frames([b"body"])
        assert not recorder.written
    with suppress(ZeroDivisionError), connection.gathering():
        connection._output_marshaled_frames([b"another"])
        raise ZeroDivisionError
    with connection.gathering():
        pass
    assert recorder.written == [b"methodheaderbody", b"another"]


def test_a_returned_message_is_not_confirmed_and_its_neighbours_are(publisher: Publisher) -> None:
    messages = to_void(3)
    messages[1] = Outgoing("", "no.such.queue", b"{}", "lost")
    assert publisher.publish(messages) == [True, False, True]


def test_an_event_that_nobody_wants_is_gone_and_one_of_no_kind_is_kept(
    rabbitmq: RabbitMQ, publisher: Publisher
) -> None:
    kinds = ("batch.completed", "finding.opened", "invoice.paid", "payment.approved", "request.rejected")
    events = [Outgoing(EVENTS_EXCHANGE, key, b"{}", key, mandatory=False) for key in (*kinds, "nobody.asked")]
    assert publisher.publish(events) == [True] * 6
    eventually(lambda: publisher.depth(topology.UNROUTED_QUEUE) == 1)
    for kind in kinds:
        rabbitmq.bind(kind, EVENTS_EXCHANGE, kind)
    assert publisher.publish(events) == [True] * 6
    eventually(lambda: publisher.depth(topology.UNROUTED_QUEUE) == 2)
    assert [publisher.depth(kind) for kind in kinds] == [1] * 5


def test_a_nacked_message_is_not_confirmed(rabbitmq: RabbitMQ, publisher: Publisher) -> None:
    full = {"pattern": VOID_QUEUE, "definition": {"max-length": 1, "overflow": "reject-publish"}, "apply-to": "queues"}
    assert publisher.depth(VOID_QUEUE) == 0
    rabbitmq.management.put("policies", rabbitmq.vhost, "full", body=full)
    answers: list[bool] = []

    def some_refused() -> bool:
        answers.extend(publisher.publish(to_void(50)))
        return not all(answers)

    eventually(some_refused)
    assert rabbitmq.depth(VOID_QUEUE) == sum(answers)


def test_a_cut_connection_confirms_only_what_arrived_and_the_next_call_works(
    rabbitmq: RabbitMQ, amqp_url: str, publisher: Publisher
) -> None:
    answers: list[bool] = []

    def publish_until_cut() -> None:
        while all(answers):
            answers.extend(publisher.publish(to_void(5000)))

    eventually(lambda: publisher.wait_connected(0))
    thread = threading.Thread(target=publish_until_cut)
    thread.start()
    eventually(lambda: len(answers) >= 5000)
    eventually(lambda: not thread.is_alive() or cut_connections(amqp_url) < 0, what="a call that was cut")
    assert answers[-1] is False
    assert rabbitmq.depth(VOID_QUEUE) >= sum(answers) > 0
    eventually(lambda: publisher.publish(to_void(10)) == [True] * 10)


def test_publishes_again_after_rabbitmq_came_back_empty(rabbitmq: RabbitMQ, publisher: Publisher) -> None:
    assert publisher.publish(to_void(1)) == [True]
    rabbitmq.delete()
    eventually(lambda: not publisher.wait_connected(0))
    rabbitmq.create()
    assert eventually(lambda: publisher.publish(to_void(1))) == [True]
    assert publisher.depth(VOID_QUEUE) == 1


def test_a_deleted_queue_is_there_again_after_the_call_that_missed_it(rabbitmq: RabbitMQ, publisher: Publisher) -> None:
    assert publisher.publish(to_void(1)) == [True]
    rabbitmq.management.delete("queues", rabbitmq.vhost, VOID_QUEUE)
    assert publisher.publish(to_void(1)) == [False]
    eventually(lambda: publisher.publish(to_void(1)) == [True])


def test_without_rabbitmq_nothing_is_confirmed_and_closing_works(rabbitmq: RabbitMQ, amqp_url: str) -> None:
    with Publisher(amqp_url) as publisher:
        eventually(lambda: publisher.wait_connected(0))
        rabbitmq.delete()
        eventually(lambda: not publisher.wait_connected(0))
        assert publisher.depth(VOID_QUEUE) is None
    rabbitmq.create()
