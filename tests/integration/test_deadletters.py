"""Dead letters: an operator sees why they died, and sends them once more when somebody can take them."""

import json
from collections.abc import Iterator

import pytest

from schemas.events import EVENTS_EXCHANGE
from shared.messaging.publish import Outgoing, Publisher
from shared.messaging.topology import UNROUTED_QUEUE, dead_letter_queue
from tests.command_line import batchpay
from tests.rabbitmq_vhost import RabbitMQ
from tests.waiting import eventually
from tests.working import QUEUE, Runs, hints, working

DEAD = dead_letter_queue(QUEUE)
NEWER = "charge_of_a_newer_release"


@pytest.fixture
def publisher(amqp_url: str) -> Iterator[Publisher]:
    with Publisher(amqp_url) as publisher:
        yield publisher


def deadletters(amqp_url: str, *words: str) -> list[dict[str, str]]:
    told = batchpay("deadletters", *words, "--json", BATCHPAY_AMQP_URL=amqp_url, BATCHPAY_DATABASE_URL="postgresql://")
    assert (told.code, told.err) == (0, "")
    letters: list[dict[str, str]] = told.json
    return letters


def test_a_hint_that_an_old_worker_cannot_run_is_replayed_to_a_new_one(
    amqp_url: str, publisher: Publisher, rabbitmq: RabbitMQ
) -> None:
    (hint,) = hints(1, actor=NEWER)
    publisher.publish([hint])
    with working(amqp_url, Runs()):
        eventually(lambda: publisher.depth(DEAD) == 1)
    for _ in range(2):  # looking changes nothing
        (letter,) = deadletters(amqp_url, "list", "--queue", DEAD)
        assert (letter["queue"], letter["message_id"], letter["died"]) == (DEAD, hint.message_id, "rejected")
        assert json.loads(letter["body"])["actor_name"] == NEWER
    assert [one["message_id"] for one in deadletters(amqp_url, "replay")] == [hint.message_id]
    runs = Runs()
    with working(amqp_url, runs, actor=NEWER):
        eventually(lambda: runs.finished == {"0": 1})
    eventually(lambda: rabbitmq.depth(DEAD) == rabbitmq.depth(QUEUE) == 0)


def test_an_event_that_nobody_was_bound_for_is_replayed_to_whoever_is_bound_now(
    amqp_url: str, publisher: Publisher, rabbitmq: RabbitMQ
) -> None:
    publisher.publish([Outgoing(EVENTS_EXCHANGE, "dispute.opened", b'{"type": "dispute.opened"}', "event-1")])
    eventually(lambda: publisher.depth(UNROUTED_QUEUE) == 1)
    (letter,) = deadletters(amqp_url, "list")
    assert (letter["queue"], letter["routing_key"]) == (UNROUTED_QUEUE, "dispute.opened")
    rabbitmq.bind("disputes", EVENTS_EXCHANGE, "dispute.*")
    assert len(deadletters(amqp_url, "replay", "--queue", UNROUTED_QUEUE)) == 1
    eventually(lambda: rabbitmq.bodies("disputes") == ['{"type": "dispute.opened"}'])
    assert publisher.depth(UNROUTED_QUEUE) == 0


def test_a_queue_that_holds_no_dead_letters_is_named_as_such(amqp_url: str) -> None:
    told = batchpay("deadletters", "list", "--queue", QUEUE, BATCHPAY_AMQP_URL=amqp_url)
    assert told.code == 2
    assert QUEUE in told.err
    assert DEAD in told.err
