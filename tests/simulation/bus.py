"""RabbitMQ as our code may meet it: loses, repeats, delays and reorders messages, and tells the truth about none."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import orjson

from schemas.commands import AGGREGATOR_QUEUE
from schemas.events import EVENTS_EXCHANGE
from shared.messaging.publish import Outgoing
from tests.simulation.gates import Process
from tests.simulation.world import World

_LATE_S = 600.0


@dataclass(eq=False, slots=True)
class Message:
    queue: str
    body: bytes
    ready_at: datetime
    about: tuple[str, str]


def _about(message: Outgoing) -> tuple[str, str]:
    """The step that an event tells, or what a command names. Ids sort by the time at which they were made."""
    body = orjson.loads(message.body)
    if message.exchange:
        return message.routing_key.partition(".")[0], body["event_id"]
    return message.routing_key, body["batch_id"] if message.routing_key == AGGREGATOR_QUEUE else body["args"][0]


@dataclass(eq=False, slots=True)
class Bus:
    world: World
    _ready: dict[str, list[Message]] = field(default_factory=lambda: defaultdict(list))
    _taken: dict[Process, list[Message]] = field(default_factory=lambda: defaultdict(list))

    # --- As the relay's Publisher ---

    def publish(self, messages: Sequence[Outgoing]) -> list[bool]:
        """Their fates are drawn in the order of what they are about: SQL leaves the order of equals open."""
        confirmed = {message: self._arrive(message) for message in sorted(messages, key=_about)}
        return [confirmed[message] for message in messages]

    def depth(self, queue: str) -> int | None:
        return len(self._ready[queue])

    def wait_connected(self, _within_s: float) -> bool:
        """Nobody looks how full the queues are."""
        return False

    def has_consumers(self, _queue: str) -> bool:
        return True

    def _arrive(self, message: Outgoing) -> bool:
        """Put a message into its queue, or not; whether that is confirmed."""
        world = self.world
        if message.exchange == EVENTS_EXCHANGE:
            return not world.strikes("message_unconfirmed")  # for upstream alone
        queue = message.routing_key
        lost, confirmed = world.strikes("message_lost"), not world.strikes("message_unconfirmed")
        copies = 0 if lost else 1 + world.strikes("message_doubled")
        world.trace.add(f"  {copies} of {queue} {_about(message)[1]}{'' if confirmed else ' unconfirmed'}")
        for _ in range(copies):
            late = world.strikes("message_late")
            after_s = world.random.uniform(0, _LATE_S) if late else 0.0
            self._ready[queue].append(Message(queue, message.body, world.clock.in_s(after_s), _about(message)))
        return confirmed

    # --- As a consumer ---

    def has(self, queue: str) -> bool:
        now = self.world.clock.now
        return any(message.ready_at <= now for message in self._ready[queue])

    def take(self, process: Process, queue: str) -> Message:
        """Any message that is ready: order means nothing."""
        now = self.world.clock.now
        ready = [one for one in self._ready[queue] if one.ready_at <= now]
        message = self.world.random.choice(sorted(ready, key=lambda one: one.about))
        self._ready[queue].remove(message)
        self._taken[process].append(message)
        return message

    def acknowledge(self, process: Process, message: Message) -> None:
        if message in self._taken[process]:
            self._taken[process].remove(message)

    def deliver_again(self, process: Process) -> None:
        """The process is silent: what it took and did not acknowledge is for others."""
        for message in self._taken.pop(process, []):
            self._ready[message.queue].append(message)

    # --- Faults ---

    def lose_queue(self) -> str | None:
        queues = sorted(queue for queue, messages in self._ready.items() if messages)
        if not queues:
            return None
        queue = self.world.random.choice(queues)
        self._ready[queue].clear()
        return queue

    def deliver_everything(self) -> None:
        for messages in self._ready.values():
            for message in messages:
                message.ready_at = self.world.clock.now
