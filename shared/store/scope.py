"""What a caller may see: one practice, and in it all clients or only one clinician's."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from shared.store.statements import load

_SQL: Final = load("scope")
Connection = AsyncConnection[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Every reading function takes one. `clinician_id` is None for who sees all clients of the practice."""

    practice_id: UUID
    clinician_id: UUID | None = None

    @property
    def own_clients(self) -> bool:
        return self.clinician_id is not None

    def parameters(self) -> dict[str, Any]:
        return {"practice_id": self.practice_id, "clinician_id": self.clinician_id}


@asynccontextmanager
async def seeing(
    pool: AsyncConnectionPool[Any], scope: Scope, *, of_one_moment: bool = False
) -> AsyncIterator[Connection]:
    """A transaction that sees only this scope: row-level security holds also where a statement forgets its WHERE.

    With `of_one_moment` all its statements see what its first one saw, and none may write.
    """
    async with pool.connection() as connection:
        if of_one_moment:
            await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        await connection.execute(_SQL["become"], scope.parameters())
        yield connection


async def resolve(connection: Connection, *, practice: str, clinician: str | None) -> Scope | None:
    """The scope of upstream's ids; None where there is no such practice, or it has no such clinician."""
    cursor = await connection.execute(_SQL["resolve"], {"practice": practice, "clinician": clinician})
    row = await cursor.fetchone()
    return Scope(practice_id=row[0], clinician_id=row[1]) if row else None
