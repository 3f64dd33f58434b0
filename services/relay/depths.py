"""How full the queues are, for the metrics: dead letters have nobody else who looks at them."""

import time
from typing import Final

from shared.messaging import topology
from shared.messaging.publish import Publisher
from shared.telemetry.metrics import QUEUE_MESSAGES

# About as often as metrics are collected; a look asks RabbitMQ once for each queue.
LOOK_EVERY_S: Final = 10.0


class Depths:
    """Looks at every queue now and then."""

    def __init__(self) -> None:
        self._next_look_s = 0.0

    def look(self, publisher: Publisher) -> None:
        now_s = time.monotonic()
        if now_s < self._next_look_s or not publisher.wait_connected(0.0):
            return
        self._next_look_s = now_s + LOOK_EVERY_S
        for queue in topology.all_queues():
            depth = publisher.depth(queue)
            if depth is not None:
                QUEUE_MESSAGES.labels(queue).set(depth)
