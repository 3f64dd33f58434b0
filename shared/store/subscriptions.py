"""Typed twin of `sql/subscriptions.sql`: who is told of a practice's events by webhook. Nothing here commits."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal, NamedTuple
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import args_row, class_row, scalar_row

from shared.store import audit
from shared.store.statements import load

_SQL: Final = load("subscriptions")
# Every event is written once for each of them.
MOST: Final = 20
# Each is one more signature in every request's head.
MOST_SECRETS: Final = 5
_BEFORE_ALL: Final = UUID(int=0)
Connection = AsyncConnection[Any]
State = Literal["active", "disabled"]
Why = Literal["failing", "gone", "asked"]
# Until when the old secrets are valid, or why there is no new one.
Rotated = datetime | Literal["unknown", "too_many"]


@dataclass(frozen=True, slots=True)
class Subscription:
    """`types` is None for everything; `failures` counts the requests that failed since the last one that did not."""

    id: UUID
    practice_id: UUID
    url: str
    types: list[str] | None
    state: State
    failures: int
    failing_since: datetime | None
    created_at: datetime
    created_by: str
    disabled_at: datetime | None
    disabled_by: str | None
    disabled_why: Why | None


class Practice(NamedTuple):
    """Our id, and upstream's."""

    id: UUID
    external_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who does it, on whose subscriptions, and from where: for the audit log."""

    practice_id: UUID
    by: str
    source: str


async def create(
    connection: Connection, actor: Actor, *, url: str, types: Sequence[str] | None, secret: str
) -> Subscription | None:
    """A new subscription; None if the practice has as many as it may."""
    parameters = {**_of(actor), "url": url, "types": list(types) if types else None, "secret": secret, "most": MOST}
    async with connection.cursor(row_factory=class_row(Subscription)) as cursor:
        await cursor.execute(_SQL["subscribe"], parameters)
        created = await cursor.fetchone()
    if created:
        await _audit(connection, actor, "webhook.created", created.id)
    return created


async def page(
    connection: Connection, *, practice_id: UUID, limit: int, after: UUID | None = None
) -> list[Subscription]:
    """The practice's, oldest first, without deleted ones."""
    async with connection.cursor(row_factory=class_row(Subscription)) as cursor:
        await cursor.execute(
            _SQL["page"], {"practice_id": practice_id, "limit": limit, "after_id": after or _BEFORE_ALL}
        )
        return await cursor.fetchall()


async def one(connection: Connection, subscription: UUID, *, practice_id: UUID) -> Subscription | None:
    async with connection.cursor(row_factory=class_row(Subscription)) as cursor:
        await cursor.execute(_SQL["one"], {"id": subscription, "practice_id": practice_id})
        return await cursor.fetchone()


async def practice_of(connection: Connection, subscription: UUID) -> Practice | None:
    """Whose it is."""
    async with connection.cursor(row_factory=args_row(Practice)) as cursor:
        await cursor.execute(_SQL["practice_of"], {"id": subscription})
        return await cursor.fetchone()


async def rotate(
    connection: Connection, actor: Actor, subscription: UUID, *, secret: str, old_valid: timedelta
) -> Rotated:
    """Sign with a new secret, and for `old_valid` with the old ones too; until when that is."""
    async with connection.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute(_SQL["lock"], {**_of(actor), "id": subscription})
        valid = await cursor.fetchone()
        if valid is None:
            return "unknown"
        if old_valid and valid >= MOST_SECRETS:
            return "too_many"
        await cursor.execute(_SQL["expire_secret"], {"id": subscription, "valid": old_valid})
        ends: datetime | None = await cursor.fetchone()
        assert ends is not None, "a subscription that is not deleted has a secret"
        await cursor.execute(_SQL["add_secret"], {"id": subscription, "secret": secret})
    await _audit(
        connection, actor, "webhook.secret_rotated", subscription, old_valid_s=round(old_valid.total_seconds())
    )
    return ends


async def disable(connection: Connection, actor: Actor, subscription: UUID, *, why: Why) -> bool:
    """Send nothing more; False if it is not active. What waits is held, soon."""
    parameters = {**_of(actor), "id": subscription, "why": why}
    row = await (await connection.execute(_SQL["disable"], parameters)).fetchone()
    if row:
        await _audit(connection, actor, "webhook.disabled", subscription, why=why)
    return row is not None


async def enable(connection: Connection, actor: Actor, subscription: UUID) -> bool:
    """Send what comes from now on; False if it is not disabled."""
    row = await (await connection.execute(_SQL["enable"], {**_of(actor), "id": subscription})).fetchone()
    if row:
        await _audit(connection, actor, "webhook.enabled", subscription)
    return row is not None


async def delete(connection: Connection, actor: Actor, subscription: UUID) -> bool:
    """Never send anything again; False if there is no such subscription."""
    row = await (await connection.execute(_SQL["unsubscribe"], {**_of(actor), "id": subscription})).fetchone()
    if row:
        await _audit(connection, actor, "webhook.deleted", subscription)
    return row is not None


def _of(actor: Actor) -> dict[str, Any]:
    return {"practice_id": actor.practice_id, "by": actor.by}


async def _audit(connection: Connection, actor: Actor, action: str, subscription: UUID, **more: Any) -> None:
    await audit.write(
        connection,
        practice_id=actor.practice_id,
        actor=actor.by,
        source=actor.source,
        action=action,
        detail={"subscription": str(subscription), **more},
    )
