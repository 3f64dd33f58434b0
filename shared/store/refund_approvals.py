"""Typed twin of `sql/refund_approvals.sql`: refunds that wait for a second person. Nothing here commits."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import class_row

from shared.store.decisions import MOST_WAITING, Asked, Decisions
from shared.store.scope import Scope
from shared.store.statements import load

_SQL: Final = load("refund_approvals")
_decisions: Final = Decisions(_SQL)
lock, decide = _decisions.lock, _decisions.decide
Connection = AsyncConnection[Any]


@dataclass(frozen=True, slots=True)
class RefundApproval(Asked):
    """A refund above the limit. It binds `payments`; `payment_id` is set where one payment was asked for.

    `before_minor` is what the batch had given back without approval by then: the limit counts it too.
    """

    batch_id: UUID
    batch_number: int
    payment_id: UUID | None
    payments: list[UUID]
    limit_minor: int
    before_minor: int
    refund_reason: str | None
    decision_reason: str | None


@dataclass(frozen=True, slots=True)
class RefundRow:
    """One of the payments that wait."""

    id: UUID
    invoice_number: str
    client_name: str
    amount_minor: int
    currency: str
    brand: str
    last4: str
    state: str


async def request(
    connection: Connection,
    *,
    batch_id: UUID,
    payment_id: UUID | None,
    payments: Sequence[UUID],
    total_minor: int,
    before_minor: int,
    reason: str | None,
    by: str,
) -> UUID:
    """Ask for approval of a refund of exactly these payments; the id of what waits, also if it did already."""
    cursor = await connection.execute(
        _SQL["request"],
        {
            "batch_id": batch_id,
            "payment_id": payment_id,
            "payments": list(payments),
            "total_minor": total_minor,
            "before_minor": before_minor,
            "reason": reason,
            "by": by,
        },
    )
    row = await cursor.fetchone()
    assert row
    found: UUID = row[0]
    return found


async def find(connection: Connection, scope: Scope, *, approval_id: UUID) -> RefundApproval | None:
    async with connection.cursor(row_factory=class_row(RefundApproval)) as cursor:
        await cursor.execute(_SQL["find"], {"practice_id": scope.practice_id, "id": approval_id})
        return await cursor.fetchone()


async def waiting(connection: Connection, scope: Scope, *, batch_id: UUID | None = None) -> list[RefundApproval]:
    """Those that somebody can still decide, the oldest first."""
    parameters = {"practice_id": scope.practice_id, "batch_id": batch_id, "limit": MOST_WAITING}
    async with connection.cursor(row_factory=class_row(RefundApproval)) as cursor:
        await cursor.execute(_SQL["waiting"], parameters)
        return await cursor.fetchall()


async def rows(connection: Connection, *, approval_id: UUID, limit: int, skip: int) -> list[RefundRow]:
    """Its payments, the largest first."""
    async with connection.cursor(row_factory=class_row(RefundRow)) as cursor:
        await cursor.execute(_SQL["rows"], {"id": approval_id, "limit": limit, "skip": skip})
        return await cursor.fetchall()
