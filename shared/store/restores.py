"""Typed twin of `sql/restores.sql`: a restored database is noticed, and holds its accounts. Nothing here commits."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import class_row

from shared.domain.finding_kinds import Kind
from shared.domain.words import ProcessorName
from shared.store.reconciliations import Run
from shared.store.statements import load

_SQL: Final = load("restores")
# Payments that one page of a look takes.
LIMIT: Final = 500
# What could not be read is tried again after this long.
TRY_AGAIN_AFTER: Final = timedelta(minutes=2)

Connection = AsyncConnection[Any]


class HeldError(Exception):
    """Nothing of this account may be sent: what a restored database has forgotten is not known yet."""


@dataclass(frozen=True, slots=True)
class Hold:
    """An account whose charges between `since` and `found_at` may be forgotten; `now` is the database's clock."""

    processor: ProcessorName
    account: str
    since: datetime
    found_at: datetime
    now: datetime


@dataclass(frozen=True, slots=True)
class Listed:
    processor: str
    account: str
    since: datetime
    found_at: datetime
    remembered: int
    waits_for: str
    released_at: datetime | None


async def seen(connection: Connection) -> bool:
    """Note that the database is alive on the timeline that it may send on; False where it is not on it."""
    return await (await connection.execute(_SQL["seen"])).fetchone() is not None


async def begin(connection: Connection, *, since: datetime | None = None) -> list[tuple[str, str, datetime]]:
    """Hold every account of a restored database; which, and since when. With `since` it counts as restored."""
    cursor = await connection.execute(_SQL["begin"], {"since": since})
    return await cursor.fetchall()


async def held(connection: Connection, processor: str, account: str) -> bool:
    """Whether nothing of this account may be sent now."""
    cursor = await connection.execute(_SQL["held"], {"processor": processor, "account": account})
    row = await cursor.fetchone()
    assert row is not None
    return bool(row[0])


async def must_know(connection: Connection, processor: str, account: str) -> None:
    """Raise HeldError where `held`."""
    if await held(connection, processor, account):
        raise HeldError


async def take(connection: Connection) -> list[Hold]:
    """The accounts to look at now."""
    cursor = await connection.execute(_SQL["take"], {"again": TRY_AGAIN_AFTER})
    return [Hold(ProcessorName(row[0]), *row[1:]) for row in await cursor.fetchall()]


async def unfinished(connection: Connection, hold: Hold, *, after: UUID) -> list[UUID]:
    """The next payments of the account that may have been sent since the restore point, in id order."""
    parameters = _account(hold) | {"after": after, "limit": LIMIT}
    return [row[0] for row in await (await connection.execute(_SQL["unfinished"], parameters)).fetchall()]


async def ask(connection: Connection, hold: Hold, days: Sequence[date], *, asked_by: str) -> list[Run]:
    """Write down comparisons of these days, to be made at once by who asks."""
    cursor = await connection.execute(_SQL["ask"], _account(hold) | {"days": list(days), "asked_by": asked_by})
    return [Run(row[0], row[1], ProcessorName(row[2]), *row[3:]) for row in await cursor.fetchall()]


async def strangers(connection: Connection, hold: Hold) -> int:
    """How many charges of forgotten payments no person has dealt with yet."""
    cursor = await connection.execute(_SQL["strangers"], _account(hold) | {"kind": Kind.FORGOTTEN_CHARGE})
    row = await cursor.fetchone()
    assert row is not None
    return int(row[0])


async def wait(connection: Connection, hold: Hold, *, waits_for: str, next_try_at: datetime, more: int) -> None:
    """Keep the hold; `more` charges were remembered meanwhile."""
    parameters = {"waits_for": waits_for, "next_try_at": next_try_at, "more": more}
    await connection.execute(_SQL["wait"], _account(hold) | parameters)


async def release(connection: Connection, hold: Hold, *, more: int) -> None:
    await connection.execute(_SQL["release"], _account(hold) | {"more": more})


async def listed(connection: Connection) -> list[Listed]:
    """The accounts of the latest restore, and all that are held."""
    async with connection.cursor(row_factory=class_row(Listed)) as cursor:
        await cursor.execute(_SQL["listed"])
        return await cursor.fetchall()


def _account(hold: Hold) -> dict[str, Any]:
    return {"processor": hold.processor, "account": hold.account, "found_at": hold.found_at}
