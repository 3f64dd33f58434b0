"""Typed twin of `sql/webhooks.sql`. Nothing here commits."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

from psycopg import AsyncConnection

from shared.domain.payment import State
from shared.domain.reconciling import named_by
from shared.domain.words import ProcessorName
from shared.store.statements import load

_SQL: Final = load("webhooks")
# What one round takes.
LIMIT: Final = 200
# What could not be handled now waits for this long.
TRY_AGAIN_AFTER: Final = timedelta(minutes=2)

Connection = AsyncConnection[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """What is kept of an event. `charge_ref` is the processor's name of the charge that it is about."""

    processor: ProcessorName
    event_id: str
    account: str
    type: str
    charge_ref: str | None
    reference: str | None
    tries: int = 0


class Charge(NamedTuple):
    payment_id: UUID
    attempt_id: UUID
    state: State
    processor_ref: str | None


async def keep(connection: Connection, webhook: Webhook) -> bool:
    """Keep an event; False where it is kept already."""
    return await (await connection.execute(_SQL["keep"], asdict(webhook))).fetchone() is not None


async def take(connection: Connection) -> list[Webhook]:
    """Events to handle now."""
    names = ("processor", "event_id", "account", "type", "charge_ref", "reference", "tries")
    cursor = await connection.execute(_SQL["take"], {"limit": LIMIT, "again": TRY_AGAIN_AFTER})
    rows = [dict(zip(names, row, strict=True)) for row in await cursor.fetchall()]
    return [Webhook(**row | {"processor": ProcessorName(row["processor"])}) for row in rows]


async def charge_of(connection: Connection, webhook: Webhook) -> Charge | None:
    """Our charge that an event is about."""
    payment_id, n = named_by(webhook.reference or "") or (None, None)
    parameters = {
        "processor": webhook.processor,
        "account": webhook.account,
        "charge_ref": webhook.charge_ref,
        "payment_id": payment_id,
        "n": n,
    }
    row = await (await connection.execute(_SQL["charge_of"], parameters)).fetchone()
    return Charge(row[0], row[1], State(row[2]), row[3]) if row else None


async def confirmed_refund(connection: Connection, attempt_id: UUID) -> UUID | None:
    """Our refund that gave this charge back."""
    row = await (await connection.execute(_SQL["confirmed_refund"], {"attempt_id": attempt_id})).fetchone()
    return row[0] if row else None


async def look_soon(connection: Connection, payment_id: UUID, states: Sequence[State]) -> None:
    """Bring the next look at a payment forward if it is in one of these states."""
    await connection.execute(_SQL["look_soon"], {"payment_id": payment_id, "states": list(states)})


async def handled(connection: Connection, webhook: Webhook, outcome: str) -> None:
    parameters = {"processor": webhook.processor, "event_id": webhook.event_id, "outcome": outcome}
    await connection.execute(_SQL["handled"], parameters)
