"""Refunds above the practice's limit, for a second person."""

from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import RedirectResponse, Response

from schemas.http import MOST_INVOICES, ControlTotals
from services.submit import refunding
from services.submit.auth import Permission
from services.submit.caller import Pool
from services.submit.console import pages
from services.submit.console.session import Approving, Member, NotAllowedError, SignedIn
from services.submit.problems import not_found
from services.submit.refunding import Decided
from shared.store import refund_approvals
from shared.store.scope import seeing

router = APIRouter()
_SIZE: Final = 50


@router.get("/approvals/refunds/{refund}")
async def refund_approval(
    request: Request, refund: UUID, member: SignedIn, pool: Pool, page: Annotated[int, Query(ge=1, le=1000)] = 1
) -> Response:
    """What would be refunded, the largest payments first."""
    return await _page(request, member, pool, refund, page=page)


@router.post("/approvals/refunds/{refund}/approve")
async def approve(
    request: Request,
    refund: UUID,
    member: Approving,
    pool: Pool,
    *,
    count: Annotated[int, Form(ge=1, le=MOST_INVOICES)],
    total_minor: Annotated[int, Form(ge=1, le=2**53 - 1)],
) -> Response:
    _may_decide(member)
    answer = await refunding.approve(
        pool,
        member.scope,
        approval_id=refund,
        control=ControlTotals(count=count, total_minor=total_minor),
        actor=member.subject,
        source=member.source,
    )
    return await _answer(request, member, pool, refund, answer)


@router.post("/approvals/refunds/{refund}/send-back")
async def send_back(
    request: Request, refund: UUID, member: Approving, pool: Pool, reason: Annotated[str, Form(max_length=200)] = ""
) -> Response:
    _may_decide(member)
    if not reason.strip():
        return await _page(request, member, pool, refund, status=422, fault="Say why you send it back")
    answer = await refunding.send_back(
        pool, member.scope, approval_id=refund, reason=reason.strip(), actor=member.subject, source=member.source
    )
    return await _answer(request, member, pool, refund, answer)


def _may_decide(member: Member) -> None:
    """Who sees only own clients cannot judge the whole."""
    if member.scope.own_clients:
        raise NotAllowedError(Permission.APPROVE, member.permissions)


async def _answer(request: Request, member: Member, pool: Pool, refund: UUID, answer: Decided | None) -> Response:
    if answer is None:
        raise not_found()
    if answer.outcome in {"approved", "sent_back"}:
        return RedirectResponse(f"/console/approvals/refunds/{refund}", status_code=303)
    return await _page(request, member, pool, refund, status=409)


async def _page(
    request: Request,
    member: Member,
    pool: Pool,
    refund: UUID,
    *,
    page: int = 1,
    status: int = 200,
    fault: str | None = None,
) -> Response:
    async with seeing(pool, member.scope) as connection:
        found = await refund_approvals.find(connection, member.scope, approval_id=refund)
        if found is None:
            raise not_found()
        rows = await refund_approvals.rows(connection, approval_id=refund, limit=_SIZE, skip=(page - 1) * _SIZE)
        shell = await pages.shell(connection, member)
        await member.note_view(connection, "refund_approval.viewed", batch_id=found.batch_id, rows=len(rows))
    mine = found.requested_by == member.subject
    return pages.page(
        request,
        "refund_approval.html",
        member=member,
        shell=shell,
        status=status,
        approval=found,
        rows=rows,
        page=page,
        pages=-(-found.total // _SIZE),
        first=(page - 1) * _SIZE + 1,
        mine=mine,
        may_decide=found.open and not mine and member.may(Permission.APPROVE) and not member.scope.own_clients,
        fault=fault,
    )
