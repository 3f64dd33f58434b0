"""Step 2, Select Open Invoices. The selection is rows on the server: pages, filters and reloads do not touch it."""

from datetime import timedelta
from typing import Annotated, Final, Literal
from urllib.parse import parse_qsl, urlencode
from uuid import UUID

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from schemas.http import MOST_INVOICES
from services.submit.caller import Pool
from services.submit.console import filters, pages
from services.submit.console.drafts import own_draft
from services.submit.console.filters import View, ViewQuery
from services.submit.console.listing import Listing, read_sort
from services.submit.console.session import Member, SignedIn
from services.submit.explain import why
from shared.store import drafts, invoices
from shared.store.drafts import Connection
from shared.store.scope import seeing

router = APIRouter()
_SORTS: Final = ("client", "clinician", "invoice", "service_date", "sessions", "card", "amount")
# A page has at most a hundred rows; a range over it is not more.
_MOST_TICKS: Final = 200
Operation = Literal["add", "remove", "matching", "clear", "undo"]


@router.get("/drafts/{draft_id}/invoices")
async def select_invoices(
    request: Request,
    draft_id: UUID,
    member: SignedIn,
    pool: Pool,
    view: ViewQuery,
) -> Response:
    """The list with the selection; the URL is the whole view."""
    listing = _listing(draft_id, view)
    wanted = filters.read(view, member.formats)
    async with seeing(pool, member.scope) as connection:
        draft = await own_draft(connection, member, draft_id)
        if draft.submitted_at is not None:
            return RedirectResponse(f"/console/drafts/{draft_id}/confirm", status_code=303)
        rows = await invoices.page(
            connection,
            member.scope,
            wanted=wanted.filter,
            show=view.show,
            order=listing.order(),
            draft_id=draft.id,
        )
        matching = await invoices.matching(connection, member.scope, wanted=wanted.filter)
        await member.note_view(connection, "invoices.viewed", rows=len(rows))
        shell = await pages.shell(connection, member)
    shown, previous, following = listing.cut(rows)
    today = member.formats.today()
    last_month = filters.month(filters.month(today)[0] - timedelta(days=1))
    return pages.page(
        request,
        "select_invoices.html",
        member=member,
        shell=shell,
        draft=draft,
        view=view,
        listing=listing,
        faults=wanted.faults,
        rows=[(row, why(row)) for row in shown],
        on_page=sum(row.selected for row in shown),
        ready_on_page=sum(not row.reasons for row in shown),
        matching=matching,
        previous=previous,
        following=following,
        months={"This month": filters.month(today), "Last month": last_month},
        told=request.query_params.get("note", ""),
        missing=request.query_params.get("missing", ""),
        most=MOST_INVOICES,
    )


@router.post("/drafts/{draft_id}/selection")
async def change_selection(
    request: Request,
    draft_id: UUID,
    member: SignedIn,
    pool: Pool,
    *,
    op: Annotated[Operation, Form()],
    invoice: Annotated[list[UUID], Form(max_length=_MOST_TICKS)] = [],  # noqa: B006  # FastAPI copies it
    view: Annotated[str, Form(max_length=4000)] = "",
    expected: Annotated[int, Form(ge=0, le=2**31)] = 0,
    on_page: Annotated[int, Form(ge=0, le=_MOST_TICKS)] = 0,
) -> Response:
    """Ticks answer the tally; the buttons for many rows answer the list."""
    seen = View.model_validate(dict(_pairs(view)))
    async with seeing(pool, member.scope) as connection:
        draft = await own_draft(connection, member, draft_id)
        if draft.submitted_at is not None:
            return RedirectResponse(f"/console/drafts/{draft_id}/confirm", status_code=303)
        changed = await _apply(connection, member, draft_id, op, ticked=invoice, view=seen)
        draft = await own_draft(connection, member, draft_id)
    if op in {"add", "remove"}:
        return pages.page(request, "tally.html", member=member, draft=draft, on_page=on_page, can_match=expected)
    note = "cleared" if op == "clear" else ""
    missing = expected - changed if op == "matching" and changed < expected else 0
    query = dict(_pairs(view)) | ({"note": note} if note else {}) | ({"missing": missing} if missing else {})
    return RedirectResponse(f"/console/drafts/{draft_id}/invoices?{urlencode(query)}".rstrip("?"), status_code=303)


async def _apply(
    connection: Connection, member: Member, draft_id: UUID, op: Operation, *, ticked: list[UUID], view: View
) -> int:
    """How many invoices were selected by this."""
    match op:
        case "add":
            return await drafts.add(connection, member.scope, draft_id=draft_id, invoices=ticked)
        case "remove":
            await drafts.remove(connection, draft_id=draft_id, invoices=ticked)
        case "matching":
            wanted = filters.read(view, member.formats)
            return await drafts.add_matching(
                connection, member.scope, draft_id=draft_id, wanted=wanted.filter, limit=MOST_INVOICES
            )
        case "clear":
            await drafts.clear(connection, draft_id=draft_id)
        case "undo":
            await drafts.undo_clear(connection, draft_id=draft_id)
    return 0


def _listing(draft_id: UUID, view: View) -> Listing:
    column, descending = read_sort(view.sort, _SORTS, "client")
    return Listing(
        path=f"/console/drafts/{draft_id}/invoices",
        sort=column,
        descending=descending,
        size=view.size,
        page=view.page,
        after=view.after or None,
        before=view.before or None,
        default="client",
        filters=view.filters(),
    )


def _pairs(query: str) -> list[tuple[str, str]]:
    """The parameters of a view, without what a page only says once."""
    return [(name, value) for name, value in parse_qsl(query.removeprefix("?")) if name not in {"note", "missing"}]
