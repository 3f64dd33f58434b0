"""One command lane: from the outbox to a short queue, fair between practices, and between the batches of each."""

import secrets
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final
from uuid import UUID

from psycopg import Connection

from services.relay.hints import LANES, UNLIMITED, Hints
from services.relay.rates import Limits
from shared.messaging.publish import Publisher
from shared.store import outbox
from shared.store.outbox import WaitingBatch
from shared.telemetry import metrics

# Work that waits in RabbitMQ is in its final order, so only this much of it does: enough to keep workers busy until the
# next look, little enough for a small batch that comes behind a large one.
QUEUED_S: Final = 0.08
# Queued whatever the rate: the first messages of a lane, from which its rate is learned.
QUEUED_AT_LEAST: Final = 64
# The rate is learned over this time, and rises by this factor at each look that found the queue empty.
RATE_LEARNED_S: Final = 1.0
RATE_RISE: Final = 1.1
# A look at a queue that was full, and the longest wait for hints that nobody has announced.
LOOK_AGAIN_S: Final = 0.04
POLL_S: Final = 1.0
# Batches served in one round; the next round goes on behind them.
BATCHES_AT_MOST: Final = 100
# Hints of one batch that go together where many batches wait. Its payments are charged at about the same time then, and
# a small batch is counted once or twice and not for each of them.
TURN: Final = 10

BEFORE_ALL: Final = UUID(int=0)


class TakenRate:
    """How fast workers take messages from one queue, learned from its depth."""

    def __init__(self, *, at_most: float) -> None:
        self._at_most = at_most
        self._per_s = 0.0
        self._depth = 0
        self._looked_s = 0.0

    def look(self, depth: int, *, now_s: float) -> float:
        """Messages a second, after the queue was found with this depth."""
        gone, seconds = max(0, self._depth - depth), max(now_s - self._looked_s, LOOK_AGAIN_S / 2)
        # Over a second: they take messages in bursts, as their groups commit.
        self._per_s += (gone / seconds - self._per_s) * min(1.0, seconds / RATE_LEARNED_S)
        if gone and not depth:
            # It ran dry, so they may be faster than this shows.
            self._per_s = min(self._per_s * RATE_RISE, self._at_most)
        self._depth, self._looked_s = depth, now_s
        return self._per_s

    def filled(self, depth: int) -> None:
        """The queue was filled to this depth."""
        self._depth = depth


class Feed:
    """Keeps one lane's queue short and filled in turns from all its batches."""

    def __init__(
        self,
        lane: str,
        *,
        queued_at_most: int,
        limits: Limits = UNLIMITED,
        below: Callable[[int], int] = secrets.randbelow,
    ) -> None:
        self.lane = lane
        self.last_batch = BEFORE_ALL
        self._shares = partial(shares, below=below)
        self._hints = Hints(lane, LANES[lane], limits)
        self._queued_at_most = queued_at_most
        self._taken = TakenRate(at_most=queued_at_most / QUEUED_S)

    def top_up(self, connection: Connection[Any], publisher: Publisher, batches: Sequence[WaitingBatch]) -> float:
        """Publish what there is room for; return the seconds until the next look is worth it.

        `batches` are those whose turn it is: the first behind the last one served, then from the beginning.
        """
        if not batches:
            return POLL_S
        depth = publisher.depth(self._hints.goal.queue)
        if depth is None:
            return POLL_S
        rate = self._taken.look(depth, now_s=time.monotonic())
        room = min(self._queued_at_most, max(QUEUED_AT_LEAST, round(rate * QUEUED_S))) - depth
        if room <= 0:
            return LOOK_AGAIN_S
        served, taken, arrived = self._hints.send(connection, publisher, batches, room=room, share=self._shares)
        if not served:
            metrics.RATE_LIMIT_WAITS.labels(self.lane).inc()
            return LOOK_AGAIN_S
        self.last_batch = served[-1].id
        self._taken.filled(depth + arrived)
        if taken or len(batches) == BATCHES_AT_MOST:
            return 0.0 if depth == 0 and arrived else LOOK_AGAIN_S
        due_s = outbox.next_due_s(connection, lane=self.lane, batches=[batch.id for batch in served])
        return POLL_S if due_s is None else min(POLL_S, max(LOOK_AGAIN_S, due_s))


def shares(
    batches: Sequence[WaitingBatch], room: int, *, below: Callable[[int], int] = secrets.randbelow
) -> dict[UUID, int]:
    """How many hints each batch may send: every practice the same, divided among its batches, rounded up.

    Where there are many, it is the turn of so few that each may send `TURN` or more; of which, chance says (`below`).
    """
    of_practice: defaultdict[UUID, list[UUID]] = defaultdict(list)
    for batch in batches:
        of_practice[batch.practice_id].append(batch.id)
    found: dict[UUID, int] = {}
    practices, for_practice = _divided([*of_practice], room, below)
    for practice in practices:
        chosen, for_batch = _divided(of_practice[practice], for_practice, below)
        found |= dict.fromkeys(chosen, for_batch)
    return found


def _divided(those: list[UUID], room: int, below: Callable[[int], int]) -> tuple[list[UUID], int]:
    """Whose turn it is among those, and how many hints each of them may send."""
    turns = min(len(those), -(-room // TURN))
    if not turns:
        return [], 0
    first = below(len(those)) if turns < len(those) else 0
    return (those + those)[first : first + turns], -(-room // turns)
