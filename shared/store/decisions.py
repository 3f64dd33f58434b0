"""Decisions of a second person about what waits for them: made once, and never by who asked. Nothing here commits."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, LiteralString
from uuid import UUID

from psycopg import AsyncConnection

# They expire within a day; a practice with more of them has another problem.
MOST_WAITING: Final = 100
Connection = AsyncConnection[Any]
Decision = Literal["approved", "sent_back", "changed"]


@dataclass(frozen=True, slots=True)
class Asked:
    """So many payments with this total, asked for by one person until `expires_at`."""

    id: UUID
    practice_id: UUID
    currency: str
    total: int
    total_minor: int
    requested_by: str
    requested_at: datetime
    expires_at: datetime
    expired: bool
    decision: Decision | None
    decided_by: str | None
    decided_at: datetime | None

    @property
    def open(self) -> bool:
        return self.decision is None and not self.expired

    @property
    def status(self) -> Decision | Literal["waiting_for_approval", "expired"]:
        return self.decision or ("expired" if self.expired else "waiting_for_approval")


class Decisions:
    """Those of one table, whose statements `lock` and `decide` it takes."""

    def __init__(self, sql: Mapping[str, LiteralString]) -> None:
        self._sql = sql

    async def lock(self, connection: Connection, *, approval_id: UUID) -> None:
        """One decision at a time: the second one sees the first."""
        await connection.execute(self._sql["lock"], {"id": approval_id})

    async def decide(
        self, connection: Connection, *, approval_id: UUID, decision: Decision, by: str, reason: str | None = None
    ) -> bool:
        """Write the decision; False if it is decided or expired already, or if `by` is who asked."""
        cursor = await connection.execute(
            self._sql["decide"], {"id": approval_id, "decision": decision, "by": by, "reason": reason}
        )
        return await cursor.fetchone() is not None
