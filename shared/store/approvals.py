"""Typed twin of `sql/approvals.sql`: submits that wait for a second person. Nothing here commits."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import class_row

from shared.store.scope import Scope
from shared.store.statements import load
from shared.store.submissions import Submission

_SQL: Final = load("approvals")
# They expire within a day; a practice with more of them has another problem.
_MOST_WAITING: Final = 100
Connection = AsyncConnection[Any]
Decision = Literal["approved", "sent_back", "changed"]


@dataclass(frozen=True, slots=True)
class Approval:
    """A submit above the ceiling. `clinician_id` is the maker's, whose clients the selection is confined to."""

    id: UUID
    practice_id: UUID
    number: int
    draft_id: UUID
    currency: str
    total: int
    total_minor: int
    ceiling_minor: int
    requested_by: str
    requested_at: datetime
    expires_at: datetime
    expired: bool
    decision: Decision | None
    decided_by: str | None
    decided_at: datetime | None
    reason: str | None
    payment_number: str | None
    clinician_id: UUID | None
    retry_of: UUID | None
    idempotency_key: str
    request_sha256: bytes

    @property
    def open(self) -> bool:
        return self.decision is None and not self.expired


async def request(connection: Connection, scope: Scope, submission: Submission) -> Approval | None:
    """Ask for approval of exactly this; None if the selection is not what was confirmed, or not above the ceiling.

    Raises psycopg.errors.UniqueViolation if the idempotency key was used at the same time.
    """
    async with connection.cursor(row_factory=class_row(Approval)) as cursor:
        await cursor.execute(
            _SQL["request"],
            {
                **scope.parameters(),
                "invoices": list(submission.invoices),
                "payment_number": submission.payment_number,
                "retry_of": submission.retry_of,
                "control_count": submission.control_count,
                "control_minor": submission.control_minor,
                "idempotency_key": submission.idempotency_key,
                "request_sha256": submission.request_sha256,
                "actor": submission.actor,
                "source": submission.source,
            },
            prepare=False,
        )
        return await cursor.fetchone()


async def find(
    connection: Connection, scope: Scope, *, number: int | None = None, idempotency_key: str | None = None
) -> Approval | None:
    async with connection.cursor(row_factory=class_row(Approval)) as cursor:
        await cursor.execute(_SQL["find"], {**scope.parameters(), "number": number, "idempotency_key": idempotency_key})
        return await cursor.fetchone()


async def waiting(connection: Connection, scope: Scope) -> list[Approval]:
    """Those that somebody can still decide, the oldest first."""
    async with connection.cursor(row_factory=class_row(Approval)) as cursor:
        await cursor.execute(_SQL["waiting"], {**scope.parameters(), "limit": _MOST_WAITING})
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
