"""Handing over many messages: one confirmed `send()` after the other, and many under way at a time."""

import time
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import dramatiq
from dramatiq.brokers.rabbitmq import RabbitmqBroker

from schemas.commands import CHARGE_ACTORS, CHARGE_QUEUES
from shared.messaging.publish import Outgoing, Publisher
from tests.bench.ground import Place


class _QuorumBroker(RabbitmqBroker):
    def _build_queue_arguments(self, queue_name: str) -> dict[str, Any]:
        return {**super()._build_queue_arguments(queue_name), "x-queue-type": "quorum"}


def send_loop_seconds(place: Place, *, messages: int, quorum: bool) -> float:
    """Dramatiq's `actor.send()` in a loop, each message confirmed, as a web application would do it."""
    broker = (_QuorumBroker if quorum else RabbitmqBroker)(url=place.amqp_url, confirm_delivery=True)
    queue = f"bench_send_{'quorum' if quorum else 'classic'}"

    @dramatiq.actor(broker=broker, queue_name=queue, actor_name=queue)
    def charge(_payment_id: str) -> None:
        """Never run: only its messages are measured."""

    ids = _ids(messages)
    charge.send(ids[0])
    began_s = time.monotonic()
    for payment_id in ids:
        charge.send(payment_id)
    seconds = time.monotonic() - began_s
    broker.close()
    return seconds


def windowed_seconds(place: Place, *, messages: int) -> float:
    """The same messages on our quorum queue by the windowed publisher, every one of them confirmed."""
    queue, actor = CHARGE_QUEUES["vantage"], CHARGE_ACTORS["vantage"]
    ids = _ids(messages)
    with Publisher(place.amqp_url) as publisher:
        publisher.wait_connected(10.0)
        began_s = time.monotonic()
        made = (
            dramatiq.Message(queue_name=queue, actor_name=actor, args=(payment_id,), kwargs={}, options={})
            for payment_id in ids
        )
        confirmed = publisher.publish([Outgoing("", queue, each.encode(), each.message_id) for each in made])
        seconds = time.monotonic() - began_s
    assert all(confirmed)
    return seconds


def _ids(count: int) -> Sequence[str]:
    return [str(uuid4()) for _ in range(count)]
