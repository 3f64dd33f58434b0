"""Typed twin of `sql/refund_approvals.sql`: refunds that wait for a second person. Nothing here commits."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import class_row

from shared.store.scope import Scope
from shared.store.statements import load

_SQL: Final = load("refund_approvals")
# They expire within a day; a practice with more of them has another problem.
_MOST_WAITING: Final = 100
Connection = AsyncConnection[Any]
Decision = Literal["approved", "sent_back", "changed"]


@dataclass(frozen=True, slots=True)
class RefundApproval:
    """A refund above the limit. It binds `payments`; `payment_id` is set where one payment was asked for."""

    id: UUID
    practice_id: UUID
    batch_id: UUID
    batch_number: int
    payment_id: UUID | None
    payments: list[UUID]
    currency: str
    total: int
    total_minor: int
    limit_minor: int
    refund_reason: str | None
    requested_by: str
    requested_at: datetime
    expires_at: datetime
    expired: bool
    decision: Decision | None
    decided_by: str | None
    decided_at: datetime | None
    decision_reason: str | None

    @property
    def open(self) -> bool:
        return self.decision is None and not self.expired


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
    parameters = {"practice_id": scope.practice_id, "batch_id": batch_id, "limit": _MOST_WAITING}
    async with connection.cursor(row_factory=class_row(RefundApproval)) as cursor:
        await cursor.execute(_SQL["waiting"], parameters)
        return await cursor.fetchall()


async def rows(connection: Connection, *, approval_id: UUID, limit: int, skip: int) -> list[RefundRow]:
    """Its payments, the largest first."""
    async with connection.cursor(row_factory=class_row(RefundRow)) as cursor:
        await cursor.execute(_SQL["rows"], {"id": approval_id, "limit": limit, "skip": skip})
        return await cursor.fetchall()


async def lock(connection: Connection, *, approval_id: UUID) -> None:
    """One decision at a time: the second one sees the first."""
    await connection.execute(_SQL["lock"], {"id": approval_id})


async def decide(
    connection: Connection, *, approval_id: UUID, decision: Decision, by: str, reason: str | None = None
) -> bool:
    """Write the decision; False if it is decided or expired already, or if `by` is who asked."""
    cursor = await connection.execute(
        _SQL["decide"], {"id": approval_id, "decision": decision, "by": by, "reason": reason}
    )
    return await cursor.fetchone() is not None
