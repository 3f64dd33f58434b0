"""Typed twin of `sql/catalog.sql`: takes what upstream pushes. Nothing here commits.

The same push again changes nothing. What our payments took from an invoice counts until upstream says that its figures
include it, so an old push cannot make a paid invoice look open.
"""

from collections import Counter
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from psycopg import AsyncConnection, sql
from psycopg.rows import class_row

from shared.domain.catalog_rows import Row
from shared.domain.payment import State
from shared.store import audit
from shared.store.statements import load

_SQL: Final = load("catalog")
_STAGING: Final = load("catalog_staging")
# A hundred thousand rows on a machine that has more to do.
LONGEST_PUSH: Final = timedelta(minutes=5)
# Payments that upstream may know of: the money is there, and nobody asked for it to be given back.
_STANDING: Final = [State.APPROVED, State.SETTLED]
Connection = AsyncConnection[Any]
Rows = Iterable[Row] | AsyncIterable[Row]


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row that did not land. `other_line` is the line that it collides with."""

    line: int
    code: str
    other_line: int | None


@dataclass(frozen=True, slots=True)
class Landed:
    practice_id: UUID
    added: int
    changed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KindResult:
    """What became of the rows of one kind."""

    added: int
    changed: int
    unchanged: int
    rejected: list[Rejected]


async def begin(connection: Connection, *, practice_id: UUID) -> bool:
    """Whether this transaction may push for this practice: False while another one does."""
    timeout_ms = round(LONGEST_PUSH / timedelta(milliseconds=1))
    cursor = await connection.execute(_SQL["begin"], {"practice_id": practice_id, "timeout_ms": timeout_ms})
    row = await cursor.fetchone()
    return row is not None and bool(row[0])


async def land(
    connection: Connection, pushed: Sequence[tuple[type[Row], Rows]], *, actor: str, source: str
) -> dict[str, KindResult]:
    """Land these rows, kind by kind in the given order (what is referred to comes first), in the open transaction."""
    results: dict[str, KindResult] = {}
    touched: dict[UUID, Counter[str]] = {}
    for kind, rows in pushed:
        staged = await _stage(connection, kind, rows)
        rejected = await _reject(connection, kind)
        landed = await _land(connection, kind)
        added, changed = sum(one.added for one in landed), sum(one.changed for one in landed)
        results[kind.kind] = KindResult(
            added=added,
            changed=changed,
            # A default that was pushed out by a row of this push was not itself in it.
            unchanged=max(staged - len(rejected) - added - changed, 0),
            rejected=rejected,
        )
        for one in landed:
            touched.setdefault(one.practice_id, Counter())[kind.kind] += one.added + one.changed
    for practice_id, counts in touched.items():
        await audit.write(
            connection,
            practice_id=practice_id,
            actor=actor,
            source=source,
            action="catalog.imported",
            detail=dict(counts),
        )
    return results


async def _stage(connection: Connection, kind: type[Row], rows: Rows) -> int:
    columns = list(kind.model_fields)
    statement = sql.SQL("COPY {table} ({columns}) FROM STDIN").format(
        table=sql.Identifier(f"staged_{kind.kind}"), columns=sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    count = 0
    async with connection.cursor() as cursor:
        await cursor.execute(_STAGING[kind.kind])
        async with cursor.copy(statement) as copy:
            async for row in _each(rows):
                await copy.write_row([getattr(row, column) for column in columns])
                count += 1
        # Without statistics thousands of staged rows would be joined as if they were a handful.
        await cursor.execute(sql.SQL("ANALYZE {}").format(sql.Identifier(f"staged_{kind.kind}")))
    return count


async def _each(rows: Rows) -> AsyncIterator[Row]:
    if isinstance(rows, AsyncIterable):
        async for row in rows:
            yield row
    else:
        for row in rows:
            yield row


async def _reject(connection: Connection, kind: type[Row]) -> list[Rejected]:
    async with connection.cursor(row_factory=class_row(Rejected)) as cursor:
        await cursor.execute(_SQL[f"reject_{kind.kind}"], prepare=False)
        return sorted(await cursor.fetchall(), key=lambda one: one.line)


async def _land(connection: Connection, kind: type[Row]) -> list[Landed]:
    before = [f"demote_{kind.kind}"] if f"demote_{kind.kind}" in _SQL else []
    landed: list[Landed] = []
    async with connection.cursor(row_factory=class_row(Landed)) as cursor:
        if kind.kind == "invoice":
            await connection.execute(_SQL["lock_invoice"], {"standing": _STANDING}, prepare=False)
        for name in (*before, f"land_{kind.kind}"):
            await cursor.execute(_SQL[name], prepare=False)
            landed += await cursor.fetchall()
        if kind.kind == "invoice":
            await connection.execute(_SQL["acknowledge_invoice"], {"standing": _STANDING}, prepare=False)
        if kind.kind == "session":
            await cursor.execute(_SQL["date_invoices"], prepare=False)
    return landed
