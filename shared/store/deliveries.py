"""Typed twin of `sql/deliveries.sql`: every delivery of one event to one subscription. Nothing here commits."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal, NamedTuple
from uuid import UUID

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import class_row, scalar_row

from shared.store import audit
from shared.store.statements import load
from shared.store.subscriptions import Actor

_SQL: Final = load("deliveries")
Connection = AsyncConnection[Any]
State = Literal["waiting", "delivered", "failed", "held"]
# A UUIDv7's first 48 bits are the milliseconds since 1970.
_ID_BITS_BELOW_MS: Final = 80


class Event(NamedTuple):
    """An event as it came: whose, which, and its body to send on."""

    practice: str
    event_id: str
    type: str
    body: str


@dataclass(frozen=True, slots=True)
class Taken:
    """A delivery that is ours to try, for the length of the lease. The newest secret is the first."""

    id: UUID
    subscription_id: UUID
    url: str
    event_id: str
    body: str
    attempts: int
    secrets: list[str]


@dataclass(frozen=True, slots=True)
class Failing:
    """A subscription after one more failure; `now` is the database's clock."""

    practice_id: UUID
    failures: int
    failing_since: datetime
    now: datetime


@dataclass(frozen=True, slots=True)
class Delivery:
    id: UUID
    event_id: str
    type: str
    state: State
    attempts: int
    created_at: datetime
    next_try_at: datetime
    last_try_at: datetime | None
    last_status: int | None
    last_failure: str | None
    done_at: datetime | None


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits to be told, and subscriptions that we disabled because nobody answered."""

    due: int
    oldest_s: float
    disabled: int


def with_webhooks(connection: psycopg.Connection[Any], practices: Iterable[str]) -> set[str]:
    """Those of these practices that have anybody to tell, disabled or not."""
    # Whoever sends a request chooses the practice that its refusal names, and PostgreSQL knows no text with a NUL.
    asked = [practice for practice in practices if "\0" not in practice]
    with connection.cursor(row_factory=scalar_row) as cursor:
        return set(cursor.execute(_SQL["told"], {"practices": asked}).fetchall())


async def keep(connection: Connection, events: Sequence[Event]) -> int:
    """Write a delivery for each event and subscription that wants it and has none of it yet; how many."""
    async with connection.cursor(row_factory=scalar_row) as cursor:
        columns = zip(*events, strict=True)
        names = ("practices", "event_ids", "types", "bodies")
        await cursor.execute(_SQL["keep"], {name: list(column) for name, column in zip(names, columns, strict=True)})
        kept: int | None = await cursor.fetchone()
        return kept or 0


async def add(connection: Connection, actor: Actor, subscription: UUID, event: Event) -> bool:
    """Tell one active subscription alone; False if there is none of this id."""
    parameters = {
        "id": subscription,
        "practice_id": actor.practice_id,
        "event_id": event.event_id,
        "type": event.type,
        "body": event.body,
    }
    return await (await connection.execute(_SQL["add"], parameters)).fetchone() is not None


async def take(
    connection: Connection, *, busy: Mapping[UUID, int], abreast: int, at_most: int, lease: timedelta
) -> list[Taken]:
    """Take due deliveries: `abreast` at once for each subscription, less those that it is `busy` with here."""
    parameters = {
        "busy": list(busy),
        "busy_with": list(busy.values()),
        "abreast": abreast,
        "at_most": at_most,
        "lease": lease,
    }
    async with connection.cursor(row_factory=class_row(Taken)) as cursor:
        await cursor.execute(_SQL["take"], parameters)
        return await cursor.fetchall()


async def delivered(connection: Connection, delivery: UUID, *, status: int) -> None:
    """The receiver has it."""
    await connection.execute(_SQL["delivered"], {"id": delivery, "status": status})


async def failed(
    connection: Connection,
    delivery: UUID,
    *,
    attempts: int,
    status: int | None,
    failure: str,
    pause: timedelta | None,
) -> Failing | None:
    """Try `attempts` failed, and the next is after `pause`, or there is none. None if it does not matter any more."""
    parameters = {"id": delivery, "attempts": attempts, "status": status, "failure": failure, "pause": pause}
    async with connection.cursor(row_factory=class_row(Failing)) as cursor:
        await cursor.execute(_SQL["failed"], parameters)
        return await cursor.fetchone()


async def page(connection: Connection, *, subscription: UUID, limit: int, after: UUID | None = None) -> list[Delivery]:
    """A subscription's deliveries, newest first."""
    parameters = {"subscription_id": subscription, "limit": limit, "after_id": after}
    async with connection.cursor(row_factory=class_row(Delivery)) as cursor:
        await cursor.execute(_SQL["page"], parameters)
        return await cursor.fetchall()


async def of_event(connection: Connection, *, subscription: UUID, event_id: str) -> UUID | None:
    async with connection.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute(_SQL["of_event"], {"subscription_id": subscription, "event_id": event_id})
        found: UUID | None = await cursor.fetchone()
        return found


async def replay(
    connection: Connection, actor: Actor, subscription: UUID, *, first: UUID, last: UUID, delivered_too: bool
) -> int:
    """Send again what was not delivered between two ids, both included, or all of it; how many."""
    parameters = {
        "subscription_id": subscription,
        "first": first,
        "last": last,
        "states": ["failed", "held", *(["delivered"] if delivered_too else [])],
    }
    row = await (await connection.execute(_SQL["replay"], parameters)).fetchone()
    count = int(row[0]) if row else 0
    await audit.write(
        connection,
        practice_id=actor.practice_id,
        actor=actor.by,
        source=actor.source,
        action="webhook.replayed",
        detail={"subscription": str(subscription), "first": str(first), "last": str(last), "deliveries": count},
    )
    return count


async def hold(connection: Connection, *, limit: int) -> int:
    """Hold what waits for subscriptions that are not active any more; how many."""
    return len(await (await connection.execute(_SQL["hold"], {"limit": limit})).fetchall())


async def delete_old(connection: Connection, *, kept: timedelta, limit: int) -> int:
    """Delete deliveries that have been done for longer than `kept`, the oldest first; how many."""
    return len(await (await connection.execute(_SQL["delete_old"], {"kept": kept, "limit": limit})).fetchall())


def first_id_at(moment: datetime) -> UUID:
    """No delivery that was written before `moment` has an id as large as this."""
    return UUID(int=int(moment.timestamp() * 1000) << _ID_BITS_BELOW_MS)


async def backlog(connection: Connection) -> Backlog:
    async with connection.cursor(row_factory=class_row(Backlog)) as cursor:
        await cursor.execute(_SQL["backlog"])
        found = await cursor.fetchone()
        assert found
        return found
