"""Typed twin of `sql/trace.sql`: everything that is known about one payment or batch, for support."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import class_row

from shared.domain.payment import State
from shared.store.statements import load

_SQL: Final = load("trace")
# Not over, and longer than a healthy payment stays.
_UNCLEAR: Final = [State.UNKNOWN, State.VOIDING, State.REFUNDING, State.SURPLUS]
MOST_UNCLEAR: Final = 50
Connection = AsyncConnection[Any]


@dataclass(frozen=True, slots=True)
class NamedBatch:
    id: UUID
    practice: str


@dataclass(frozen=True, slots=True)
class TracedPayment:
    """A payment now. `paused_at` is set if it waits because its processor is paused."""

    id: UUID
    batch_id: UUID
    number: int
    practice: str
    invoice: str
    processor: str
    account: str
    amount_minor: int
    currency: str
    state: str
    attempts: int
    on_wire: bool
    lease_until: datetime | None
    due_at: datetime
    next_check_at: datetime | None
    reason_code: str | None
    reason_raw_code: str | None
    review_reason: str | None
    paused_at: datetime | None
    paused_by: str | None


@dataclass(frozen=True, slots=True)
class TracedBatch:
    """A batch now; `states` counts its payments."""

    id: UUID
    number: int
    practice: str
    processor: str
    account: str
    currency: str
    status: str
    posting: str
    total: int
    total_minor: int
    in_review: int
    states: dict[str, int]


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happened: when, by whom, what. `detail` depends on `what`."""

    at: datetime
    who: str
    what: str
    detail: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Unclear:
    """A payment that is not over, or that somebody has to look at."""

    id: UUID
    state: str
    reason_code: str | None
    review_reason: str | None
    next_check_at: datetime | None


async def batches_named(connection: Connection, number: int, *, practice: str | None) -> list[NamedBatch]:
    """The batches of this number: numbers are a practice's own."""
    async with connection.cursor(row_factory=class_row(NamedBatch)) as cursor:
        await cursor.execute(_SQL["batches_named"], {"number": number, "practice": practice})
        return await cursor.fetchall()


async def batch(connection: Connection, batch_id: UUID) -> TracedBatch | None:
    async with connection.cursor(row_factory=class_row(TracedBatch)) as cursor:
        await cursor.execute(_SQL["batch"], {"id": batch_id})
        return await cursor.fetchone()


async def payment(connection: Connection, payment_id: UUID) -> TracedPayment | None:
    async with connection.cursor(row_factory=class_row(TracedPayment)) as cursor:
        await cursor.execute(_SQL["payment"], {"id": payment_id})
        return await cursor.fetchone()


async def payment_moments(connection: Connection, payment_id: UUID) -> list[Moment]:
    """All that happened to a payment, oldest first."""
    return await _moments(connection, "payment_moments", payment_id)


async def batch_moments(connection: Connection, batch_id: UUID) -> list[Moment]:
    """All that happened to a batch, oldest first; equal steps of its payments are one moment."""
    return await _moments(connection, "batch_moments", batch_id)


async def unclear(connection: Connection, batch_id: UUID) -> list[Unclear]:
    """The payments of a batch that somebody will ask about, those under review first."""
    async with connection.cursor(row_factory=class_row(Unclear)) as cursor:
        await cursor.execute(_SQL["unclear"], {"id": batch_id, "states": _UNCLEAR, "limit": MOST_UNCLEAR})
        return await cursor.fetchall()


async def _moments(connection: Connection, name: str, subject: UUID) -> list[Moment]:
    async with connection.cursor(row_factory=class_row(Moment)) as cursor:
        await cursor.execute(_SQL[name], {"id": subject})
        return await cursor.fetchall()
