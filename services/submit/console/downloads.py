"""A batch's report as files: CSV for spreadsheets, PDF for the practice's binder. Masking applies; both are audited."""

import asyncio
import csv
import io
from collections.abc import AsyncIterator, Iterable
from typing import Any, Final

from fastapi import APIRouter
from fastapi.responses import Response, StreamingResponse
from psycopg_pool import AsyncConnectionPool

from services.submit.batches import BatchId, visible_batch
from services.submit.caller import Pool
from services.submit.console import pages, pdf, words
from services.submit.console.report import totals, why
from services.submit.console.session import Member, SignedIn
from shared.domain import money
from shared.domain.payment import State
from shared.store import batches, report
from shared.store.batches import Batch
from shared.store.report import ReportRow
from shared.store.scope import seeing

router = APIRouter()
_CHUNK: Final = 1000
_COLUMNS: Final = (
    "Batch", "Invoice", "Client", "First service date", "Last service date", "Card", "Last 4", "Payment number",
    "Amount", "Currency", "Status", "Reason", "Processor", "Processor reference", "Submitted", "Finished",
    "Refund reason",
)  # fmt: skip
# A cell that begins with one of these is a formula to a spreadsheet.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


@router.get("/batches/{batch}.csv")
async def as_csv(batch: BatchId, member: SignedIn, pool: Pool) -> StreamingResponse:
    found = await _opened(batch, member, pool, action="report.exported_csv")
    return StreamingResponse(
        _csv(found, member, pool),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="BP-{found.number}.csv"'},
    )


@router.get("/batches/{batch}.pdf")
async def as_pdf(batch: BatchId, member: SignedIn, pool: Pool) -> Response:
    await _opened(batch, member, pool, action="report.exported_pdf")
    async with seeing(pool, member.scope, of_one_moment=True) as connection:
        found = await visible_batch(connection, member.scope, batch)
        rows = await report.payments(connection, member.scope, batch_id=found.id, after=None, limit=found.tally.total)
        parts = await batches.breakdown(connection, member.scope, batch_ids=[found.id])
        shell = await pages.shell(connection, member)
    document = pdf.Document(
        practice=member.practice_name,
        printed_by=member.name,
        submitted_by=shell.name(found.submitted_by),
        approved_by=shell.name(found.approved_by) if found.approved_by else None,
        batch=found,
        totals=totals(parts[found.id]),
        rows=report.urgent_first(rows),
        formats=member.formats,
    )
    # Seconds of computing for ten thousand rows: not on the loop that others wait for.
    body = await asyncio.to_thread(pdf.render, document)
    return Response(
        body,
        media_type="application/pdf",
        headers={"Content-Disposition": f'attachment; filename="BP-{found.number}.pdf"'},
    )


async def _opened(batch: str, member: Member, pool: AsyncConnectionPool[Any], *, action: str) -> Batch:
    async with seeing(pool, member.scope) as connection:
        found = await visible_batch(connection, member.scope, batch)
        await member.note_view(connection, action, batch_id=found.id, rows=found.tally.total)
    return found


async def _chunks(found: Batch, member: Member, pool: AsyncConnectionPool[Any]) -> AsyncIterator[list[ReportRow]]:
    after = None
    while True:
        async with seeing(pool, member.scope) as connection:
            rows = await report.payments(connection, member.scope, batch_id=found.id, after=after, limit=_CHUNK)
        yield rows
        if len(rows) < _CHUNK:
            return
        after = rows[-1].id


async def _csv(found: Batch, member: Member, pool: AsyncConnectionPool[Any]) -> AsyncIterator[str]:
    # Excel takes a file for UTF-8 only with this mark.
    yield "\ufeff" + _lines([_COLUMNS])
    async for rows in _chunks(found, member, pool):
        yield _lines(_record(row, member) for row in rows)


def _record(row: ReportRow, member: Member) -> tuple[str, ...]:
    f = member.formats
    return (
        f"BP-{row.batch_number}",
        row.invoice_number,
        row.client_name,
        row.first_service_on.isoformat() if row.first_service_on else "",
        row.last_service_on.isoformat() if row.last_service_on else "",
        words.brand(row.brand),
        row.last4,
        row.number,
        str(money.decimal(row.amount_minor, row.currency)),
        row.currency,
        words.STATES[State(row.state)].words,
        why(row),
        row.processor,
        row.processor_ref or "",
        f.local_iso(row.submitted_at),
        f.local_iso(row.finished_at),
        row.refund_reason or "",
    )


def _lines(records: Iterable[tuple[str, ...]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows([harmless(cell) for cell in record] for record in records)
    return text.getvalue()


def harmless(cell: str) -> str:
    """The cell as text, also where it looks like a formula."""
    return f"'{cell}" if cell.startswith(_FORMULA) else cell
