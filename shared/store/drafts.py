"""Typed twin of `sql/drafts.sql`: batches in the making. Nothing here commits."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import class_row, scalar_row
from psycopg.types.json import Jsonb

from shared.store.scope import Scope
from shared.store.statements import load

_SQL: Final = load("drafts")
# Long enough to come back to after a weekend.
KEPT: Final = timedelta(days=7)
# More than these are counted, not listed: a person reads a screen of them.
_LONGEST_LIST: Final = 100
_MOST_SAME_CARDS: Final = 3
Connection = AsyncConnection[Any]


@dataclass(frozen=True, slots=True)
class Draft:
    """One person's draft. `count` and `total_minor` are those of its selection, as it was when it was selected."""

    id: UUID
    payment_number: str | None
    updated_at: datetime
    submitted_at: datetime | None
    retry_of: UUID | None
    count: int
    total_minor: int

    @property
    def kept_until(self) -> datetime:
        return self.updated_at + KEPT


@dataclass(frozen=True, slots=True)
class Summary:
    payments: int
    total_minor: int
    clients: int
    sessions: int


@dataclass(frozen=True, slots=True)
class SameCard:
    """A client with several selected invoices on one card."""

    client_name: str
    brand: str
    last4: str
    invoices: int


@dataclass(frozen=True, slots=True)
class SelectedInvoice:
    """A selected invoice with its sessions: date in ISO 8601 and description."""

    invoice_number: str
    client_name: str
    brand: str | None
    last4: str | None
    amount_minor: int
    currency: str
    sessions: list[tuple[str, str]]

    @property
    def days(self) -> list[tuple[date, str]]:
        return [(date.fromisoformat(day), description) for day, description in self.sessions]


@dataclass(frozen=True, slots=True)
class Difference:
    """A selected invoice that is not what it was when it was selected."""

    invoice_number: str
    client_name: str
    then_minor: int
    now_minor: int
    reasons: list[str]
    currency: str
    exp_month: int | None
    exp_year: int | None
    method_processor: str | None
    processor: str
    practice_name: str
    practice_currency: str
    locale: str
    invoice_limit_minor: int | None
    running_batch_number: int | None


async def start(
    connection: Connection, scope: Scope, *, owner: str, payment_number: str | None, retry_of: UUID | None = None
) -> UUID:
    """A new draft without a selection; the practice's drafts that nobody came back to are forgotten.

    `retry_of` is the batch whose declines it tries again.
    """
    await connection.execute(_SQL["forget_old"], {"practice_id": scope.practice_id, "kept": KEPT})
    async with connection.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute(
            _SQL["start"],
            {**scope.parameters(), "owner": owner, "payment_number": payment_number, "retry_of": retry_of},
        )
        draft_id: UUID | None = await cursor.fetchone()
        assert draft_id is not None
        return draft_id


async def find(connection: Connection, scope: Scope, *, owner: str, draft_id: UUID | None) -> Draft | None:
    """This person's draft; without an id the last one that has a selection and was not submitted."""
    async with connection.cursor(row_factory=class_row(Draft)) as cursor:
        await cursor.execute(_SQL["find"], {**scope.parameters(), "owner": owner, "id": draft_id})
        return await cursor.fetchone()


async def save_number(connection: Connection, *, draft_id: UUID, payment_number: str | None) -> None:
    await connection.execute(_SQL["save_number"], {"id": draft_id, "payment_number": payment_number})


async def add(connection: Connection, scope: Scope, *, draft_id: UUID, invoices: Sequence[UUID]) -> int:
    """Select those of these invoices that can be charged now; how many those are."""
    return await _write(connection, "add", draft_id, {**scope.parameters(), "invoices": list(invoices)})


async def add_named(connection: Connection, scope: Scope, *, draft_id: UUID, invoices: Sequence[str]) -> int:
    """Select those of these invoices, by upstream's ids, that can be charged now; how many those are."""
    return await _write(connection, "add_named", draft_id, {**scope.parameters(), "invoices": list(invoices)})


async def add_matching(
    connection: Connection, scope: Scope, *, draft_id: UUID, wanted: dict[str, Any], limit: int
) -> int:
    """Select all that match the filter and can be charged now, except reopened ones; how many those are."""
    return await _write(
        connection, "add_matching", draft_id, {**scope.parameters(), "filter": Jsonb(wanted), "limit": limit}
    )


async def remove(connection: Connection, *, draft_id: UUID, invoices: Sequence[UUID]) -> None:
    await _write(connection, "remove", draft_id, {"invoices": list(invoices)})


async def clear(connection: Connection, *, draft_id: UUID) -> None:
    await _write(connection, "clear", draft_id, {})


async def undo_clear(connection: Connection, *, draft_id: UUID) -> None:
    await _write(connection, "undo_clear", draft_id, {})


async def close(connection: Connection, *, draft_id: UUID) -> None:
    """The draft became a batch, or waits for approval."""
    await connection.execute(_SQL["close"], {"id": draft_id})


async def invoices(connection: Connection, *, draft_id: UUID) -> list[str]:
    """Upstream's ids of the selection, in the order of their payment numbers."""
    async with connection.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute(_SQL["invoices"], {"id": draft_id})
        return list(await cursor.fetchone() or ())


async def summary(connection: Connection, *, draft_id: UUID) -> Summary:
    async with connection.cursor(row_factory=class_row(Summary)) as cursor:
        await cursor.execute(_SQL["summary"], {"id": draft_id})
        row = await cursor.fetchone()
        assert row is not None
        return row


async def same_cards(connection: Connection, *, draft_id: UUID) -> list[SameCard]:
    """Clients whose card is charged several times, the most often first."""
    async with connection.cursor(row_factory=class_row(SameCard)) as cursor:
        await cursor.execute(_SQL["same_card"], {"id": draft_id, "limit": _MOST_SAME_CARDS})
        return await cursor.fetchall()


async def sessions(
    connection: Connection, *, draft_id: UUID, limit: int, skip: int, largest_first: bool = False
) -> list[SelectedInvoice]:
    """The selection with its client sessions, by client or by amount."""
    parameters = {"id": draft_id, "limit": limit, "skip": skip, "largest_first": largest_first}
    async with connection.cursor(row_factory=class_row(SelectedInvoice)) as cursor:
        await cursor.execute(_SQL["sessions"], parameters, prepare=False)
        return await cursor.fetchall()


async def differences(connection: Connection, *, draft_id: UUID) -> list[Difference]:
    """What of the selection changed since it was selected; the first hundred."""
    async with connection.cursor(row_factory=class_row(Difference)) as cursor:
        await cursor.execute(_SQL["differences"], {"id": draft_id, "limit": _LONGEST_LIST}, prepare=False)
        return await cursor.fetchall()


async def refresh(connection: Connection, *, draft_id: UUID) -> None:
    """Make the selection what can be charged now, with the amounts of now."""
    await connection.execute(_SQL["refresh"], {"id": draft_id}, prepare=False)


async def _write(connection: Connection, name: str, draft_id: UUID, parameters: dict[str, Any]) -> int:
    cursor = await connection.execute(_SQL[name], {"id": draft_id, **parameters}, prepare=False)
    await connection.execute(_SQL["touch"], {"id": draft_id})
    return cursor.rowcount
