"""Typed twin of `sql/invoices.sql`: the open invoices of a practice as the wizard lists them. Nothing here commits."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from shared.store.paging import Cursor, Order
from shared.store.scope import Scope
from shared.store.statements import load

_SQL: Final = load("invoices")
Connection = AsyncConnection[Any]


@dataclass(frozen=True, slots=True)
class OpenInvoice:
    """An invoice with an amount due; `reasons` is empty if it can be charged now."""

    invoice_id: UUID
    invoice_external_id: str
    invoice_number: str
    client_external_id: str
    client_name: str
    clinician_name: str | None
    currency: str
    total_minor: int
    amount_due_minor: int
    issued_on: date
    first_service_on: date | None
    last_service_on: date | None
    session_count: int
    reopened_at: datetime | None
    has_method: bool
    method_type: str | None
    brand: str | None
    last4: str | None
    exp_month: int | None
    exp_year: int | None
    method_processor: str | None
    processor: str
    reasons: list[str]
    practice_name: str
    practice_currency: str
    locale: str
    invoice_limit_minor: int | None
    running_batch_number: int | None
    running_batch_at: datetime | None
    sessions_outside: int
    selected: bool
    key_text: str
    key_number: int

    @property
    def cursor(self) -> Cursor:
        return Cursor(text=self.key_text, number=self.key_number, id=self.invoice_id)


@dataclass(frozen=True, slots=True)
class Matching:
    """How many invoices a filter leaves. `ready_reopened` are not charged by "all that match"."""

    all_count: int
    all_minor: int
    ready_count: int
    ready_minor: int
    ready_reopened: int


async def page(
    connection: Connection,
    scope: Scope,
    *,
    wanted: dict[str, Any],
    show: str,
    order: Order,
    draft_id: UUID | None = None,
) -> list[OpenInvoice]:
    """One page of the invoices that the filter `wanted` leaves (keys as in the SQL function `invoices_matching`)."""
    async with connection.cursor(row_factory=class_row(OpenInvoice)) as cursor:
        await cursor.execute(
            _SQL["page"],
            {**scope.parameters(), **order.parameters(), "filter": Jsonb(wanted), "show": show, "draft_id": draft_id},
            prepare=False,
        )
        return await cursor.fetchall()


async def matching(connection: Connection, scope: Scope, *, wanted: dict[str, Any]) -> Matching:
    """How many invoices the filter leaves, whatever the page shows."""
    async with connection.cursor(row_factory=class_row(Matching)) as cursor:
        await cursor.execute(_SQL["matching"], {**scope.parameters(), "filter": Jsonb(wanted)}, prepare=False)
        row = await cursor.fetchone()
        assert row is not None
        return row
