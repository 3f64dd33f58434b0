"""The outbox table: see `sql/outbox.sql`."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple
from uuid import UUID

from psycopg import Connection
from psycopg.rows import args_row, scalar_row

from shared.store.statements import load

# Whoever writes rows notifies this channel, once per transaction.
CHANNEL: Final = "batchpay_outbox"

_SQL: Final = load("outbox")


class EventRow(NamedTuple):
    """An event to publish."""

    id: int
    routing_key: str
    body: str


class WaitingBatch(NamedTuple):
    """A batch with rows in a lane, and whose it is."""

    id: UUID
    practice_id: UUID


class CommandRow(NamedTuple):
    """A hint to look at a payment."""

    id: int
    batch_id: UUID
    payment_id: UUID


def take_events(connection: Connection[Any], *, at_most: int) -> list[EventRow]:
    """Lock the oldest events that nobody else holds."""
    with connection.cursor(row_factory=args_row(EventRow)) as cursor:
        return cursor.execute(_SQL["take_events"], {"at_most": at_most}).fetchall()


def waiting_batches(connection: Connection[Any], *, lane: str, after: UUID, at_most: int) -> list[WaitingBatch]:
    """The batches with rows in a command lane, due or not, in the order of their ids, that come after `after`."""
    parameters = {"lane": lane, "after": after, "at_most": at_most}
    with connection.cursor(row_factory=args_row(WaitingBatch)) as cursor:
        return cursor.execute(_SQL["waiting_batches"], parameters).fetchall()


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
