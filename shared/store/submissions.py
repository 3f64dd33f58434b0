"""Typed twin of `sql/submissions.sql`: preview and submit. Nothing here commits."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import class_row, scalar_row
from psycopg.types.json import Jsonb

from shared.domain.ids import ordered_ids
from shared.store.scope import Scope
from shared.store.statements import load

_SQL: Final = load("submissions")
# The hint goes out at once; the janitor looks only at what nobody claimed within this time.
FIRST_CHECK_S: Final = 60
_LONGEST_SEQUENCE_NUMBER: Final = 18  # digits of a bigint that cannot overflow
Connection = AsyncConnection[Any]


@dataclass(frozen=True, slots=True)
class Submitted:
    """A batch as it was submitted: nothing of it changes later."""

    id: UUID
    number: int
    submitted_at: datetime
    submitted_by: str
    processor: str
    currency: str
    total: int
    total_minor: int
    payment_number: str | None
    first_payment_number: int | None
    last_payment_number: int | None
    request_sha256: bytes


@dataclass(frozen=True, slots=True)
class Ready:
    ready: int
    ready_minor: int


@dataclass(frozen=True, slots=True)
class Blocked:
    """A selected invoice that cannot be charged, with every reason. Null fields: no such invoice is visible."""

    external_id: str
    invoice_number: str | None
    reasons: list[str]
    currency: str | None
    amount_due_minor: int | None
    exp_month: int | None
    exp_year: int | None
    method_processor: str | None
    processor: str | None
    practice_name: str
    practice_currency: str
    locale: str
    invoice_limit_minor: int | None
    running_batch_number: int | None


@dataclass(frozen=True, slots=True)
class UsedNumber:
    """Where a typed payment number was used last. Null fields: only where the caller may not look."""

    payments: int
    batch_number: int | None
    submitted_at: datetime | None
    invoice_number: str | None
    client_name: str | None
    timezone: str
    locale: str


@dataclass(frozen=True, slots=True)
class NextNumbers:
    next_payment_number: int
    currency: str
    processor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondPerson:
    """Who approved a batch above the ceiling; it gets the id and the number that it waited under."""

    id: UUID
    number: int
    approved_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """What is asked for. `invoices` are upstream's ids, each once; the control totals are what the user confirmed."""

    invoices: Sequence[str]
    payment_number: str | None
    control_count: int
    control_minor: int
    idempotency_key: str
    request_sha256: bytes
    actor: str
    source: str
    retry_of: UUID | None = None
    second: SecondPerson | None = None


@dataclass(frozen=True, slots=True)
class Retryable:
    """`invoices` can be tried again now, by upstream's ids; `resting` more of them from `resting_until` on."""

    invoices: list[str]
    resting: int
    resting_until: datetime | None


@dataclass(frozen=True, slots=True)
class Chance:
    """Whether a soft decline may be tried again: so many `declines` of its card count, its pause ends at `from_at`."""

    id: UUID
    declines: int
    from_at: datetime | None
    chargeable: bool
    allowed: bool


async def find_submitted(connection: Connection, scope: Scope, *, idempotency_key: str) -> Submitted | None:
    """The batch that was submitted with this key."""
    async with connection.cursor(row_factory=class_row(Submitted)) as cursor:
        await cursor.execute(
            _SQL["find_submitted"], {"practice_id": scope.practice_id, "idempotency_key": idempotency_key}
        )
        return await cursor.fetchone()


async def matching_ready(connection: Connection, scope: Scope, *, wanted: dict[str, Any], limit: int) -> list[str]:
    """The invoices that this filter leaves and that can be charged, `limit` at most. Reopened ones are left out: a
    client who was refunded on purpose is charged again only if a person selects the invoice.
    """
    async with connection.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute(
            _SQL["matching_ready"], {**scope.parameters(), "filter": Jsonb(wanted), "limit": limit}, prepare=False
        )
        found = await cursor.fetchone()
        return list(found or ())


async def retryable(connection: Connection, scope: Scope, *, batch_id: UUID) -> Retryable:
    """The invoices that a batch failed to charge, that may be tried again and that can be charged."""
    async with connection.cursor(row_factory=class_row(Retryable)) as cursor:
        await cursor.execute(_SQL["retryable"], {**scope.parameters(), "batch_id": batch_id})
        found = await cursor.fetchone()
        assert found is not None
        return found


async def chances(connection: Connection, scope: Scope, *, payments: Sequence[UUID]) -> dict[UUID, Chance]:
    """Those of these payments that were softly declined, by id."""
    parameters = {"practice_id": scope.practice_id, "payments": list(payments)}
    async with connection.cursor(row_factory=class_row(Chance)) as cursor:
        await cursor.execute(_SQL["chances"], parameters, prepare=False)
        return {row.id: row for row in await cursor.fetchall()}


async def weigh(connection: Connection, scope: Scope, *, invoices: Sequence[str]) -> Ready:
    """How many of these invoices can be charged now, and for how much."""
    async with connection.cursor(row_factory=class_row(Ready)) as cursor:
        await cursor.execute(_SQL["weigh"], {**scope.parameters(), "invoices": list(invoices)}, prepare=False)
        row = await cursor.fetchone()
        assert row is not None
        return row


async def blocked(connection: Connection, scope: Scope, *, invoices: Sequence[str]) -> list[Blocked]:
    """Those of these invoices that cannot be charged now, each with every reason, in the order of `invoices`."""
    async with connection.cursor(row_factory=class_row(Blocked)) as cursor:
        await cursor.execute(_SQL["blocked"], {**scope.parameters(), "invoices": list(invoices)}, prepare=False)
        return await cursor.fetchall()


async def submit(connection: Connection, scope: Scope, submission: Submission) -> Submitted | None:
    """Write batch, payments, the row of their first hints and audit entry; None if nothing was written, because an
    invoice cannot be charged, the control totals differ, or the total is above the practice's ceiling and nobody
    approved it.

    Raises psycopg.errors.UniqueViolation if another submit took an invoice or the idempotency key at the same time.
    """
    invoices, second = list(submission.invoices), submission.second
    parameters = {
        **scope.parameters(),
        "invoices": invoices,
        "payment_ids": ordered_ids(len(invoices), unix_ms=time.time_ns() // 1_000_000),
        "payment_number": submission.payment_number,
        "control_count": submission.control_count,
        "control_minor": submission.control_minor,
        "idempotency_key": submission.idempotency_key,
        "request_sha256": submission.request_sha256,
        "actor": submission.actor,
        "source": submission.source,
        "id": second.id if second else None,
        "number": second.number if second else None,
        "approved_by": second.approved_by if second else None,
        "retry_of": submission.retry_of,
        "first_check_s": FIRST_CHECK_S,
    }
    # Never prepared: a plan made for a few invoices would be kept for thousands.
    async with connection.cursor(row_factory=class_row(Submitted)) as cursor:
        await cursor.execute(_SQL["submit"], parameters, prepare=False)
        return await cursor.fetchone()


async def used_number(
    connection: Connection, scope: Scope, *, number: str, submitted: Submitted | None = None
) -> UsedNumber | None:
    """The last use of this payment number, if any; for a submitted batch, the last one before it."""
    from_sequence = number.isascii() and number.isdigit() and len(number) <= _LONGEST_SEQUENCE_NUMBER
    async with connection.cursor(row_factory=class_row(UsedNumber)) as cursor:
        await cursor.execute(
            _SQL["used_number"],
            {
                **scope.parameters(),
                "number": number,
                "as_integer": int(number) if from_sequence and not number.startswith("0") else None,
                "before": submitted.submitted_at if submitted else None,
                "except_batch": submitted.id if submitted else None,
            },
        )
        return await cursor.fetchone()


async def next_numbers(connection: Connection, scope: Scope) -> NextNumbers:
    """The number that the next payment gets, with the practice's currency and processor."""
    async with connection.cursor(row_factory=class_row(NextNumbers)) as cursor:
        await cursor.execute(_SQL["next_numbers"], {"practice_id": scope.practice_id})
        row = await cursor.fetchone()
        assert row is not None
        return row
