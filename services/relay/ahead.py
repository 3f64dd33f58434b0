"""The first hints of a new batch go ahead of the others', on a queue of their own: a small batch is all first hints."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from psycopg import Connection

from services.relay.hints import FIRST_LANES, UNLIMITED, Hints
from services.relay.rates import Limits
from shared.messaging.publish import Publisher
from shared.store import outbox
from shared.store.outbox import WaitingBatch

# Of one batch.
FIRST_HINTS: Final = 10
# Of all batches, and at once after a while without. Were every batch small and all went ahead, none would: what has no
# room here goes in turns with the rest.
PER_S: Final = 64.0
AT_ONCE: Final = 64.0
# So often it is asked who takes them, and not when a batch waits: an answer takes as long as a hint.
LOOK_EVERY_S: Final = 1.0
# So long the other line leaves a new batch alone, which it may find by itself: what it took would wait in turns.
LEFT_S: Final = 0.1


class Ahead:
    """Sends the first hints of each batch that was just submitted."""

    def __init__(self, limits: Mapping[str, Limits], *, monotonic: Callable[[], float]) -> None:
        self._lines = {lane: Hints(lane, goal, limits.get(lane, UNLIMITED)) for lane, goal in FIRST_LANES.items()}
        self._monotonic = monotonic
        self._left = AT_ONCE
        self._refilled_s = monotonic()
        self._taken_from: set[str] = set()
        self._next_look_s = 0.0

    def send(self, connection: Connection[Any], publisher: Publisher, told: Iterable[str]) -> None:
        """Send those of the batches `told`, their ids, as far as there is room and somebody took some at the last look.

        The others' turn begins then: they are notified here and not by who submitted.
        """
        now_s = self._monotonic()
        self._left = min(AT_ONCE, self._left + (now_s - self._refilled_s) * PER_S)
        self._refilled_s = now_s
        for lane, batches in outbox.new_batches(connection, told).items():
            line, room = self._lines[lane], int(self._left)
            # While no worker of this release runs, all go the other way.
            if room and line.goal.queue in self._taken_from:
                self._left -= line.send(connection, publisher, batches, room=room, share=first_shares).arrived
        outbox.notify(connection)

    def look(self, publisher: Publisher) -> None:
        """See from which queues somebody takes, now and then."""
        now_s = self._monotonic()
        if now_s >= self._next_look_s:
            self._next_look_s = now_s + LOOK_EVERY_S
            queues = [line.goal.queue for line in self._lines.values()]
            self._taken_from = {queue for queue in queues if publisher.has_consumers(queue)}


def first_shares(batches: Sequence[WaitingBatch], room: int) -> dict[UUID, int]:
    """How many hints of each batch go ahead: its first ones, or fewer where many batches come at once."""
    return {batch.id: min(FIRST_HINTS, room // len(batches)) for batch in batches}
