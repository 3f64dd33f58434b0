"""Typed twin of `sql/queues.sql`: how much work waits, and for how long."""

from dataclasses import dataclass
from typing import Any, Final

from psycopg import AsyncConnection
from psycopg.rows import class_row

from shared.store.statements import load

_SQL: Final = load("queues")
Connection = AsyncConnection[Any]


@dataclass(frozen=True, slots=True)
class Lane:
    """What waits to leave for one command queue, or for the exchange of events."""

    lane: str
    waiting: int
    oldest_s: float


@dataclass(frozen=True, slots=True)
class Waiting:
    """Payments of one processor in one state that is not final."""

    processor: str
    state: str
    payments: int
    oldest_s: float


async def lanes(connection: Connection) -> list[Lane]:
    async with connection.cursor(row_factory=class_row(Lane)) as cursor:
        await cursor.execute(_SQL["lanes"])
        return await cursor.fetchall()


async def payments(connection: Connection) -> list[Waiting]:
    async with connection.cursor(row_factory=class_row(Waiting)) as cursor:
        await cursor.execute(_SQL["payments"])
        return await cursor.fetchall()


async def in_review(connection: Connection) -> int:
    """How many payments wait for a person."""
    row = await (await connection.execute(_SQL["in_review"])).fetchone()
    assert row
    return int(row[0])


async def findings(connection: Connection) -> dict[str, int]:
    """How many findings nobody has resolved, by kind."""
    cursor = await connection.execute(_SQL["findings"])
    return dict(await cursor.fetchall())
