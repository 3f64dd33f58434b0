"""Typed twin of `sql/disputes.sql`. Nothing here commits."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from psycopg import AsyncConnection

from schemas.events import PaymentEvent
from shared.domain.books import Dispute, Standing
from shared.domain.finding_kinds import Kind
from shared.domain.snapshot import Step
from shared.domain.words import ProcessorName
from shared.store.statements import load

_SQL: Final = load("disputes")
Connection = AsyncConnection[Any]


class Charge(NamedTuple):
    payment_id: UUID
    attempt_id: UUID


async def charge_of(
    connection: Connection, *, processor: ProcessorName, account: str, charge_ref: str
) -> Charge | None:
    """Our charge that the processor calls so."""
    parameters = {"processor": processor, "account": account, "charge_ref": charge_ref}
    row = await (await connection.execute(_SQL["charge_of"], parameters)).fetchone()
    return Charge(*row) if row else None


async def standing_of(
    connection: Connection, dispute: Dispute, *, processor: ProcessorName, account: str
) -> Standing | None:
    """How a dispute stood when it was seen last. Read it under its payment's row lock."""
    parameters = {"processor": processor, "account": account, "processor_ref": dispute.processor_ref}
    row = await (await connection.execute(_SQL["standing_of"], parameters)).fetchone()
    return Standing(row[0]) if row else None


async def write(
    connection: Connection, dispute: Dispute, charge: Charge, *, processor: ProcessorName, account: str
) -> None:
    parameters = {
        "processor": processor,
        "account": account,
        "processor_ref": dispute.processor_ref,
        "payment_id": charge.payment_id,
        "attempt_id": charge.attempt_id,
        "amount_minor": dispute.amount_minor,
        "standing": dispute.standing,
    }
    await connection.execute(_SQL["write"], parameters)


async def settle_finding(connection: Connection, payment_id: UUID, dispute: Dispute) -> None:
    """The practice won: nobody has to do anything about its finding any more."""
    parameters = {"payment_id": payment_id, "kind": Kind.CHARGEBACK, "processor_ref": dispute.processor_ref}
    await connection.execute(_SQL["settle_finding"], parameters)


async def tell(connection: Connection, step: Step, name: str, *, now: datetime) -> None:
    """Write `payment.<name>` to the outbox: the state has not moved, so the step itself tells nothing."""
    payment = step.after
    event = PaymentEvent(
        event_id=f"{payment.id}.{payment.version}",
        type=f"payment.{name}",
        occurred_at=now,
        practice_id=payment.practice_external_id,
        batch_id=payment.batch_id,
        batch_number=f"BP-{payment.batch_number}",
        payment_id=payment.id,
        invoice_id=payment.invoice_external_id,
        sequence=payment.version,
        state=payment.state.value,
        amount_minor=payment.amount_minor,
        currency=payment.currency,
    )
    parameters = {
        "batch_id": payment.batch_id,
        "payment_id": payment.id,
        "routing_key": event.type,
        "body": event.model_dump_json(exclude_none=True),
    }
    await connection.execute(_SQL["tell"], parameters)


async def disputed(connection: Connection, payments: Iterable[UUID]) -> set[UUID]:
    """Those of these payments whose money the client's bank has, or is taking: a refund would give it back twice."""
    cursor = await connection.execute(_SQL["disputed"], {"payments": list(payments)})
    return {row[0] for row in await cursor.fetchall()}
