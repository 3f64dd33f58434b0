"""Typed twin of `sql/batches.sql`: the history of a practice's batches. Nothing here commits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import class_row, dict_row

from shared.domain.batch import (
    BatchStatus,
    Group,
    Posting,
    StateCount,
    Tally,
    group,
    status,
    tally,
)
from shared.domain.payment import State
from shared.store.paging import Cursor, Order
from shared.store.scope import Scope
from shared.store.statements import load

_SQL: Final = load("batches")
# The order of the history; the only one that a caller with own clients has, because other orders need every batch's
# own amounts first, and their time would grow with the history.
NEWEST_FIRST: Final = "submitted"
LONGEST_NUMBER: Final = 18  # digits of a bigint that cannot overflow
_PENDING_STATES: Final = [state for state in State if group(state) is Group.UNFINISHED or state is State.APPROVED]
_COUNTED: Final = (
    "approved", "approved_minor", "declined", "declined_minor", "canceled", "canceled_minor", "returned",
    "returned_minor", "unfinished", "unfinished_minor", "in_review",
)  # fmt: skip
Connection = AsyncConnection[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """One line of the history. With own clients only, tally, status and posting are those of the own rows, and the
    payment number (typed for all) is left out.
    """

    id: UUID
    number: int
    processor: str
    currency: str
    status: BatchStatus
    posting: Posting
    tally: Tally
    total: int
    total_minor: int
    payment_number: str | None
    first_payment_number: int | None
    last_payment_number: int | None
    submitted_by: str
    submitted_at: datetime
    approved_by: str | None
    retry_of: UUID | None
    void_requested_at: datetime | None
    void_requested_by: str | None
    finished_at: datetime | None
    posted_at: datetime | None
    own_rows_only: bool
    # Others' payments are in the batch as well.
    hides_rows: bool
    cursor: Cursor


@dataclass(frozen=True, slots=True)
class Part:
    """The payments of a batch that are in one state for one reason."""

    batch_id: UUID
    state: State
    reason_code: str | None
    in_review: bool
    void_asked: bool
    payments: int
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Counts:
    """How many batches the practice has."""

    pending: int
    posted: int


async def page(
    connection: Connection, scope: Scope, *, posting: Posting | None, order: Order, search: str | None = None
) -> list[Batch]:
    """One page of the history; `search` is a batch's number or (part of) a payment number.

    Raises ValueError for an order other than newest first with own clients only.
    """
    searched = {"search": search, "search_number": as_number(search or "")}
    if scope.own_clients:
        if (order.sort, order.descending) != (NEWEST_FIRST, True):
            raise ValueError("with own clients only, the history is sorted newest first")
        return await _read(connection, "newest_own", _own_parameters(scope, posting=posting, order=order) | searched)
    name = "newest" if (order.sort, order.descending) == (NEWEST_FIRST, True) else "sorted"
    return await _read(connection, name, {**scope.parameters(), **order.parameters(), "posting": posting, **searched})


async def find(
    connection: Connection, scope: Scope, *, batch_id: UUID | None = None, number: int | None = None
) -> Batch | None:
    """The batch with this id or this number; None if this caller sees nothing of it."""
    wanted = {"id": batch_id, "number": number}
    if scope.own_clients:
        order = Order(sort=NEWEST_FIRST, descending=True, limit=1)
        rows = await _read(connection, "newest_own", _own_parameters(scope, posting=None, order=order) | wanted)
    else:
        rows = await _read(connection, "one", {**scope.parameters(), **wanted})
    return rows[0] if rows else None


async def breakdown(connection: Connection, scope: Scope, *, batch_ids: Sequence[UUID]) -> dict[UUID, list[Part]]:
    """The parts of these batches, as far as this caller sees them."""
    parts: dict[UUID, list[Part]] = {batch_id: [] for batch_id in batch_ids}
    cursor = await connection.execute(
        _SQL["breakdown"], {**scope.parameters(), "batch_ids": list(batch_ids)}, prepare=False
    )
    for batch_id, state, *rest in await cursor.fetchall():
        parts[batch_id].append(Part(batch_id, State(state), *rest))
    return parts


async def counts(connection: Connection, scope: Scope) -> Counts | None:
    """The practice's batches; None with own clients only: a clinician does not learn how many there are."""
    if scope.own_clients:
        return None
    async with connection.cursor(row_factory=class_row(Counts)) as cursor:
        await cursor.execute(_SQL["counts"], {"practice_id": scope.practice_id})
        return await cursor.fetchone()


def as_number(text: str) -> int | None:
    """The number that this text is in a practice's sequence; None if it is none."""
    fits = text.isascii() and text.isdigit() and len(text) <= LONGEST_NUMBER
    return int(text) if fits and not text.startswith("0") else None


def _own_parameters(scope: Scope, *, posting: Posting | None, order: Order) -> dict[str, Any]:
    return {
        **scope.parameters(),
        **order.parameters(),
        "posting": posting,
        "pending_states": _PENDING_STATES,
        "id": None,
        "number": None,
        "search": None,
    }


async def _read(connection: Connection, name: str, parameters: Mapping[str, Any]) -> list[Batch]:
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_SQL[name], parameters, prepare=False)
        return [_batch(row) for row in await cursor.fetchall()]


def _batch(row: Mapping[str, Any]) -> Batch:
    own = row["own_counts"]
    if own is None:
        counted = Tally(**{name: row[name] for name in _COUNTED})
        standing = (BatchStatus(row["status"]), Posting(row["posting"]))
    else:
        counted = tally(StateCount(State(state), in_review, count, minor) for state, in_review, count, minor in own)
        standing = status(counted, void_requested=row["void_requested_at"] is not None)
    return Batch(
        id=row["id"],
        number=row["number"],
        processor=row["processor"],
        currency=row["currency"],
        status=standing[0],
        posting=standing[1],
        tally=counted,
        total=row["total"] if own is None else counted.total,
        total_minor=row["total_minor"] if own is None else counted.total_minor,
        payment_number=row["payment_number"] if own is None else None,
        first_payment_number=row["first_payment_number"] if own is None else None,
        last_payment_number=row["last_payment_number"] if own is None else None,
        submitted_by=row["submitted_by"],
        submitted_at=row["submitted_at"],
        approved_by=row["approved_by"],
        retry_of=row["retry_of"],
        void_requested_at=row["void_requested_at"],
        void_requested_by=row["void_requested_by"],
        finished_at=row["finished_at"] if own is None or standing[0] != BatchStatus.PROCESSING else None,
        posted_at=row["posted_at"],
        own_rows_only=own is not None,
        hides_rows=own is not None and counted.total < row["total"],
        cursor=Cursor(text=row["key_text"], number=row["key_number"], id=row["id"]),
    )
