"""The outbox table: see `sql/outbox.sql`."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple
from uuid import UUID

from psycopg import AsyncConnection, Connection
from psycopg.rows import args_row, scalar_row

from shared.store.statements import load

# Whoever writes rows notifies this channel, once per transaction.
CHANNEL: Final = "batchpay_outbox"
# And whoever submits a batch notifies this one, with its id.
SUBMITTED_CHANNEL: Final = "batchpay_submitted"

_SQL: Final = load("outbox")
_BEFORE_ALL: Final = UUID(int=0)


class EventRow(NamedTuple):
    """An event to publish."""

    id: int
    routing_key: str
    body: str


class WaitingBatch(NamedTuple):
    """A batch with rows in a lane, whose it is, and the merchant account that it charges through."""

    id: UUID
    practice_id: UUID
    account: str | None


class CommandRow(NamedTuple):
    """A hint to look at a payment."""

    id: int
    batch_id: UUID
    payment_id: UUID


def take_events(connection: Connection[Any], *, at_most: int) -> list[EventRow]:
    """Lock the oldest events that nobody else holds."""
    with connection.cursor(row_factory=args_row(EventRow)) as cursor:
        return cursor.execute(_SQL["take_events"], {"at_most": at_most}).fetchall()


def waiting_batches(
    connection: Connection[Any], *, after: Mapping[str, UUID], at_most: int
) -> dict[str, list[WaitingBatch]]:
    """By lane: up to `at_most` batches with rows, due or not, those behind the given one before the others.

    A lane of charges whose processor is paused has none.
    """
    turns = [*after.items(), *((lane, _BEFORE_ALL) for lane, batch in after.items() if batch != _BEFORE_ALL)]
    parameters = {"lanes": [lane for lane, _ in turns], "after": [batch for _, batch in turns], "at_most": at_most}
    found: dict[str, dict[UUID, WaitingBatch]] = {lane: {} for lane in after}
    for lane, *batch in connection.execute(_SQL["waiting_batches"], parameters):
        if len(found[lane]) < at_most:
            found[lane].setdefault(batch[0], WaitingBatch(*batch))
    return {lane: list(batches.values()) for lane, batches in found.items()}


def new_batches(connection: Connection[Any], told: Iterable[str]) -> dict[str, list[WaitingBatch]]:
    """By lane: those of the batches told on `SUBMITTED_CHANNEL` whose processor is not paused."""
    found: defaultdict[str, list[WaitingBatch]] = defaultdict(list)
    for lane, *batch in connection.execute(_SQL["new_batches"], {"ids": [*filter(None, map(_id, told))]}):
        found[lane].append(WaitingBatch(*batch))
    return found


def _id(text: str) -> UUID | None:
    # Whoever may connect may notify, whatever it likes.
    try:
        return UUID(text)
    except ValueError:
        return None


def take_commands(connection: Connection[Any], *, lane: str, most: Mapping[UUID, int]) -> list[CommandRow]:
    """Lock due rows of each batch in `most`, up to the number given for it, batch by batch."""
    parameters = {"lane": lane, "batches": list(most), "most": list(most.values())}
    with connection.cursor(row_factory=args_row(CommandRow)) as cursor:
        return cursor.execute(_SQL["take_commands"], parameters).fetchall()


def next_due_s(connection: Connection[Any], *, lane: str, batches: Sequence[UUID]) -> float | None:
    """Seconds until the first row of these batches is due, negative if one is already; None without rows."""
    with connection.cursor(row_factory=scalar_row) as cursor:
        found: float | None = cursor.execute(_SQL["next_due"], {"lane": lane, "batches": list(batches)}).fetchone()
        return found


def delete(connection: Connection[Any], *, ids: Sequence[int]) -> None:
    """Remove rows that have arrived."""
    connection.execute(_SQL["delete"], {"ids": list(ids)})


async def write_event(connection: AsyncConnection[Any], *, batch_id: UUID | None, routing_key: str, body: str) -> None:
    """Tell an event that no step of a payment tells by itself."""
    await connection.execute(_SQL["write_event"], {"batch_id": batch_id, "routing_key": routing_key, "body": body})
