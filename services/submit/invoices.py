"""Route of the wizard's list of open invoices."""

from typing import Annotated

from fastapi import APIRouter, Query

from schemas import http
from services.submit import answers
from services.submit.caller import Biller, Pool
from services.submit.cursors import next_cursor, order_of
from services.submit.documented import problems
from shared.store import invoices
from shared.store.scope import seeing

router = APIRouter(prefix="/v1/invoices", tags=["invoices"])


@router.get("", responses=problems())
async def list_invoices(query: Annotated[http.InvoiceQuery, Query()], caller: Biller, pool: Pool) -> http.InvoicePage:
    """Invoices with an amount due. One that cannot be charged now is listed with every reason why."""
    wanted = query.wanted()
    async with seeing(pool, caller.scope) as connection:
        rows = await invoices.page(connection, caller.scope, wanted=wanted, show=query.show, order=order_of(query))
        matching = await invoices.matching(connection, caller.scope, wanted=wanted)
        await caller.note_view(connection, "invoices.viewed", rows=len(rows))
    return http.InvoicePage(
        items=[answers.invoice(row) for row in rows[: query.limit]],
        matching=answers.matching(matching),
        next_cursor=next_cursor([row.cursor for row in rows], query),
    )
