"""Typed twin of `sql/resolutions.sql`: the review list, and what people say about its payments.

A person's word is a row that the janitor answers after its own look at the processor. Nothing here commits.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import class_row

from shared.domain.payment import State
from shared.domain.resolving import Verdict
from shared.domain.words import ProcessorName
from shared.store.statements import load

_SQL: Final = load("resolutions")
# What one pass of the janitor answers: people type them.
LIMIT: Final = 100

Connection = AsyncConnection[Any]


@dataclass(frozen=True, slots=True)
class UnderReview:
    """A payment on the review list. `reference` is ours, `processor_ref` the processor's, if an answer told it."""

    id: UUID
    practice: str
    batch_number: int
    invoice: str
    state: State
    amount_minor: int
    currency: str
    processor: ProcessorName
    reference: str | None
    processor_ref: str | None
    last_send_at: datetime | None
    reason: str


@dataclass(frozen=True, slots=True)
class Answer:
    """`refusal` is None where the resolution was taken, and while it is not answered."""

    answered: bool
    refusal: str | None


@dataclass(frozen=True, slots=True)
class Said:
    """What a person said about a payment last, and what became of it."""

    verdict: Verdict
    processor_ref: str | None
    asked_by: str
    asked_at: datetime
    answered: bool
    refusal: str | None


@dataclass(frozen=True, slots=True)
class Resolution:
    """What a person said and nobody has answered yet."""

    id: UUID
    payment_id: UUID
    practice_id: UUID
    verdict: Verdict
    processor_ref: str | None
    asked_by: str
    source: str


async def listed(connection: Connection, *, practice: str | None) -> list[UnderReview]:
    """The review list, oldest payment first; of one practice or of all."""
    async with connection.cursor(row_factory=class_row(UnderReview)) as cursor:
        await cursor.execute(_SQL["listed"], {"practice": practice})
        return await cursor.fetchall()


async def ask(
    connection: Connection,
    payment_id: UUID,
    *,
    verdict: Verdict,
    processor_ref: str | None,
    note: str,
    asked_by: str,
    source: str,
) -> UUID | None:
    """Write what a person says; its id, or None where there is no such payment."""
    parameters = {
        "payment_id": payment_id,
        "verdict": verdict,
        "processor_ref": processor_ref,
        "note": note,
        "asked_by": asked_by,
        "source": source,
    }
    row = await (await connection.execute(_SQL["ask"], parameters)).fetchone()
    return row[0] if row else None


async def answer_of(connection: Connection, resolution_id: UUID) -> Answer:
    async with connection.cursor(row_factory=class_row(Answer)) as cursor:
        await cursor.execute(_SQL["answer_of"], {"id": resolution_id})
        answer = await cursor.fetchone()
        assert answer is not None
        return answer


async def newest(connection: Connection, payment_id: UUID) -> Said | None:
    async with connection.cursor(row_factory=class_row(Said)) as cursor:
        await cursor.execute(_SQL["newest"], {"payment_id": payment_id})
        return await cursor.fetchone()


async def unanswered(connection: Connection) -> list[Resolution]:
    async with connection.cursor(row_factory=class_row(Resolution)) as cursor:
        await cursor.execute(_SQL["unanswered"], {"limit": LIMIT})
        return await cursor.fetchall()


async def answer(connection: Connection, resolution_id: UUID, *, refusal: str | None) -> bool:
    """Answer a person; False where another janitor has."""
    cursor = await connection.execute(_SQL["answer"], {"id": resolution_id, "refusal": refusal})
    return await cursor.fetchone() is not None


async def close_findings(connection: Connection, payment_id: UUID) -> None:
    """What was found about a payment is dealt with."""
    await connection.execute(_SQL["close_findings"], {"payment_id": payment_id})
