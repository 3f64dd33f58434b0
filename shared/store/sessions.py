"""Typed twin of `sql/sessions.sql`: who is signed in to the console. Nothing here commits."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import class_row

from shared.store.scope import Scope
from shared.store.statements import load

_SQL: Final = load("sessions")
# An unattended screen shows nobody's payments for longer than this.
IDLE: Final = timedelta(minutes=30)
# A working day; then the upstream product says again who this is.
LONGEST: Final = timedelta(hours=8)
# Ended sessions are kept long enough to tell their owner that the work was saved.
_KEPT: Final = timedelta(days=7)
Connection = AsyncConnection[Any]


@dataclass(frozen=True, slots=True)
class Session:
    """A session and the practice it is for. Not `alive`: it ended, and opens nothing."""

    practice_id: UUID
    clinician_id: UUID | None
    subject: str
    name: str
    permissions: list[str]
    ends_at: datetime
    alive: bool
    practice_name: str
    timezone: str
    locale: str
    currency: str
    processor: str
    enrolled: bool
    approval_ceiling_minor: int | None
    refund_limit_minor: int | None

    @property
    def scope(self) -> Scope:
        return Scope(practice_id=self.practice_id, clinician_id=self.clinician_id)


@dataclass(frozen=True, slots=True)
class Place:
    """A practice's name, and how it writes times and amounts."""

    name: str
    timezone: str
    locale: str


async def use_token(connection: Connection, *, token_sha256: bytes, expires_at: datetime) -> bool:
    """Spend a sign-in token; False if it was spent before."""
    await connection.execute(_SQL["forget_old"], {"kept": _KEPT})
    cursor = await connection.execute(_SQL["use_token"], {"token_sha256": token_sha256, "expires_at": expires_at})
    return await cursor.fetchone() is not None


async def begin(
    connection: Connection, scope: Scope, *, key_sha256: bytes, subject: str, name: str, permissions: Iterable[str]
) -> None:
    await connection.execute(
        _SQL["sign_in"],
        {
            **scope.parameters(),
            "key_sha256": key_sha256,
            "subject": subject,
            "name": name,
            "permissions": sorted(permissions),
        },
    )


async def find(connection: Connection, *, key_sha256: bytes, active: bool) -> Session | None:
    """The session of this key. `active`: a person does something, which keeps it alive."""
    limits = {"key_sha256": key_sha256, "idle": IDLE, "longest": LONGEST}
    if active:
        await connection.execute(_SQL["keep_alive"], limits)
    async with connection.cursor(row_factory=class_row(Session)) as cursor:
        await cursor.execute(_SQL["find"], limits)
        return await cursor.fetchone()


async def end(connection: Connection, *, key_sha256: bytes) -> None:
    await connection.execute(_SQL["sign_out"], {"key_sha256": key_sha256})


async def place_of(connection: Connection, scope: Scope) -> Place:
    async with connection.cursor(row_factory=class_row(Place)) as cursor:
        await cursor.execute(_SQL["practice_of"], {"practice_id": scope.practice_id})
        row = await cursor.fetchone()
        assert row is not None
        return row


async def people(connection: Connection, scope: Scope) -> dict[str, str]:
    """How the people of this practice are called, by the subject of their tokens."""
    cursor = await connection.execute(_SQL["people"], {"practice_id": scope.practice_id})
    return dict(await cursor.fetchall())
