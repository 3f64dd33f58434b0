"""Typed twin of `sql/approvals.sql`: submits that wait for a second person. Nothing here commits."""

from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import class_row

from shared.store.decisions import MOST_WAITING, Asked, Decisions
from shared.store.scope import Scope
from shared.store.statements import load
from shared.store.submissions import Submission

_SQL: Final = load("approvals")
_decisions: Final = Decisions(_SQL)
lock, decide = _decisions.lock, _decisions.decide
Connection = AsyncConnection[Any]


@dataclass(frozen=True, slots=True)
class Approval(Asked):
    """A submit above the ceiling. `clinician_id` is the maker's, whose clients the selection is confined to."""

    number: int
    draft_id: UUID
    ceiling_minor: int
    reason: str | None
    payment_number: str | None
    clinician_id: UUID | None
    retry_of: UUID | None
    idempotency_key: str
    request_sha256: bytes


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
        await cursor.execute(_SQL["waiting"], {**scope.parameters(), "limit": MOST_WAITING})
        return await cursor.fetchall()
