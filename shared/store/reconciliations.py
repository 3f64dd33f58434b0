"""Typed twin of `sql/reconciliations.sql`. Nothing here commits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import class_row, dict_row

from shared.domain.books import Line
from shared.domain.books_day import end_of
from shared.domain.payment import State
from shared.domain.reconciling import Known, named_by
from shared.domain.words import ProcessorName
from shared.store.statements import load

_SQL: Final = load("reconciliations")
# What one pass of the janitor takes.
LIMIT: Final = 20
# Books that could not be read are tried again after this long; also how long one run may take.
TRY_AGAIN_AFTER: Final = timedelta(minutes=10)

Connection = AsyncConnection[Any]


@dataclass(frozen=True, slots=True)
class Run:
    """A comparison that is asked for. A planned one waits for complete books, one that people wait for does not."""

    id: UUID
    practice_id: UUID
    processor: ProcessorName
    account: str
    day: date
    planned: bool
    currency: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """`failure` is None where the comparison was made."""

    answered: bool
    failure: str | None
    complete: bool | None
    lines: int | None
    caught_up: int | None


async def plan(connection: Connection, newest: Mapping[ProcessorName, date], *, asked_by: str) -> None:
    """Ask for the comparison of each processor's newest complete day, once for each practice."""
    parameters = {
        "processors": list(newest),
        "days": list(newest.values()),
        "ends": [end_of(processor, day) for processor, day in newest.items()],
        "asked_by": asked_by,
    }
    await connection.execute(_SQL["plan"], parameters)


async def ask(connection: Connection, *, practice: str, day: date, asked_by: str) -> UUID | None:
    """Ask for one comparison; its id, or None where there is no such practice."""
    cursor = await connection.execute(_SQL["ask"], {"practice": practice, "day": day, "asked_by": asked_by})
    row = await cursor.fetchone()
    return row[0] if row else None


async def take(connection: Connection) -> list[Run]:
    """Comparisons to make now."""
    cursor = await connection.execute(_SQL["take"], {"limit": LIMIT, "again": TRY_AGAIN_AFTER})
    return [Run(row[0], row[1], ProcessorName(row[2]), *row[3:]) for row in await cursor.fetchall()]


async def answer(connection: Connection, run_id: UUID, *, complete: bool, lines: int, caught_up: int) -> None:
    parameters = {"id": run_id, "failure": None, "complete": complete, "lines": lines, "caught_up": caught_up}
    await connection.execute(_SQL["answer"], parameters)


async def refuse(connection: Connection, run_id: UUID, *, failure: str) -> None:
    parameters = {"id": run_id, "failure": failure, "complete": None, "lines": None, "caught_up": None}
    await connection.execute(_SQL["answer"], parameters)


async def outcome_of(connection: Connection, run_id: UUID) -> Outcome:
    async with connection.cursor(row_factory=class_row(Outcome)) as cursor:
        await cursor.execute(_SQL["answer_of"], {"id": run_id})
        outcome = await cursor.fetchone()
        assert outcome is not None
        return outcome


async def known(
    connection: Connection, run: Run, lines: Sequence[Line], *, since: datetime, until: datetime
) -> list[Known]:
    """Our charges that `lines` name, and those of the account whose send or return was between `since` and `until`."""
    names = [name for line in lines if (name := named_by(line.reference))]
    parameters = {
        "processor": run.processor,
        "account": run.account,
        "charge_refs": [line.charge_ref for line in lines],
        "payments": [payment_id for payment_id, _ in names],
        "numbers": [n for _, n in names],
        "since": since,
        "until": until,
    }
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_SQL["known"], parameters)
        return [Known(**row | {"state": State(row["state"])}) for row in await cursor.fetchall()]


async def keep_fees(connection: Connection, fees: Mapping[UUID, int]) -> None:
    """What the processor kept, by charge attempt; the books may correct themselves."""
    if fees:
        await connection.execute(_SQL["keep_fees"], {"attempts": list(fees), "fees": list(fees.values())})
