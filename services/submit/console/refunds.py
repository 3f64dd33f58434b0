"""Refund a batch or a payment: first what will and will not happen, with exact numbers; the POST carries them back."""

from typing import Annotated, Final, NamedTuple
from uuid import UUID

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from services.submit.auth import Permission
from services.submit.batches import BatchId, visible_batch
from services.submit.caller import Pool
from services.submit.console import history, pages
from services.submit.console.report import refundable
from services.submit.console.session import Member, NotAllowedError, Refunding
from services.submit.console.voids import Effect
from services.submit.payments import visible_payment
from shared.domain.payment import State
from shared.domain.refund_requests import LONGEST_REASON, REFUNDABLE, RefundResult, result_of_asking, words
from shared.store import batches, refunds
from shared.store.batches import Batch, Connection, Part
from shared.store.refunds import RefundsMoreError
from shared.store.report import ReportRow
from shared.store.scope import seeing
from shared.store.voids import Shown

router = APIRouter()
_NOT_SETTLED: Final = (State.QUEUED, State.SENDING, State.UNKNOWN, State.PROCESSING, State.APPROVED, State.VOIDING)
_ASKED: Final = (RefundResult.REFUNDING, RefundResult.ALREADY_ASKED, RefundResult.NEEDS_APPROVAL)
Number = Annotated[int, Form(ge=0, le=2**53)]
Reason = Annotated[str, Form(max_length=LONGEST_REASON)]


@router.get("/batches/{batch}/refund")
async def ask_batch(request: Request, batch: BatchId, member: Refunding, pool: Pool) -> Response:
    return await _batch_dialog(request, batch, member, pool, status=200)


@router.post("/batches/{batch}/refund")
async def refund_batch(
    request: Request,
    batch: BatchId,
    member: Refunding,
    pool: Pool,
    *,
    count: Number,
    total_minor: Number,
    reason: Reason = "",
) -> Response:
    """Refund if nothing more than what was shown would be; payments may have settled meanwhile."""
    async with seeing(pool, member.scope) as connection:
        found, _ = await _parts(connection, member, batch)
    try:
        asked = await refunds.request_batch_refund(
            pool,
            practice_id=member.scope.practice_id,
            batch_id=found.id,
            actor=member.subject,
            source=member.source,
            reason=reason.strip() or None,
            shown=Shown(payments=count, amount_minor=total_minor),
        )
    except RefundsMoreError:
        return await _batch_dialog(request, batch, member, pool, status=409)
    waits = next((one.approval for one in asked if one.approval), None)
    return _asked(waits, f"{history.PATH}/BP-{found.number}")


@router.get("/payments/{payment}/refund")
async def ask_payment(request: Request, payment: UUID, member: Refunding, pool: Pool) -> Response:
    return await _payment_dialog(request, payment, member, pool, status=200)


@router.post("/payments/{payment}/refund")
async def refund_payment(
    request: Request, payment: UUID, member: Refunding, pool: Pool, *, reason: Reason = ""
) -> Response:
    """Ask for the refund; the dialog again, with the reason, if there is nothing to refund any more."""
    async with seeing(pool, member.scope) as connection:
        await visible_payment(connection, member.scope, payment)
    asked = await refunds.request_payment_refund(
        pool,
        practice_id=member.scope.practice_id,
        payment_id=payment,
        actor=member.subject,
        source=member.source,
        reason=reason.strip() or None,
    )
    if asked is None or asked.result not in _ASKED:
        return await _payment_dialog(request, payment, member, pool, status=409)
    return _asked(asked.approval, f"/console/payments/{payment}")


def _asked(approval: UUID | None, path: str) -> Response:
    """Where to go on: to what waits for a second person, or to what was refunded."""
    return RedirectResponse(f"/console/approvals/refunds/{approval}" if approval else path, status_code=303)


class Limited(NamedTuple):
    """Whether a refund needs a second person; `before_minor` is what its batch refunded without one and counts too."""

    above: bool
    before_minor: int


async def limited(connection: Connection, member: Member, batch_id: UUID, amount_minor: int) -> Limited:
    if member.refund_limit_minor is None:
        return Limited(above=False, before_minor=0)
    before_minor = await refunds.asked_without_approval(connection, batch_id=batch_id)
    return Limited(above=before_minor + amount_minor > member.refund_limit_minor, before_minor=before_minor)


def _over(parts: list[Part], *states: State) -> Effect:
    rows = [part for part in parts if part.state in states]
    return Effect(payments=sum(row.payments for row in rows), amount_minor=sum(row.amount_minor for row in rows))


async def _parts(connection: Connection, member: Member, batch: str) -> tuple[Batch, list[Part]]:
    found = await visible_batch(connection, member.scope, batch)
    if not member.may_refund_batches:
        raise NotAllowedError(Permission.REFUND, member.permissions)
    return found, (await batches.breakdown(connection, member.scope, batch_ids=[found.id]))[found.id]


async def _batch_dialog(request: Request, batch: str, member: Member, pool: Pool, *, status: int) -> Response:
    async with seeing(pool, member.scope) as connection:
        found, parts = await _parts(connection, member, batch)
        settled = _over(parts, *REFUNDABLE)
        limit = await limited(connection, member, found.id, settled.amount_minor)
        shell = await pages.shell(connection, member)
    return pages.page(
        request,
        "refund_batch.html",
        member=member,
        shell=shell,
        status=status,
        changed=status == 409,
        batch=found,
        settled=settled,
        limit=limit,
        not_settled=_over(parts, *_NOT_SETTLED),
        back=_over(parts, State.REFUNDED, State.REFUNDING, State.VOIDED),
    )


async def _payment_dialog(request: Request, payment: UUID, member: Member, pool: Pool, *, status: int) -> Response:
    async with seeing(pool, member.scope) as connection:
        row, shell = await pages.payment(connection, member, payment)
        limit = await limited(connection, member, row.batch_id, row.amount_minor)
    return pages.page(
        request,
        "refund_payment.html",
        member=member,
        shell=shell,
        status=status,
        row=row,
        refundable=refundable(member, row),
        said=_why_not(row),
        limit=limit,
    )


def _why_not(row: ReportRow) -> str:
    said = words(result_of_asking(State(row.state), disputed=row.disputed))
    return f"{said.what} {said.fix}"
