"""Step 3, Confirm Batch Payment: what was confirmed is what is submitted, else nothing is."""

from typing import Annotated, Any, Final, assert_never
from uuid import UUID

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import RedirectResponse, Response

from schemas.http import MOST_INVOICES, ControlTotals, SubmitRequest
from services.submit import refusals, submission
from services.submit.caller import Pool
from services.submit.console import pages
from services.submit.console.drafts import number_warnings, own_draft
from services.submit.console.session import Member, SignedIn
from services.submit.explain import why
from services.submit.submission import Accepted, Differs, KeyReused, Refused, SubmitAnswer, TooMany, Waits
from shared.store import approvals, drafts, submissions
from shared.store.drafts import Connection, Draft
from shared.store.scope import seeing

router = APIRouter()
_SIZE: Final = 50


@router.get("/drafts/{draft_id}/confirm")
async def confirm(
    request: Request, draft_id: UUID, member: SignedIn, pool: Pool, page: Annotated[int, Query(ge=1, le=1000)] = 1
) -> Response:
    """Client sessions, totals, and what will happen."""
    async with seeing(pool, member.scope) as connection:
        draft = await own_draft(connection, member, draft_id)
        if draft.submitted_at is not None and (there := await _where_it_went(connection, member, draft)):
            return RedirectResponse(there, status_code=303)
    if draft.count == 0:
        return RedirectResponse(f"/console/drafts/{draft_id}/invoices?note=empty", status_code=303)
    return await _confirm(request, member, pool, draft_id, page=page)


@router.post("/drafts/{draft_id}/submit")
async def submit(
    request: Request,
    draft_id: UUID,
    member: SignedIn,
    pool: Pool,
    *,
    count: Annotated[int, Form(ge=1, le=MOST_INVOICES)],
    total_minor: Annotated[int, Form(ge=1, le=2**53 - 1)],
) -> Response:
    """Submit the selection. Its key is the draft's: a second press or a second tab lands on the same batch."""
    async with seeing(pool, member.scope) as connection:
        draft = await own_draft(connection, member, draft_id)
        if there := await _where_it_went(connection, member, draft):
            return RedirectResponse(there, status_code=303)
        refusals.count_submit(request, member)
        selected = await drafts.invoices(connection, draft_id=draft_id)
    if not selected:
        return RedirectResponse(f"/console/drafts/{draft_id}/invoices?note=empty", status_code=303)
    answer = await submission.submit(
        pool,
        member.scope,
        SubmitRequest(
            invoices=selected,
            payment_number=draft.payment_number,
            control=ControlTotals(count=count, total_minor=total_minor),
        ),
        idempotency_key=_key(draft),
        actor=member.subject,
        source=member.source,
        retry_of=draft.retry_of,
    )
    return await _answer(request, member, pool, draft, answer)


async def _answer(request: Request, member: Member, pool: Pool, draft: Draft, answer: SubmitAnswer) -> Response:
    match answer:
        case Accepted() | Waits():
            async with seeing(pool, member.scope) as connection:
                await drafts.close(connection, draft_id=draft.id)
            if isinstance(answer, Waits):
                return RedirectResponse(f"/console/approvals/BP-{answer.approval.number}", status_code=303)
            number = f"BP-{answer.batch.number}"
            return RedirectResponse(f"/console/batches?new={number}#{number}", status_code=303)
        case KeyReused():
            return RedirectResponse(f"/console/batches/BP-{answer.batch_number}", status_code=303)
        case Refused() | Differs():
            return await _difference(request, member, pool, draft)
        case TooMany():
            return RedirectResponse(f"/console/drafts/{draft.id}/invoices?note=too-many", status_code=303)
        case _:
            assert_never(answer)


def _key(draft: Draft) -> str:
    return f"draft-{draft.id}"


async def _where_it_went(connection: Connection, member: Member, draft: Draft) -> str | None:
    """The page of what this draft became, if it was submitted."""
    batch = await submissions.find_submitted(connection, member.scope, idempotency_key=_key(draft))
    if batch is not None:
        return f"/console/batches?again=BP-{batch.number}#BP-{batch.number}"
    asked = await approvals.find(connection, member.scope, idempotency_key=_key(draft))
    return f"/console/approvals/BP-{asked.number}" if asked else None


async def _difference(request: Request, member: Member, pool: Pool, draft: Draft) -> Response:
    """Nothing was saved: show what changed, with the selection as it can be charged now."""
    async with seeing(pool, member.scope) as connection:
        differences = await drafts.differences(connection, draft_id=draft.id)
        await drafts.refresh(connection, draft_id=draft.id)
    return await _confirm(
        request,
        member,
        pool,
        draft.id,
        page=1,
        status=409,
        changed=True,
        differences=[(one, " ".join(f"{said.message}" for said in why(one))) for one in differences],
    )


async def _confirm(
    request: Request,
    member: Member,
    pool: Pool,
    draft_id: UUID,
    *,
    page: int,
    status: int = 200,
    changed: bool = False,
    differences: Any = (),
) -> Response:
    async with seeing(pool, member.scope) as connection:
        draft = await own_draft(connection, member, draft_id)
        summary = await drafts.summary(connection, draft_id=draft_id)
        context: dict[str, Any] = {
            "same_cards": await drafts.same_cards(connection, draft_id=draft_id),
            "rows": await drafts.sessions(connection, draft_id=draft_id, limit=_SIZE, skip=(page - 1) * _SIZE),
            "warnings": await number_warnings(connection, member, draft.payment_number),
            "shell": await pages.shell(connection, member),
        }
        await member.note_view(connection, "draft.viewed", rows=len(context["rows"]))
    ceiling = member.ceiling_minor
    return pages.page(
        request,
        "confirm.html",
        member=member,
        status=status,
        draft=draft,
        summary=summary,
        page=page,
        pages=-(-summary.payments // _SIZE),
        first=(page - 1) * _SIZE + 1,
        above=ceiling is not None and summary.total_minor > ceiling,
        changed=changed,
        differences=differences,
        **context,
    )
