"""Route of one payment with its timeline."""

from uuid import UUID

from fastapi import APIRouter

from schemas import http
from services.submit import answers
from services.submit.caller import Biller, Pool
from services.submit.documented import problems
from services.submit.problems import not_found
from shared.store import report
from shared.store.report import Connection, ReportRow
from shared.store.scope import Scope, seeing

router = APIRouter(prefix="/v1/payments", tags=["payments"])


@router.get("/{payment}", responses=problems(404))
async def read_payment(payment: UUID, caller: Biller, pool: Pool) -> http.PaymentDetail:
    """A payment with every step it took and everything that was asked of the processor for it."""
    async with seeing(pool, caller.scope) as connection:
        row = await visible_payment(connection, caller.scope, payment)
        events = await report.events(connection, payment_id=payment)
        attempts = await report.attempts(connection, payment_id=payment)
        await caller.note_view(connection, "payment.viewed", batch_id=row.batch_id, payment_id=row.id)
    return answers.timeline(row, events, attempts)


async def visible_payment(connection: Connection, scope: Scope, payment_id: UUID) -> ReportRow:
    """This payment. Raises the problem 404 if the caller sees nothing of it."""
    row = await report.payment(connection, scope, payment_id=payment_id)
    if row is None:
        raise not_found()
    return row
