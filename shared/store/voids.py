"""Asks for voids. Returns when every payment of the batch carries the request; the void worker does the rest."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NamedTuple
from uuid import UUID

from psycopg_pool import AsyncConnectionPool

from shared.crash_points import reached
from shared.domain import voiding
from shared.domain.voiding import VoidResult
from shared.store import audit, payments
from shared.store.payments import Connection
from shared.store.statements import load

_SQL: Final = load("void")
# Payments asked in one transaction: their rows are locked for some ten milliseconds.
_CHUNK: Final = 1000
_FIRST: Final = UUID(int=0)

# The ids of the next chunk of a batch's payments, after this one.
_Next = Callable[[Connection, UUID], Awaitable[list[UUID]]]


class Shown(NamedTuple):
    """What a person was shown before confirming it: so many payments at most, so much money at most."""

    payments: int
    amount_minor: int

    def covers(self, payments: int, amount_minor: int) -> bool:
        return payments <= self.payments and amount_minor <= self.amount_minor


class ReachesMoreError(Exception):
    """The void would reach more than was shown."""


class VoidAsked(NamedTuple):
    """What asking did to one payment."""

    payment_id: UUID
    result: VoidResult


async def request_batch_void(
    pool: AsyncConnectionPool, *, practice_id: UUID, batch_id: UUID, actor: str, source: str, shown: Shown | None = None
) -> list[VoidAsked] | None:
    """Ask for a void of every payment of a batch; what asking did to each. None where the practice has no such batch.

    First the batch is marked, which stops its claims; then its payments are asked in id order. Asking again changes
    nothing more. If this process dies in between, the janitor asks the rest. Raises ReachesMoreError, and nothing is
    done, if more than `shown` would be voided: it is compared in the transaction that marks.
    """
    async with pool.connection() as connection:
        cursor = await connection.execute(
            _SQL["mark_batch"], {"batch_id": batch_id, "practice_id": practice_id, "by": actor}
        )
        if await cursor.fetchone() is None:
            return None
        if shown and not shown.covers(*await _reached(connection, batch_id)):
            raise ReachesMoreError
        await audit.write(
            connection,
            practice_id=practice_id,
            actor=actor,
            source=source,
            action="batch.void_requested",
            batch_id=batch_id,
        )
    reached("void_marked")

    async def all_of_batch(connection: Connection, after: UUID) -> list[UUID]:
        parameters = {"batch_id": batch_id, "after": after, "limit": _CHUNK}
        return [row[0] for row in await (await connection.execute(_SQL["of_batch"], parameters)).fetchall()]

    return sorted(await _ask_in_chunks(pool, all_of_batch, actor=actor))


async def _reached(connection: Connection, batch_id: UUID) -> tuple[int, int]:
    """How many payments a void of the batch reaches, and their amount."""
    cursor = await connection.execute(_SQL["reached"], {"batch_id": batch_id, "states": list(voiding.REACHED)})
    row = await cursor.fetchone()
    assert row
    return row[0], row[1]


async def ask_rest_of_batch(pool: AsyncConnectionPool, *, batch_id: UUID, actor: str) -> None:
    """Ask every payment of a marked batch that was not asked yet."""

    async def live_of_batch(connection: Connection, after: UUID) -> list[UUID]:
        return await payments.live_of_batch(connection, batch_id, after=after, limit=_CHUNK)

    await _ask_in_chunks(pool, live_of_batch, actor=actor)


async def request_payment_void(
    pool: AsyncConnectionPool, *, practice_id: UUID, payment_id: UUID, actor: str, source: str
) -> VoidAsked | None:
    """Ask for a void of one payment; None where the practice has no such payment."""
    async with pool.connection() as connection:
        cursor = await connection.execute(_SQL["payment_batch"], {"payment_id": payment_id, "practice_id": practice_id})
        row = await cursor.fetchone()
        if row is None:
            return None
        (asked,) = await _ask(connection, [payment_id], actor=actor)
        await audit.write(
            connection,
            practice_id=practice_id,
            actor=actor,
            source=source,
            action="payment.void_requested",
            batch_id=row[0],
            payment_id=payment_id,
            detail={"result": asked.result.value},
        )
        return asked


async def _ask_in_chunks(pool: AsyncConnectionPool, following: _Next, *, actor: str) -> list[VoidAsked]:
    """Each chunk in its own transaction."""
    after, asked = _FIRST, []
    while True:
        async with pool.connection() as connection:
            ids = await following(connection, after)
            asked += await _ask(connection, ids, actor=actor)
        reached("void_asked")
        if len(ids) < _CHUNK:
            return asked
        after = ids[-1]


async def _ask(connection: Connection, ids: Sequence[UUID], *, actor: str) -> list[VoidAsked]:
    asked, steps = [], []
    locked = await payments.lock(connection, ids) if ids else []
    for row in locked:
        result, step = voiding.ask(row.payment, by=actor, now=row.now)
        asked.append(VoidAsked(row.payment.id, result))
        if step:
            steps.append(step)
    if steps:
        await payments.write(connection, steps, actor=actor, now=max(row.now for row in locked))
    return asked
