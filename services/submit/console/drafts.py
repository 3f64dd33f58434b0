"""Step 1, Create Batch: the fixed fields and the payment number."""

from typing import Annotated, Any, Final, Literal
from uuid import UUID

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import TypeAdapter, ValidationError

from schemas.http import PaymentNumber
from services.submit.caller import Pool
from services.submit.console import pages
from services.submit.console.session import Member, SignedIn
from services.submit.explain import used_number
from services.submit.problems import not_found
from shared.store import drafts, invoices, submissions
from shared.store.drafts import Connection, Draft
from shared.store.scope import seeing

router = APIRouter()
_NUMBER: Final[TypeAdapter[str | None]] = TypeAdapter(PaymentNumber)
_LONGEST_TYPED: Final = 200
Typed = Annotated[str, Form(max_length=_LONGEST_TYPED)]


async def own_draft(connection: Connection, member: Member, draft_id: UUID) -> Draft:
    """This person's draft. Raises the problem 404 for any other."""
    draft = await drafts.find(connection, member.scope, owner=member.subject, draft_id=draft_id)
    if draft is None:
        raise not_found()
    return draft


async def number_warnings(connection: Connection, member: Member, number: str | None) -> list[str]:
    """That the payment number was used before."""
    if number is None:
        return []
    used = await submissions.used_number(connection, member.scope, number=number)
    return [warning.message for warning in used_number(number, used)]


@router.get("/new")
async def new(request: Request, member: SignedIn, pool: Pool) -> Response:
    return await _step_1(request, member, pool, draft=None, typed="")


@router.post("/drafts")
async def create(
    request: Request,
    member: SignedIn,
    pool: Pool,
    *,
    payment_number: Typed = "",
    show: Annotated[Literal["all", "blocked"], Form()] = "all",
) -> Response:
    number, fault = _read(payment_number)
    if fault:
        return await _step_1(request, member, pool, draft=None, typed=payment_number, fault=fault)
    async with seeing(pool, member.scope) as connection:
        draft_id = await drafts.start(connection, member.scope, owner=member.subject, payment_number=number)
    view = "?show=blocked" if show == "blocked" else ""
    return RedirectResponse(f"/console/drafts/{draft_id}/invoices{view}", status_code=303)


@router.get("/drafts/{draft_id}/number")
async def edit(request: Request, draft_id: UUID, member: SignedIn, pool: Pool) -> Response:
    async with seeing(pool, member.scope) as connection:
        draft = await own_draft(connection, member, draft_id)
    return await _step_1(request, member, pool, draft=draft, typed=draft.payment_number or "")


@router.post("/drafts/{draft_id}/number")
async def save(request: Request, draft_id: UUID, member: SignedIn, pool: Pool, payment_number: Typed = "") -> Response:
    number, fault = _read(payment_number)
    async with seeing(pool, member.scope) as connection:
        draft = await own_draft(connection, member, draft_id)
        if not fault:
            await drafts.save_number(connection, draft_id=draft.id, payment_number=number)
    if fault:
        return await _step_1(request, member, pool, draft=draft, typed=payment_number, fault=fault)
    return RedirectResponse(f"/console/drafts/{draft.id}/invoices", status_code=303)


@router.get("/numbers")
async def number_warning(
    request: Request, member: SignedIn, pool: Pool, payment_number: Annotated[str, Query(max_length=200)] = ""
) -> Response:
    """The warning under the field, while it is typed."""
    number, fault = _read(payment_number)
    async with seeing(pool, member.scope) as connection:
        warnings = await number_warnings(connection, member, number)
    return pages.page(request, "number_warning.html", member=member, warnings=warnings, fault=fault)


def _read(typed: str) -> tuple[str | None, str | None]:
    """The number, or what is wrong with it."""
    try:
        return _NUMBER.validate_python(typed), None
    except ValidationError:
        return None, "Use at most 30 letters, digits, dashes or spaces"


async def _step_1(
    request: Request, member: Member, pool: Pool, *, draft: Draft | None, typed: str, fault: str | None = None
) -> Response:
    async with seeing(pool, member.scope) as connection:
        context: dict[str, Any] = {
            "shell": await pages.shell(connection, member),
            "matching": await invoices.matching(connection, member.scope, wanted={}),
            "next_numbers": await submissions.next_numbers(connection, member.scope),
            "warnings": await number_warnings(connection, member, _read(typed)[0]),
            "open_draft": None
            if draft
            else await drafts.find(connection, member.scope, owner=member.subject, draft_id=None),
        }
    return pages.page(
        request,
        "create_batch.html",
        member=member,
        status=422 if fault else 200,
        draft=draft,
        typed=typed,
        fault=fault,
        **context,
    )
