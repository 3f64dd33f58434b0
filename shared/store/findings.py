"""Typed twin of `sql/findings.sql`. Findings of payments are written by `payments.write`. Nothing here commits."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import orjson
from psycopg import AsyncConnection
from psycopg.rows import class_row

from schemas.events import FindingEvent
from shared.domain.finding_kinds import DONE, suggestion
from shared.domain.snapshot import Finding
from shared.store import audit
from shared.store.statements import load

_SQL: Final = load("findings")
# What one pass tells.
LIMIT: Final = 500
OPENED: Final = "finding.opened"

Connection = AsyncConnection[Any]


@dataclass(frozen=True, slots=True)
class Untold:
    """A finding of which nobody was told yet."""

    id: UUID
    practice: str
    payment_id: UUID | None
    batch_id: UUID | None
    kind: str
    detail: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Listed:
    """The payment's batch, invoice and amount are None where the finding is about none of ours."""

    id: UUID
    kind: str
    detail: str
    payment_id: UUID | None
    batch: str | None
    invoice: str | None
    amount_minor: int | None
    currency: str | None
    created_at: datetime
    resolved_at: datetime | None


async def open_stranger(connection: Connection, finding: Finding, *, practice_id: UUID, subject: str) -> None:
    """Write down money that has no payment of ours; `subject` is the processor's name of it."""
    parameters = {"practice_id": practice_id, "kind": finding.kind, "subject": subject, "detail": finding.detail}
    await connection.execute(_SQL["open"], parameters)


async def tell(connection: Connection) -> list[Untold]:
    """Put `finding.opened` into the outbox for each new finding; return those."""
    async with connection.cursor(row_factory=class_row(Untold)) as cursor:
        await cursor.execute(_SQL["untold"], {"limit": LIMIT})
        found = await cursor.fetchall()
    if found:
        rows = [
            {"batch_id": one.batch_id, "routing_key": OPENED, "body": _event(one).model_dump_json(exclude_none=True)}
            for one in found
        ]
        parameters = {"ids": [one.id for one in found], "done": list(DONE), "events": orjson.dumps(rows).decode()}
        await connection.execute(_SQL["tell"], parameters)
    return found


def _event(found: Untold) -> FindingEvent:
    return FindingEvent(
        event_id=str(found.id),
        type=OPENED,
        occurred_at=found.created_at,
        practice_id=found.practice,
        payment_id=found.payment_id,
        batch_id=found.batch_id,
        kind=found.kind,
        detail=found.detail,
        suggested_action=suggestion(found.kind),
    )


async def listed(connection: Connection, *, practice: str, resolved_too: bool = False) -> list[Listed]:
    """The open findings of a practice, oldest first, or all that it ever had."""
    async with connection.cursor(row_factory=class_row(Listed)) as cursor:
        await cursor.execute(_SQL["listed"], {"practice": practice, "all": resolved_too})
        return await cursor.fetchall()


async def resolve(connection: Connection, finding_id: UUID, *, by: str, note: str, source: str) -> bool:
    """A person has dealt with a finding; False where it is not there or was resolved before."""
    cursor = await connection.execute(_SQL["resolve"], {"id": finding_id, "by": by, "note": note})
    row = await cursor.fetchone()
    if row is None:
        return False
    practice_id, payment_id, kind = row
    await audit.write(
        connection,
        practice_id=practice_id,
        actor=by,
        source=source,
        action="finding.resolved",
        payment_id=payment_id,
        detail={"finding": str(finding_id), "kind": kind, "note": note},
    )
    return True
