"""The audit log: who did what, when, from where. Written in the transaction that does it, never changed."""

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from shared.store.statements import load

_SQL: Final = load("audit")


async def write(
    connection: AsyncConnection[Any],
    *,
    practice_id: UUID | None,
    actor: str,
    source: str,
    action: str,
    batch_id: UUID | None = None,
    payment_id: UUID | None = None,
    detail: Mapping[str, Any] | None = None,
) -> None:
    """One entry. `action` is `<noun>.<past tense>`; `detail` holds ids, counts and amounts, never names.

    Without a practice it concerns them all.
    """
    await connection.execute(
        _SQL["write"],
        {
            "practice_id": practice_id,
            "actor": actor,
            "source": source,
            "action": action,
            "batch_id": batch_id,
            "payment_id": payment_id,
            "detail": None if detail is None else Jsonb(dict(detail)),
        },
    )
