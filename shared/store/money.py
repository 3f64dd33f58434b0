"""Typed twin of `sql/money.sql`: gross, fees, net and what became of it, from the append-only steps."""

from dataclasses import dataclass, fields
from datetime import date
from typing import Any, Final
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import class_row

from shared.store.scope import Scope
from shared.store.statements import load

_SQL: Final = load("money")
Connection = AsyncConnection[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Money:
    """Amounts in minor units. `fees_unknown` charges are not in the processor's books that were read so far.

    `disputed_minor` is what clients' banks have taken back or are about to; a dispute that was won is none.
    """

    day: date | None
    charges: int
    gross_minor: int
    fees_unknown: int
    fees_minor: int
    voided_minor: int
    refunded_minor: int
    disputed_minor: int
    pending_minor: int
    posted_minor: int

    @property
    def net_minor(self) -> int:
        return self.gross_minor - self.fees_minor - self.voided_minor - self.refunded_minor - self.disputed_minor


_SUMMED: Final = [field.name for field in fields(Money) if field.name != "day"]


async def of_batch(connection: Connection, scope: Scope, *, batch_id: UUID) -> Money:
    """The money of one batch, as far as this caller sees its payments."""
    async with connection.cursor(row_factory=class_row(Money)) as cursor:
        await cursor.execute(_SQL["of_batch"], {**scope.parameters(), "batch_id": batch_id}, prepare=False)
        row = await cursor.fetchone()
        assert row is not None
        return row


async def of_days(connection: Connection, scope: Scope, *, first: date, last: date) -> list[Money]:
    """The money of each day from `first` to `last` on which any moved, by the practice's calendar."""
    async with connection.cursor(row_factory=class_row(Money)) as cursor:
        await cursor.execute(_SQL["of_days"], {**scope.parameters(), "first": first, "last": last}, prepare=False)
        return await cursor.fetchall()


def total(days: list[Money]) -> Money:
    return Money(day=None, **{name: sum(getattr(one, name) for one in days) for name in _SUMMED})
