"""From the outbox and the rows of new batches to hints in a queue: what every line of hints has in common."""

import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final, NamedTuple, assert_never
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
from services.relay.publishing import publish_locked
from services.relay.rates import Allowance, Limits
from shared.messaging.publish import Outgoing, Publisher
from shared.store import outbox
from shared.store.outbox import CommandRow, FirstHint, Hint, Taken, WaitingBatch
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
        """Publish at most `room` hints of `batches`, of each what `share` says, and take off those that arrived."""
        with connection.transaction():
            allowance = Allowance.of(connection, self.lane, self._limits, batches)
            room = allowance.room(room)
            served = allowance.open(batches)[:room]
            taken = outbox.take_hints(connection, lane=self.lane, most=share(served, room))
            hints = allowance.spend(connection, in_turns([*taken.rows, *taken.firsts], served), served)
            arrived = publish_locked(
                publisher,
                [self.message(hint) for hint in hints],
                take_off=lambda confirmed: self._take_off(connection, taken, _those(hints, confirmed)),
            )
        return Sent(served, len(hints), arrived)

    def _take_off(self, connection: Connection[Any], taken: Taken, arrived: Collection[Hint]) -> None:
        rows = [row.id for row in taken.rows if row in arrived]
        if rows:
            outbox.delete(connection, ids=rows)
        if taken.held:
            outbox.move_cursors(connection, lane=self.lane, hinted=hinted_up_to(taken, arrived))

    def message(self, hint: Hint) -> Outgoing:
        # The id tells what a message came from, and two copies of one hint apart from two hints.
        message_id = _message_id(hint)
        message: Message[Any] = Message(
            queue_name=self.goal.queue,
            actor_name=self.goal.actor,
            args=(str(hint.payment_id),),
            kwargs={},
            options=self._trace(hint) if traces.is_on() else {},
            message_id=message_id,
        )
        return Outgoing("", self.goal.queue, message.encode(), message_id)

    def _trace(self, hint: Hint) -> dict[str, str]:
        """The options that put whoever works on the hint below it; its span shows when it left for RabbitMQ."""
        root = traces.root_of(hint.batch_id)
        span = traces.below(root)
        about = {"messaging.message.id": _message_id(hint), "batchpay.payment_id": str(hint.payment_id)}
        traces.tell(f"hint {self.lane}", "producer", span, parent=root, start_ns=time.time_ns(), attributes=about)
        return {"traceparent": span.traceparent}


def _message_id(hint: Hint) -> str:
    match hint:
        case CommandRow():
            return f"outbox-{hint.id}"
        case FirstHint():
            return f"hint-{hint.payment_id}"
        case _:
            assert_never(hint)


def _those(hints: Sequence[Hint], confirmed: Sequence[bool]) -> set[Hint]:
    return {hint for hint, safe in zip(hints, confirmed, strict=True) if safe}


def hinted_up_to(taken: Taken, arrived: Collection[Hint]) -> dict[UUID, UUID | None]:
    """For each batch held: the last payment before the first whose hint has not arrived, None if that is the first.

    That one, left out or unconfirmed, is taken again, and with it what was published behind it: a repeated hint does no
    harm, and a cursor beyond a lost one would have forgotten it.
    """
    up_to: dict[UUID, UUID | None] = dict.fromkeys(taken.held)
    missed: set[UUID] = set()
    for first in taken.firsts:
        if first not in arrived:
            missed.add(first.batch_id)
        elif first.batch_id not in missed:
            up_to[first.batch_id] = first.payment_id
    return up_to


def in_turns(hints: Sequence[Hint], batches: Sequence[WaitingBatch]) -> list[Hint]:
    """One hint of each practice, then another of each, and so on; a practice's batches take its turns in turn."""
    of_practice = Counter(batch.practice_id for batch in batches)
    place: Counter[UUID] = Counter()
    step, following = {}, {}
    for batch in batches:
        following[batch.id] = place[batch.practice_id]
        place[batch.practice_id] += 1
        step[batch.id] = of_practice[batch.practice_id]
    ordered: list[tuple[int, Hint]] = []
    for hint in hints:
        ordered.append((following[hint.batch_id], hint))
        following[hint.batch_id] += step[hint.batch_id]
    return [hint for _, hint in sorted(ordered, key=lambda entry: entry[0])]
