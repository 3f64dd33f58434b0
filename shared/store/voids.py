"""Asks for voids. Returns when every payment of the batch carries the request; the void worker does the rest."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from psycopg_pool import AsyncConnectionPool

from shared.crash_points import reached
from shared.domain import voiding
from shared.domain.snapshot import Step
from shared.domain.voiding import VoidResult
from shared.store import audit, payments
from shared.store.payments import Connection
from shared.store.statements import load

_SQL: Final = load("void")
# Payments asked in one transaction: their rows are locked for some ten milliseconds.
_CHUNK: Final = 1000
_FIRST: Final = UUID(int=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class VoidAsked:
    """What asking did, per result. `found` is False where the practice has no such batch or payment."""

    found: bool
    results: dict[VoidResult, int]


async def request_batch_void(
    pool: AsyncConnectionPool, *, practice_id: UUID, batch_id: UUID, actor: str, source: str
) -> VoidAsked:
    """Ask for a void of every payment of a batch that can still be voided. Asking again changes nothing more.

    First the batch is marked, which stops its claims; then its live payments are asked in id order. If this process
    dies in between, the janitor asks the rest.
    """
    async with pool.connection() as connection:
        cursor = await connection.execute(
            _SQL["mark_batch"], {"batch_id": batch_id, "practice_id": practice_id, "by": actor}
        )
        if await cursor.fetchone() is None:
            return VoidAsked(found=False, results={})
        await audit.write(
            connection,
            practice_id=practice_id,
            actor=actor,
            source=source,
            action="batch.void_requested",
            batch_id=batch_id,
        )
    reached("void_marked")
    results = Counter(await ask_rest_of_batch(pool, batch_id=batch_id, actor=actor))
    async with pool.connection() as connection:
        results += await _beyond(connection, batch_id, results)
    return VoidAsked(found=True, results=dict(results))


async def ask_rest_of_batch(pool: AsyncConnectionPool, *, batch_id: UUID, actor: str) -> list[VoidResult]:
    """Ask every payment of a marked batch that was not asked yet; chunk by chunk, each in its own transaction."""
    after, results = _FIRST, []
    while True:
        async with pool.connection() as connection:
            ids = await payments.live_of_batch(connection, batch_id, after=after, limit=_CHUNK)
            results += await _ask(connection, ids, actor=actor)
        reached("void_asked")
        if len(ids) < _CHUNK:
            return results
        after = ids[-1]


async def request_payment_void(
    pool: AsyncConnectionPool, *, practice_id: UUID, payment_id: UUID, actor: str, source: str
) -> VoidAsked:
    """Ask for a void of one payment."""
    async with pool.connection() as connection:
        cursor = await connection.execute(_SQL["payment_batch"], {"payment_id": payment_id, "practice_id": practice_id})
        row = await cursor.fetchone()
        if row is None:
            return VoidAsked(found=False, results={})
        await audit.write(
            connection,
            practice_id=practice_id,
            actor=actor,
            source=source,
            action="payment.void_requested",
            batch_id=row[0],
            payment_id=payment_id,
        )
        return VoidAsked(found=True, results=dict(Counter(await _ask(connection, [payment_id], actor=actor))))


async def _ask(connection: Connection, ids: Sequence[UUID], *, actor: str) -> list[VoidResult]:
    locked = await payments.lock(connection, ids) if ids else []
    asked = [voiding.ask(row.payment, by=actor, now=row.now) for row in locked]
    steps: list[Step] = [step for _, step in asked if step]
    if steps:
        await payments.write(connection, steps, actor=actor, now=max(row.now for row in locked))
    return [result for result, _ in asked]


async def _beyond(connection: Connection, batch_id: UUID, asked: Counter[VoidResult]) -> Counter[VoidResult]:
    """The payments of the batch that asking found settled already, or asked before."""
    cursor = await connection.execute(_SQL["beyond_asking"], {"batch_id": batch_id})
    row = await cursor.fetchone()
    assert row
    before = row[1] - asked[VoidResult.MARKED] - asked[VoidResult.VOIDING]
    return +Counter({VoidResult.TOO_LATE: row[0], VoidResult.ALREADY_ASKED: before})
