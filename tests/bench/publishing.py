"""Handing over many messages: one confirmed `send()` after the other, and many under way at a time."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import dramatiq
from dramatiq.brokers.rabbitmq import RabbitmqBroker

from schemas.commands import CHARGE_ACTORS, CHARGE_QUEUES
from shared.messaging.publish import Outgoing, Publisher
from tests.bench.cpu import Cpu
from tests.bench.ground import Place


@dataclass(frozen=True, slots=True, kw_only=True)
class HandedOver:
    """`cpu_us` is for each message or payment, over everybody who takes part."""

    seconds: float
    cpu_us: float


class _QuorumBroker(RabbitmqBroker):
    def _build_queue_arguments(self, queue_name: str) -> dict[str, Any]:
        return {**super()._build_queue_arguments(queue_name), "x-queue-type": "quorum"}


def send_loop(place: Place, *, messages: int, quorum: bool) -> HandedOver:
    """Dramatiq's `actor.send()` in a loop, each message confirmed, as a web application would do it."""
    broker = (_QuorumBroker if quorum else RabbitmqBroker)(url=place.amqp_url, confirm_delivery=True)
    queue = f"bench_send_{'quorum' if quorum else 'classic'}"

    @dramatiq.actor(broker=broker, queue_name=queue, actor_name=queue)
    def charge(_payment_id: str) -> None:
        """Never run: only its messages are measured."""

    ids = _ids(messages)
    charge.send(ids[0])
    with _measured(place, messages) as found:
        for payment_id in ids:
            charge.send(payment_id)
    broker.close()
    return found[0]


def windowed(place: Place, *, messages: int) -> HandedOver:
    """The same messages on our quorum queue by the windowed publisher, every one of them confirmed."""
    queue, actor = CHARGE_QUEUES["vantage"], CHARGE_ACTORS["vantage"]
    ids = _ids(messages)
    with Publisher(place.amqp_url) as publisher:
        publisher.wait_connected(10.0)
        with _measured(place, messages) as found:
            made = (
                dramatiq.Message(queue_name=queue, actor_name=actor, args=(payment_id,), kwargs={}, options={})
                for payment_id in ids
            )
            confirmed = publisher.publish([Outgoing("", queue, each.encode(), each.message_id) for each in made])
    assert all(confirmed)
    return found[0]


@contextmanager
def _measured(place: Place, messages: int) -> Iterator[list[HandedOver]]:
    """The publisher is this process, so its own CPU counts here."""
    found: list[HandedOver] = []
    before, own_s, began_s = Cpu.read(place.server_pids), time.process_time(), time.monotonic()
    yield found
    seconds, own_s = time.monotonic() - began_s, time.process_time() - own_s
    used = sum(Cpu.read(place.server_pids).since(before).values()) + own_s
    found.append(HandedOver(seconds=seconds, cpu_us=used / messages * 1e6))


def _ids(count: int) -> Sequence[str]:
    return [str(uuid4()) for _ in range(count)]
