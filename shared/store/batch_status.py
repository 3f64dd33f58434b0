"""Recomputes batches from their payments: status, counts, posting and the `batch.*` events. Twin of `batch_status.sql`.

A batch is never counted up: whoever learns that its payments moved (the aggregator from events, the janitor from its
sweep) asks for a recomputation, which is right whatever was lost, repeated or reordered before.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import orjson
import structlog
from psycopg import AsyncConnection
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from schemas.events import BatchEvent
from shared.crash_points import reached
from shared.domain.batch import BatchStatus, Posting, StateCount, status, tally
from shared.domain.payment import State
from shared.store.statements import load

_SQL: Final = load("batch_status")
_RUNNING: Final = (BatchStatus.PROCESSING, BatchStatus.VOIDING)
# What is compared, and written where it differs.
_DERIVED: Final = (
    "status", "posting", "approved", "approved_minor", "declined", "declined_minor", "unfinished", "unfinished_minor",
    "returned", "returned_minor", "canceled", "canceled_minor", "in_review",
)  # fmt: skip
_COUNTS: Final = _DERIVED[2:]
_PROGRESSED: Final = "batch.progressed"

# Locks are held together for one transaction; beyond this many batches a void would wait noticeably for its batch.
BATCHES_IN_ONE_TRANSACTION: Final = 100
# An event is under way for seconds at most. A batch that nobody has looked at for longer may have lost one.
STALE_AFTER: Final = timedelta(minutes=1)
# How far back `stale_batches` looks for steps of posted batches: minutes of work at full speed.
NEWEST_STEPS: Final = 10_000

_log = structlog.get_logger()

Connection = AsyncConnection[Any]


@dataclass(frozen=True, slots=True)
class Changed:
    """A batch that was written, and the types of the events that tell it."""

    batch_id: UUID
    before: str
    after: str
    events: tuple[str, ...]


async def recompute(pool: AsyncConnectionPool, batch_ids: Iterable[UUID], *, actor: str) -> list[Changed]:
    """Make these batches say what their payments say; return those that changed.

    Commits, in transactions of bounded size; status, counts and the events that tell them are written together. `actor`
    is named in the log. Unknown ids are ignored. Raises psycopg's OperationalError or PoolTimeout while PostgreSQL is
    away; it may simply be repeated.
    """
    ids = sorted(set(batch_ids))
    changed: list[Changed] = []
    for start in range(0, len(ids), BATCHES_IN_ONE_TRANSACTION):
        async with pool.connection() as connection:
            changed += await _recompute(connection, ids[start : start + BATCHES_IN_ONE_TRANSACTION])
        if changed:
            reached("status_committed")
    for one in changed:
        # Progress is told several times a second while a batch runs: for those who look closely.
        log = _log.debug if one.events == (_PROGRESSED,) else _log.info
        log(
            "batch_recomputed",
            batch_id=str(one.batch_id),
            actor=actor,
            before=one.before,
            status=one.after,
            events=one.events,
        )
    return changed


async def stale_batches(connection: Connection, *, limit: int) -> list[UUID]:
    """Batches whose events may have been lost, at most `limit` of each kind: hand them to `recompute`.

    Those are pending ones that nobody has looked at for `STALE_AFTER` (looking puts them at the end of the line), and
    posted ones with a step after the last look. The work is bounded whatever the length of the history.
    """
    parameters = {"stale_after": STALE_AFTER, "limit": limit, "events": NEWEST_STEPS}
    cursor = await connection.execute(_SQL["stale"], parameters)
    return [row[0] for row in await cursor.fetchall()]


# --- One transaction --------------------------------------------------------------------------------------------------


async def _recompute(connection: Connection, ids: Sequence[UUID]) -> list[Changed]:
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_SQL["lock"], {"ids": ids, "confirm_after": STALE_AFTER})
        batches = await cursor.fetchall()
        await cursor.execute(_SQL["count_payments"], {"ids": ids})
        counted = await cursor.fetchall()
    counts: dict[UUID, list[StateCount]] = {}
    for row in counted:
        group = StateCount(State(row["state"]), row["in_review"], row["count"], row["amount_minor"])
        counts.setdefault(row["batch_id"], []).append(group)
    now = max((row["now"] for row in counted), default=None)
    derived = {batch["id"]: _derive(batch, counts[batch["id"]]) for batch in batches}
    different = [batch for batch in batches if any(batch[name] != derived[batch["id"]][name] for name in _DERIVED)]
    quiet = [batch["id"] for batch in batches if batch["confirm"] and batch not in different]
    if quiet:
        await connection.execute(_SQL["confirm"], {"ids": quiet})
    if not different or now is None:
        return []
    return await _write(connection, [(batch, derived[batch["id"]]) for batch in different], now=now)


def _derive(batch: dict[str, Any], counts: Iterable[StateCount]) -> dict[str, Any]:
    """The batch's derived columns, from its payments alone."""
    sums = tally(counts)
    standing = status(sums, void_requested=batch["void_requested"])
    columns: dict[str, Any] = {name: getattr(sums, name) for name in _COUNTS}
    return columns | {"status": standing.status, "posting": standing.posting}


async def _write(
    connection: Connection, changes: Sequence[tuple[dict[str, Any], dict[str, Any]]], *, now: datetime
) -> list[Changed]:
    rows: list[dict[str, Any]] = []
    events: list[BatchEvent] = []
    changed: list[Changed] = []
    for before, after in changes:
        types = _event_types(before, after)
        told = [
            _event(before, after, name, sequence=before["version"] + place, now=now)
            for place, name in enumerate(types, start=1)
        ]
        rows.append(
            after
            | {
                "id": before["id"],
                "version": before["version"] + len(told),
                "became_finished": before["status"] in _RUNNING and after["status"] not in _RUNNING,
                "became_posted": before["posting"] != after["posting"] == Posting.POSTED,
            }
        )
        events += told
        changed.append(Changed(before["id"], before["status"], after["status"].value, types))
    posted = [
        {"place": place, "batch_id": event.batch_id, "routing_key": event.type, "body": event.model_dump_json()}
        for place, event in enumerate(events)
    ]
    parameters = {"batches": orjson.dumps(rows).decode(), "events": orjson.dumps(posted).decode(), "now": now}
    await connection.execute(_SQL["write"], parameters)
    reached("status_written")
    return changed


def _event_types(before: dict[str, Any], after: dict[str, Any]) -> tuple[str, ...]:
    """What happened to the batch, in order. Only counts moved, or it runs again: progressed."""
    types: list[str] = []
    if before["status"] != after["status"] and after["status"] is not BatchStatus.PROCESSING:
        types.append(f"batch.{after['status']}")
    if before["posting"] != after["posting"] == Posting.POSTED:
        types.append("batch.posted")
    return tuple(types or [_PROGRESSED])


def _event(before: dict[str, Any], after: dict[str, Any], name: str, *, sequence: int, now: datetime) -> BatchEvent:
    return BatchEvent(
        event_id=f"{before['id']}.{sequence}",
        type=name,
        occurred_at=now,
        practice_id=before["practice_external_id"],
        batch_id=before["id"],
        batch_number=f"BP-{before['number']}",
        sequence=sequence,
        status=after["status"].value,
        posting=after["posting"].value,
        currency=before["currency"],
        total=sum(after[name] for name in ("approved", "declined", "unfinished", "returned", "canceled")),
        total_minor=sum(
            after[name]
            for name in ("approved_minor", "declined_minor", "unfinished_minor", "returned_minor", "canceled_minor")
        ),
        **{name: after[name] for name in _COUNTS},
    )
