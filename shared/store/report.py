"""Typed twin of `sql/report.sql`: a batch's payments as people read them, and one payment's timeline."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import class_row

from shared.domain.payment import State
from shared.store.paging import Cursor, Order
from shared.store.scope import Scope
from shared.store.statements import load

_SQL: Final = load("report")
# What a person has to do something about, the most urgent first.
_URGENT: Final = (State.SURPLUS, State.UNKNOWN, State.DECLINED, State.FAILED, State.SKIPPED)
Connection = AsyncConnection[Any]


@dataclass(frozen=True, slots=True)
class ReportRow:
    """One payment. Amounts in minor units; `processor_ref` and `history_ref` are those of its latest charge."""

    id: UUID
    batch_id: UUID
    batch_number: int
    submitted_at: datetime
    submitted_by: str
    state: str
    amount_minor: int
    currency: str
    number: str
    processor: str
    reason_code: str | None
    reason_category: str | None
    reason_raw_code: str | None
    review_reason: str | None
    void_requested_at: datetime | None
    void_requested_by: str | None
    created_at: datetime
    next_check_at: datetime | None
    finished_at: datetime | None
    invoice_external_id: str
    invoice_number: str
    first_service_on: date | None
    last_service_on: date | None
    session_count: int
    client_external_id: str
    client_name: str
    method_type: str
    brand: str
    last4: str
    exp_month: int | None
    exp_year: int | None
    processor_ref: str | None
    history_ref: str | None
    reference: str | None
    disputed: bool
    # Of its refund, as long as that is asked for or done.
    refund_asked_by: str | None
    refund_asked_at: datetime | None
    refund_reason: str | None
    refund_ref: str | None
    key_text: str
    key_number: int

    @property
    def cursor(self) -> Cursor:
        return Cursor(text=self.key_text, number=self.key_number, id=self.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Payments in one of these states (or in review, with `or_in_review`) that hold this text; None: all."""

    states: Sequence[State] | None = None
    or_in_review: bool = False
    search: str | None = None


@dataclass(frozen=True, slots=True)
class TimelineEvent:
    at: datetime
    event: str
    from_state: str
    to_state: str
    actor: str
    detail: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class TimelineAttempt:
    n: int
    kind: str
    reference: str
    amount_minor: int
    processor_ref: str | None
    outcome: str | None
    outcome_code: str | None
    first_send_at: datetime
    finished_at: datetime | None

    @property
    def approval_code(self) -> str | None:
        """The bank's, where the processor told it; it is how a client's bank finds the charge."""
        return self.outcome_code if self.kind == "charge" and self.outcome in {"approved", "settled"} else None


@dataclass(frozen=True, slots=True)
class TimelineWord:
    """What a person said about the payment, and what became of it: `refusal` where it was not believed."""

    verdict: str
    processor_ref: str | None
    note: str
    asked_by: str
    asked_at: datetime
    answered_at: datetime | None
    refusal: str | None


async def payments(
    connection: Connection, scope: Scope, *, batch_id: UUID, after: UUID | None, limit: int
) -> list[ReportRow]:
    """The payments of one batch that this caller sees, in the order of the selection, after the payment `after`."""
    return await _rows(connection, scope, batch_id=batch_id, payment_id=None, after=after, limit=limit)


async def page(
    connection: Connection, scope: Scope, *, batch_id: UUID, wanted: Wanted, order: Order
) -> list[ReportRow]:
    """One page of a batch's payments, sorted and searched as a person asked."""
    async with connection.cursor(row_factory=class_row(ReportRow)) as cursor:
        await cursor.execute(
            _SQL["page"],
            {
                **scope.parameters(),
                **order.parameters(),
                "batch_id": batch_id,
                "states": None if wanted.states is None else list(wanted.states),
                "or_in_review": wanted.or_in_review,
                "search": wanted.search,
                "urgent": list(_URGENT),
            },
            prepare=False,
        )
        return await cursor.fetchall()


def urgent_first(rows: Iterable[ReportRow]) -> list[ReportRow]:
    """All rows of a batch in the order in which a person reads them first: what needs them, then by client."""
    places = {state: place for place, state in enumerate(_URGENT)}
    return sorted(
        rows,
        key=lambda row: (
            row.review_reason is None,
            places.get(State(row.state), len(places)),
            row.client_name.casefold(),
            row.id,
        ),
    )


async def payment(connection: Connection, scope: Scope, *, payment_id: UUID) -> ReportRow | None:
    """One payment; None if this caller does not see it."""
    rows = await _rows(connection, scope, batch_id=None, payment_id=payment_id, after=None, limit=1)
    return rows[0] if rows else None


async def events(connection: Connection, *, payment_id: UUID) -> list[TimelineEvent]:
    """Every step of a payment, oldest first."""
    async with connection.cursor(row_factory=class_row(TimelineEvent)) as cursor:
        await cursor.execute(_SQL["events"], {"payment_id": payment_id})
        return await cursor.fetchall()


async def attempts(connection: Connection, *, payment_id: UUID) -> list[TimelineAttempt]:
    """What was asked of the processor for a payment, oldest first."""
    async with connection.cursor(row_factory=class_row(TimelineAttempt)) as cursor:
        await cursor.execute(_SQL["attempts"], {"payment_id": payment_id})
        return await cursor.fetchall()


async def said(connection: Connection, *, payment_id: UUID) -> list[TimelineWord]:
    """What people said about a payment under review, oldest first."""
    async with connection.cursor(row_factory=class_row(TimelineWord)) as cursor:
        await cursor.execute(_SQL["said"], {"payment_id": payment_id})
        return await cursor.fetchall()


async def _rows(
    connection: Connection,
    scope: Scope,
    *,
    batch_id: UUID | None,
    payment_id: UUID | None,
    after: UUID | None,
    limit: int,
) -> list[ReportRow]:
    async with connection.cursor(row_factory=class_row(ReportRow)) as cursor:
        await cursor.execute(
            _SQL["payments"],
            {
                **scope.parameters(),
                "batch_id": batch_id,
                "payment_id": payment_id,
                "after_id": after,
                "limit": limit,
            },
            prepare=False,
        )
        return await cursor.fetchall()
