"""Approvals: batches above the practice's ceiling, for a second person."""

from typing import Annotated, Any, Final, assert_never

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import RedirectResponse, Response

from schemas.http import MOST_INVOICES, ControlTotals
from services.submit import approving
from services.submit.approving import Approved, Changed, Closed, OwnBatch, SentBack
from services.submit.auth import Permission
from services.submit.batches import BatchId, number_of
from services.submit.caller import Pool
from services.submit.console import pages
from services.submit.console.session import Approving, Member, NotAllowedError, SignedIn
from services.submit.explain import why
from services.submit.problems import not_found
from shared.store import approvals, drafts, refund_approvals
from shared.store.scope import seeing

router = APIRouter()
_SIZE: Final = 50


@router.get("/approvals")
async def waiting(request: Request, member: Approving, pool: Pool) -> Response:
    if member.scope.own_clients:
        raise NotAllowedError(Permission.APPROVE, member.permissions)
    async with seeing(pool, member.scope) as connection:
        rows = await approvals.waiting(connection, member.scope)
        refunds = await refund_approvals.waiting(connection, member.scope)
        shell = await pages.shell(connection, member)
    return pages.page(request, "approvals.html", member=member, shell=shell, rows=rows, refunds=refunds)


@router.get("/approvals/{batch}")
async def approval(
    request: Request, batch: BatchId, member: SignedIn, pool: Pool, page: Annotated[int, Query(ge=1, le=1000)] = 1
) -> Response:
    """The batch as it was confirmed, the largest payments first."""
    return await _page(request, member, pool, batch, page=page)


@router.post("/approvals/{batch}/approve")
async def approve(
    request: Request,
    batch: BatchId,
    member: Approving,
    pool: Pool,
    *,
    count: Annotated[int, Form(ge=1, le=MOST_INVOICES)],
    total_minor: Annotated[int, Form(ge=1, le=2**53 - 1)],
) -> Response:
    answer = await approving.approve(
        pool,
        member.scope,
        number=_number(batch, member),
        control=ControlTotals(count=count, total_minor=total_minor),
        actor=member.subject,
        source=member.source,
    )
    match answer:
        case Approved():
            number = f"BP-{answer.batch.number}"
            return RedirectResponse(f"/console/batches?new={number}#{number}", status_code=303)
        case None:
            raise not_found()
        case OwnBatch() | Closed():
            return await _page(request, member, pool, batch, status=409)
        case Changed():
            differences = [(one, " ".join(said.message for said in why(one))) for one in answer.differences]
            return await _page(request, member, pool, batch, status=409, differences=differences)
        case _:
            assert_never(answer)


@router.post("/approvals/{batch}/send-back")
async def send_back(
    request: Request,
    batch: BatchId,
    member: Approving,
    pool: Pool,
    reason: Annotated[str, Form(max_length=200)] = "",
) -> Response:
    if not reason.strip():
        return await _page(request, member, pool, batch, status=422, fault="Say why you send it back")
    answer = await approving.send_back(
        pool,
        member.scope,
        number=_number(batch, member),
        reason=reason.strip(),
        actor=member.subject,
        source=member.source,
    )
    match answer:
        case SentBack():
            return RedirectResponse(f"/console/approvals/BP-{answer.approval.number}", status_code=303)
        case None:
            raise not_found()
        case OwnBatch() | Closed():
            return await _page(request, member, pool, batch, status=409)
        case _:
            assert_never(answer)


def _number(batch: str, member: Member) -> int:
    """The number of a batch that this person may decide on: who sees only own clients cannot judge the whole."""
    if member.scope.own_clients:
        raise NotAllowedError(Permission.APPROVE, member.permissions)
    number = number_of(batch)
    if number is None:
        raise not_found()
    return number


async def _page(
    request: Request,
    member: Member,
    pool: Pool,
    batch: str,
    *,
    page: int = 1,
    status: int = 200,
    differences: Any = (),
    fault: str | None = None,
) -> Response:
    number = number_of(batch)
    async with seeing(pool, member.scope) as connection:
        found = await approvals.find(connection, member.scope, number=number) if number is not None else None
        if found is None:
            raise not_found()
        context: dict[str, Any] = {
            "summary": await drafts.summary(connection, draft_id=found.draft_id),
            "rows": await drafts.sessions(
                connection, draft_id=found.draft_id, limit=_SIZE, skip=(page - 1) * _SIZE, largest_first=True
            ),
            "shell": await pages.shell(connection, member),
        }
        await member.note_view(connection, "approval.viewed", rows=len(context["rows"]))
    mine = found.requested_by == member.subject
    return pages.page(
        request,
        "approval.html",
        member=member,
        status=status,
        approval=found,
        page=page,
        pages=-(-found.total // _SIZE),
        first=(page - 1) * _SIZE + 1,
        mine=mine,
        may_decide=found.open and not mine and member.may(Permission.APPROVE) and not member.scope.own_clients,
        differences=differences,
        fault=fault,
        **context,
    )
