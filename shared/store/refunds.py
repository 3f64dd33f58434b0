"""Asks for refunds. Returns when every payment carries the request; the worker of voids and refunds does the rest."""

from collections.abc import Sequence
from typing import Final, NamedTuple
from uuid import UUID

from psycopg_pool import AsyncConnectionPool

from shared.domain import refund_requests
from shared.domain.refund_requests import RefundResult
from shared.store import audit, disputes, payments
from shared.store.payments import Connection
from shared.store.statements import load

_SQL: Final = load("refund")
# Payments asked in one transaction: their rows are locked for some ten milliseconds.
_CHUNK: Final = 1000
_FIRST: Final = UUID(int=0)


class RefundAsked(NamedTuple):
    """What asking did to one payment."""

    payment_id: UUID
    result: RefundResult


async def request_batch_refund(
    pool: AsyncConnectionPool, *, practice_id: UUID, batch_id: UUID, actor: str, source: str
) -> list[RefundAsked]:
    """Ask for a refund of every payment of a batch that is settled, chunk by chunk; what asking did to each payment.

    Asking again changes nothing more, and asks the rest if this process died in between.
    """
    async with pool.connection() as connection:
        await audit.write(
            connection,
            practice_id=practice_id,
            actor=actor,
            source=source,
            action="batch.refund_requested",
            batch_id=batch_id,
        )
    after, asked = _FIRST, []
    while True:
        async with pool.connection() as connection:
            parameters = {"batch_id": batch_id, "practice_id": practice_id, "after": after, "limit": _CHUNK}
            ids = [row[0] for row in await (await connection.execute(_SQL["of_batch"], parameters)).fetchall()]
            asked += await _ask(connection, ids, actor=actor)
        if len(ids) < _CHUNK:
            return sorted(asked)
        after = ids[-1]


async def request_payment_refund(
    pool: AsyncConnectionPool, *, practice_id: UUID, payment_id: UUID, actor: str, source: str
) -> RefundAsked | None:
    """Ask for a refund of one payment; None where the practice has no such payment."""
    async with pool.connection() as connection:
        parameters = {"payment_id": payment_id, "practice_id": practice_id}
        row = await (await connection.execute(_SQL["of_payment"], parameters)).fetchone()
        if row is None:
            return None
        (asked,) = await _ask(connection, [payment_id], actor=actor)
        await audit.write(
            connection,
            practice_id=practice_id,
            actor=actor,
            source=source,
            action="payment.refund_requested",
            batch_id=row[0],
            payment_id=payment_id,
            detail={"result": asked.result.value},
        )
        return asked


async def _ask(connection: Connection, ids: Sequence[UUID], *, actor: str) -> list[RefundAsked]:
    locked = await payments.lock(connection, ids) if ids else []
    disputed = await disputes.disputed(connection, ids)
    asked, steps = [], []
    for row in locked:
        result, step = refund_requests.ask(row.payment, disputed=row.payment.id in disputed, now=row.now)
        asked.append(RefundAsked(row.payment.id, result))
        if step:
            steps.append(step)
    if steps:
        await payments.write(connection, steps, actor=actor, now=max(row.now for row in locked))
    return asked
