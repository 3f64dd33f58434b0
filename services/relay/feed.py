"""One command lane: from the outbox to a short queue, fair between practices, and between the batches of each."""

import time
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from dramatiq import Message
from psycopg import Connection

from schemas.commands import CHARGE_ACTORS, CHARGE_QUEUES, REFUND_ACTOR, REFUND_QUEUE, VOID_ACTOR, VOID_QUEUE
from services.relay.rates import Allowance, Limits
from shared.crash_points import reached
from shared.messaging.publish import Outgoing, Publisher
from shared.store import outbox
from shared.store.outbox import CommandRow, WaitingBatch
from shared.telemetry import metrics, traces

# Where each lane's hints go: queue and actor.
LANES: Final = {f"charge.{name}": (queue, CHARGE_ACTORS[name]) for name, queue in CHARGE_QUEUES.items()} | {
    "void": (VOID_QUEUE, VOID_ACTOR),
    "refund": (REFUND_QUEUE, REFUND_ACTOR),
}

# Work that waits in RabbitMQ is in its final order, so only this much of it does: enough to keep workers busy until the
# next look, little enough for a small batch that comes behind a large one.
QUEUED_S: Final = 0.05
# Queued whatever the rate: the first messages of a lane, from which its rate is learned.
QUEUED_AT_LEAST: Final = 64
# The rate is learned over this time, and rises by this factor at each look that found the queue empty.
RATE_LEARNED_S: Final = 0.5
RATE_RISE: Final = 1.1
# A look at a queue that was full, and the longest wait for rows that nobody has announced.
LOOK_AGAIN_S: Final = 0.02
POLL_S: Final = 1.0
# Batches served in one round; the next round goes on behind them.
BATCHES_AT_MOST: Final = 100

BEFORE_ALL: Final = UUID(int=0)
UNLIMITED: Final = Limits()


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
        # Over half a second: they take messages in bursts, as their groups commit.
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

    def __init__(self, lane: str, *, queued_at_most: int, limits: Limits = UNLIMITED) -> None:
        self.lane = lane
        self.last_batch = BEFORE_ALL
        self._queue, self._actor = LANES[lane]
        self._queued_at_most = queued_at_most
        self._limits = limits
        self._taken = TakenRate(at_most=queued_at_most / QUEUED_S)

    def top_up(self, connection: Connection[Any], publisher: Publisher, batches: Sequence[WaitingBatch]) -> float:
        """Publish what there is room for; return the seconds until the next look is worth it.

        `batches` are those whose turn it is: the first behind the last one served, then from the beginning.
        """
        if not batches:
            return POLL_S
        depth = publisher.depth(self._queue)
        if depth is None:
            return POLL_S
        rate = self._taken.look(depth, now_s=time.monotonic())
        room = min(self._queued_at_most, max(QUEUED_AT_LEAST, round(rate * QUEUED_S))) - depth
        if room <= 0:
            return LOOK_AGAIN_S
        with connection.transaction():
            allowance = Allowance.of(connection, self.lane, self._limits, batches)
            room = allowance.room(room)
            served = allowance.open(batches)[:room]
            most = shares(served, room)
            rows = in_turns(outbox.take_commands(connection, lane=self.lane, most=most), served)
            rows = allowance.spend(connection, rows, served)
            arrived = publish_rows(
                connection, publisher, [row.id for row in rows], [self._message(row) for row in rows]
            )
        if not served:
            metrics.RATE_LIMIT_WAITS.labels(self.lane).inc()
            return LOOK_AGAIN_S
        self.last_batch = served[-1].id
        self._taken.filled(depth + arrived)
        if rows or len(batches) == BATCHES_AT_MOST:
            return 0.0 if depth == 0 and arrived else LOOK_AGAIN_S
        due_s = outbox.next_due_s(connection, lane=self.lane, batches=[batch.id for batch in served])
        return POLL_S if due_s is None else min(POLL_S, max(LOOK_AGAIN_S, due_s))

    def _message(self, row: CommandRow) -> Outgoing:
        # The id tells from which row a message came, and two copies of one hint apart from two hints.
        message_id = f"outbox-{row.id}"
        message: Message[Any] = Message(
            queue_name=self._queue,
            actor_name=self._actor,
            args=(str(row.payment_id),),
            kwargs={},
            options=self._trace(row) if traces.is_on() else {},
            message_id=message_id,
        )
        return Outgoing("", self._queue, message.encode(), message_id)

    def _trace(self, row: CommandRow) -> dict[str, str]:
        """The options that put whoever works on the hint below it; its span shows when it left the outbox."""
        root = traces.root_of(row.batch_id)
        hint = traces.below(root)
        about = {"messaging.message.id": f"outbox-{row.id}", "batchpay.payment_id": str(row.payment_id)}
        traces.tell(f"hint {self.lane}", "producer", hint, parent=root, start_ns=time.time_ns(), attributes=about)
        return {"traceparent": hint.traceparent}


def shares(batches: Sequence[WaitingBatch], room: int) -> dict[UUID, int]:
    """How many rows each batch may send: every practice the same, divided among its batches, rounded up."""
    if not batches:
        return {}
    of_practice = Counter(batch.practice_id for batch in batches)
    for_practice = -(-room // len(of_practice))
    return {batch.id: -(-for_practice // of_practice[batch.practice_id]) for batch in batches}


def in_turns(rows: Sequence[CommandRow], batches: Sequence[WaitingBatch]) -> list[CommandRow]:
    """One row of each practice, then another of each, and so on; a practice's batches take its turns in turn."""
    of_practice = Counter(batch.practice_id for batch in batches)
    place: Counter[UUID] = Counter()
    step, following = {}, {}
    for batch in batches:
        following[batch.id] = place[batch.practice_id]
        place[batch.practice_id] += 1
        step[batch.id] = of_practice[batch.practice_id]
    ordered: list[tuple[int, CommandRow]] = []
    for row in rows:
        ordered.append((following[row.batch_id], row))
        following[row.batch_id] += step[row.batch_id]
    return [row for _, row in sorted(ordered, key=lambda entry: entry[0])]


def publish_rows(
    connection: Connection[Any], publisher: Publisher, ids: Sequence[int], messages: Sequence[Outgoing]
) -> int:
    """Publish the messages of locked rows, delete those that arrived and return how many.

    The locks are held while RabbitMQ answers, so that a second relay takes other rows. To lose them costs a repeated
    message and no more; how long RabbitMQ may take is bounded by the publisher.
    """
    reached("relay_taken")
    confirmed = publisher.publish(messages)
    arrived = [row_id for row_id, safe in zip(ids, confirmed, strict=True) if safe]
    if arrived:
        reached("relay_confirmed")
        outbox.delete(connection, ids=arrived)
        reached("relay_deleted")
    return len(arrived)
