"""Typed twin of `sql/pauses.sql`: the kill switch of each processor. Nothing here commits.

While a processor is paused none of its charges is claimed and none is sent again; their hints wait in the outbox. What
is on the wire ends as ever, and lookups, voids and refunds go on: they find money out or give it back.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from psycopg import AsyncConnection
from psycopg.rows import class_row

from shared.domain.words import ProcessorName
from shared.store.statements import load

_SQL: Final = load("pauses")
Connection = AsyncConnection[Any]


class PausedError(Exception):
    """The processor is paused."""


@dataclass(frozen=True, slots=True)
class Pause:
    processor: str
    paused_by: str
    reason: str
    paused_at: datetime


async def pause(connection: Connection, processor: ProcessorName, *, by: str, reason: str, source: str) -> bool:
    """Let no charge begin from the commit on; False if it is so already."""
    parameters = {"processor": processor, "by": by, "reason": reason, "source": source}
    return await (await connection.execute(_SQL["pause"], parameters)).fetchone() is not None


async def resume(connection: Connection, processor: ProcessorName, *, by: str, source: str) -> bool:
    """Let charges begin again; False if it was not paused."""
    parameters = {"processor": processor, "by": by, "source": source}
    return await (await connection.execute(_SQL["resume"], parameters)).fetchone() is not None


async def paused(connection: Connection) -> list[Pause]:
    async with connection.cursor(row_factory=class_row(Pause)) as cursor:
        await cursor.execute(_SQL["paused"])
        return await cursor.fetchall()


async def must_run(connection: Connection, processor: str) -> None:
    """Raises PausedError, which rolls back the transaction that would begin a charge."""
    row = await (await connection.execute(_SQL["is_paused"], {"processor": processor})).fetchone()
    if row and row[0]:
        raise PausedError
