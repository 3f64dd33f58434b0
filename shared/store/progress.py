"""Typed twin of `sql/progress.sql`: how running batches get on. Nothing here commits."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import class_row

from shared.store.scope import Scope
from shared.store.statements import load

_SQL: Final = load("progress")
# How fast a batch is: by what it ended within this time, so that a pause behind it does not count.
LATELY: Final = timedelta(minutes=1)
# Who waits for an outcome for longer is told that it is stuck, and whose money it is.
STUCK: Final = timedelta(minutes=30)
Connection = AsyncConnection[Any]


@dataclass(frozen=True, slots=True)
class Progress:
    """A running batch, as far as this caller sees it.

    `lately` payments ended within `LATELY`. `unanswered` were sent after the processor's last answer (`answered_at`)
    and have none, the first of them at `asked_at`. `stuck` have had no outcome for `STUCK`.
    """

    batch_id: UUID
    lately: int
    answered_at: datetime | None
    now: datetime
    paused: bool
    unanswered: int
    asked_at: datetime | None
    tried_at: datetime | None
    stuck: int
    stuck_minor: int


async def of_batches(connection: Connection, scope: Scope, *, batch_ids: Sequence[UUID]) -> dict[UUID, Progress]:
    """The progress of these batches, by id."""
    async with connection.cursor(row_factory=class_row(Progress)) as cursor:
        await cursor.execute(
            _SQL["of_batches"],
            {**scope.parameters(), "batch_ids": list(batch_ids), "lately": LATELY, "stuck": STUCK},
            prepare=False,
        )
        return {row.batch_id: row for row in await cursor.fetchall()}
