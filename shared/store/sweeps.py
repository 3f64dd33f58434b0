"""Typed twin of `sql/sweep.sql`. Nothing here commits."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from shared.domain.schedule import HINT_AGAIN, SETTLEMENT_CHECK
from shared.domain.words import ProcessorName
from shared.store.payments import Connection
from shared.store.statements import load

_SQL: Final = load("sweep")
_VOIDS: Final = load("void")
# Rows that one sweep takes, so that a sweep is short and the next one starts afresh.
LIMIT: Final = 500
# While hints of a batch wait for the relay its payments are looked at this seldom: under the ten minutes after which
# a forgotten row is an alarm.
_WAITING_AGAIN: Final = timedelta(minutes=5)
# A looked-up payment is out of the other janitors' reach this long.
_TAKEN_FOR: Final = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class Unsettled:
    """An approved charge that should appear in a settlement report."""

    payment_id: UUID
    attempt_id: UUID
    processor: ProcessorName
    account: str
    reference: str
    last_send_at: datetime


async def _rows(connection: Connection, name: str, **parameters: Any) -> list[tuple[Any, ...]]:
    cursor = await connection.execute(_SQL[name], {"limit": LIMIT, **parameters})
    return await cursor.fetchall()


async def hint_queued(connection: Connection) -> int:
    """Hint queued payments again that no claim has found; how many."""
    rows = await _rows(connection, "hint_queued", hint_again=HINT_AGAIN, waiting_again=_WAITING_AGAIN)
    return int(rows[0][0])


async def hint_returns(connection: Connection) -> int:
    """Hint voids and refunds again whose command was lost, and voids whose answer must be looked up; how many."""
    return int((await _rows(connection, "hint_returns", hint_again=HINT_AGAIN))[0][0])


async def leases_over(connection: Connection) -> list[UUID]:
    """Payments whose owner is silent past its lease."""
    return [row[0] for row in await _rows(connection, "leases_over")]


async def wires_free(connection: Connection) -> list[UUID]:
    """Unknown payments whose request can no longer be on the wire."""
    return [row[0] for row in await _rows(connection, "wires_free")]


async def take_unclear(connection: Connection) -> list[UUID]:
    """Payments whose outcome is to be looked up now."""
    return [row[0] for row in await _rows(connection, "take_unclear", again=_TAKEN_FOR)]


async def take_open_refunds(connection: Connection) -> list[tuple[UUID, UUID]]:
    """Payments whose refund's outcome is to be looked up now, each with the refund's attempt."""
    return [(row[0], row[1]) for row in await _rows(connection, "take_open_refunds", again=_TAKEN_FOR)]


async def take_unsettled(connection: Connection) -> list[Unsettled]:
    """Approved charges that are due for a look at their settlement; the reports of a day change seldom."""
    rows = await _rows(connection, "take_unsettled", again=SETTLEMENT_CHECK)
    return [Unsettled(row[0], row[1], ProcessorName(row[2]), *row[3:]) for row in rows]


async def known_taken(
    connection: Connection, processor: str, account: str, *, first: datetime, last: datetime
) -> set[str]:
    """References of charges that we know were taken by sends between `first` and `last`."""
    rows = await _rows(connection, "known_of_days", processor=processor, account=account, first=first, last=last)
    return {row[0] for row in rows}


async def unfinished_voids(connection: Connection) -> list[tuple[UUID, str]]:
    """Batches whose void did not reach every payment, with who asked."""
    cursor = await connection.execute(_VOIDS["unfinished_voids"])
    return [(row[0], row[1]) for row in await cursor.fetchall()]
