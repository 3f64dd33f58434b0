"""From rows of the outbox to hints in a queue: what every line of hints has in common."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple
from uuid import UUID

from dramatiq import Message
from psycopg import Connection

from schemas.commands import (
    CHARGE_ACTORS,
    CHARGE_QUEUES,
    FIRST_CHARGE_ACTORS,
    FIRST_CHARGE_QUEUES,
    REFUND_ACTOR,
    REFUND_QUEUE,
    VOID_ACTOR,
    VOID_QUEUE,
)
from services.relay.rates import Allowance, Limits
from shared.crash_points import reached
from shared.messaging.publish import Outgoing, Publisher
from shared.store import outbox
from shared.store.outbox import CommandRow, WaitingBatch
from shared.telemetry import traces

UNLIMITED: Final = Limits()


class Goal(NamedTuple):
    """Where hints go."""

    queue: str
    actor: str


# Where each lane's hints go, and where the first ones of a batch go.
LANES: Final = {f"charge.{name}": Goal(queue, CHARGE_ACTORS[name]) for name, queue in CHARGE_QUEUES.items()} | {
    "void": Goal(VOID_QUEUE, VOID_ACTOR),
    "refund": Goal(REFUND_QUEUE, REFUND_ACTOR),
}
FIRST_LANES: Final = {
    f"charge.{name}": Goal(queue, FIRST_CHARGE_ACTORS[name]) for name, queue in FIRST_CHARGE_QUEUES.items()
}


class Sent(NamedTuple):
    """The batches that had their turn, how many hints were taken for them and how many of these arrived."""

    served: list[WaitingBatch]
    taken: int
    arrived: int


class Hints:
    """Sends hints of one lane to one goal, within the lane's limits."""

    def __init__(self, lane: str, goal: Goal, limits: Limits = UNLIMITED) -> None:
        self.lane = lane
        self.goal = goal
        self._limits = limits

    def send(
        self,
        connection: Connection[Any],
        publisher: Publisher,
        batches: Sequence[WaitingBatch],
        *,
        room: int,
        share: Callable[[Sequence[WaitingBatch], int], Mapping[UUID, int]],
    ) -> Sent:
        """Publish at most `room` hints of `batches`, of each what `share` says, and delete the rows that arrived."""
        with connection.transaction():
            allowance = Allowance.of(connection, self.lane, self._limits, batches)
            room = allowance.room(room)
            served = allowance.open(batches)[:room]
            found = outbox.take_commands(connection, lane=self.lane, most=share(served, room))
            rows = allowance.spend(connection, in_turns(found, served), served)
            messages = [self.message(row) for row in rows]
            arrived = publish_rows(connection, publisher, [row.id for row in rows], messages)
        return Sent(served, len(rows), arrived)

    def message(self, row: CommandRow) -> Outgoing:
        # The id tells from which row a message came, and two copies of one hint apart from two hints.
        message_id = f"outbox-{row.id}"
        message: Message[Any] = Message(
            queue_name=self.goal.queue,
            actor_name=self.goal.actor,
            args=(str(row.payment_id),),
            kwargs={},
            options=self._trace(row) if traces.is_on() else {},
            message_id=message_id,
        )
        return Outgoing("", self.goal.queue, message.encode(), message_id)

    def _trace(self, row: CommandRow) -> dict[str, str]:
        """The options that put whoever works on the hint below it; its span shows when it left the outbox."""
        root = traces.root_of(row.batch_id)
        hint = traces.below(root)
        about = {"messaging.message.id": f"outbox-{row.id}", "batchpay.payment_id": str(row.payment_id)}
        traces.tell(f"hint {self.lane}", "producer", hint, parent=root, start_ns=time.time_ns(), attributes=about)
        return {"traceparent": hint.traceparent}


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
