"""One payment: what happened, in the order in which it happened. Support quotes its address."""

from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import Response

from services.submit.caller import Pool
from services.submit.console import pages, timeline
from services.submit.console.report import refundable, voidable, why
from services.submit.console.session import SignedIn
from shared.store import refund_approvals, report, submissions
from shared.store.scope import seeing

router = APIRouter()


@router.get("/payments/{payment}")
async def payment_timeline(request: Request, payment: UUID, member: SignedIn, pool: Pool) -> Response:
    async with seeing(pool, member.scope) as connection:
        row, shell = await pages.payment(connection, member, payment)
        events = await report.events(connection, payment_id=payment)
        attempts = await report.attempts(connection, payment_id=payment)
        said = await report.said(connection, payment_id=payment)
        refunds = await refund_approvals.waiting(connection, member.scope, batch_id=row.batch_id)
        chances = await submissions.chances(connection, member.scope, payments=[row.id])
    return pages.page(
        request,
        "payment.html",
        member=member,
        shell=shell,
        row=row,
        entries=timeline.entries(row, events, attempts, said, formats=member.formats, shell=shell),
        attempts=attempts,
        refunds=[one for one in refunds if row.id in one.payments],
        sentence=why(row, member.formats, chances.get(row.id)),
        voidable=voidable(member, row),
        refundable=refundable(member, row),
    )
