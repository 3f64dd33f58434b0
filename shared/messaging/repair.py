"""Queues that are there and of no use: finds them and makes them anew.

A quorum queue whose node dies in the moment of its declaration can stay without a leader for ever. RabbitMQ declares
it again without a word, refuses every message for it and closes every connection that consumes from it. What queues
hold is never the only copy of any work: hints are given again and batches are recomputed, so that a new queue costs no
work. Only webhooks are not told of the events that such a queue held: what events tell can be read over HTTP.
"""

from typing import Any, Final

import pika
import structlog
from pika.exceptions import AMQPError, ChannelClosedByBroker, ConnectionClosedByBroker

from shared.messaging import topology

_INTERNAL_ERROR: Final = 541

_log = structlog.get_logger()


def repair(parameters: Any) -> list[str]:
    """Delete and declare again every queue of ours that cannot be consumed from; the names of those.

    Without RabbitMQ nothing is repaired. Consumers of a deleted queue connect again by themselves.
    """
    try:
        broken = [queue for queue in topology.all_queues() if not _serves(parameters, queue)]
        if broken:
            _make_anew(parameters, broken)
    except (AMQPError, OSError) as error:
        _log.warning("queues_not_repaired", error=repr(error))
        return []
    for queue in broken:
        _log.error("queue_made_anew", queue=queue, reason="it existed and had no leader")
    return broken


def _serves(parameters: Any, queue: str) -> bool:
    """Whether a consumer of the queue is accepted. What is delivered to it meanwhile goes back."""
    try:
        with pika.BlockingConnection(parameters) as connection:
            channel = connection.channel()
            channel.basic_qos(prefetch_count=1)
            channel.basic_consume(queue, lambda *_: None)
    except ChannelClosedByBroker:
        return True  # there is no such queue: whoever connects next declares it
    except ConnectionClosedByBroker as error:
        return bool(error.reply_code != _INTERNAL_ERROR)
    return True


def _make_anew(parameters: Any, queues: list[str]) -> None:
    with pika.BlockingConnection(parameters) as connection:
        channel = connection.channel()
        for queue in queues:
            channel.queue_delete(queue)
        topology.declare_on(channel)
