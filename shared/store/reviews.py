"""Typed twin of `sql/reviews.sql`: what waits for people. Nothing here commits."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import class_row

from shared.store.scope import Scope
from shared.store.statements import load

_SQL: Final = load("reviews")
Connection = AsyncConnection[Any]


@dataclass(frozen=True, slots=True)
class Waiting:
    reviews: int
    approvals: int


@dataclass(frozen=True, slots=True)
class Case:
    """A payment that a person has to look at. `kinds` are those of its open findings."""

    id: UUID
    batch_id: UUID
    batch_number: int
    state: str
    amount_minor: int
    currency: str
    processor: str
    review_reason: str
    updated_at: datetime
    next_check_at: datetime | None
    invoice_number: str
    client_name: str
    brand: str
    last4: str
    reference: str | None
    processor_ref: str | None
    first_send_at: datetime | None
    lookups: int | None
    kinds: list[str]
    since: datetime | None


@dataclass(frozen=True, slots=True)
class Resolved:
    """A case that is over: what a person said, how they knew, and when the processor's books confirmed it."""

    id: UUID
    payment_id: UUID
    batch_number: int
    state: str
    amount_minor: int
    currency: str
    processor: str
    invoice_number: str
    client_name: str
    brand: str
    last4: str
    verdict: str
    processor_ref: str | None
    note: str
    asked_by: str
    asked_at: datetime
    answered_at: datetime


async def waiting(connection: Connection, scope: Scope) -> Waiting:
    """How much waits."""
    async with connection.cursor(row_factory=class_row(Waiting)) as cursor:
        await cursor.execute(_SQL["waiting"], scope.parameters())
        row = await cursor.fetchone()
        assert row is not None
        return row


async def cases(connection: Connection, scope: Scope, *, after: UUID | None, limit: int) -> list[Case]:
    """The payments under review, the oldest first."""
    async with connection.cursor(row_factory=class_row(Case)) as cursor:
        await cursor.execute(_SQL["cases"], {**scope.parameters(), "after_id": after, "limit": limit}, prepare=False)
        return await cursor.fetchall()


async def resolved(connection: Connection, scope: Scope, *, before: UUID | None, limit: int) -> list[Resolved]:
    """The resolved cases, the newest first, from the one behind `before` on."""
    async with connection.cursor(row_factory=class_row(Resolved)) as cursor:
        parameters = {**scope.parameters(), "before_id": before, "limit": limit}
        await cursor.execute(_SQL["resolved"], parameters, prepare=False)
        return await cursor.fetchall()


async def count_resolved(connection: Connection, scope: Scope, *, limit: int) -> int:
    """How many cases are resolved, counted up to `limit`."""
    parameters = {**scope.parameters(), "limit": limit}
    row = await (await connection.execute(_SQL["count_resolved"], parameters, prepare=False)).fetchone()
    assert row
    return int(row[0])
