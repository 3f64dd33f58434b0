"""Resolve a payment under review: the person says what happened, the janitor looks at the processor and answers."""

from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import RedirectResponse, Response

from services.submit.caller import Pool
from services.submit.console import pages
from services.submit.console.session import Member, SignedIn
from services.submit.payments import visible_payment
from shared.domain.payment import State
from shared.domain.resolving import Verdict, suggestion, verdicts
from shared.domain.words import AttemptKind, ProcessorName
from shared.store import audit, report, resolutions
from shared.store.scope import seeing

router = APIRouter()
_LONGEST: Final = 200
Typed = Annotated[str, Form(max_length=_LONGEST)]


@router.get("/review/{payment}/resolve")
async def ask(
    request: Request,
    payment: UUID,
    member: SignedIn,
    pool: Pool,
    verdict: Annotated[str, Query(max_length=_LONGEST)] = "",
) -> Response:
    """The question, with the answer that was pressed on the list; or what became of the last word about it."""
    typed = {"verdict": verdict, "processor_ref": "", "note": ""}
    return await _page(request, payment, member, pool, typed=typed)


@router.post("/review/{payment}/resolve")
async def resolve(
    request: Request,
    payment: UUID,
    member: SignedIn,
    pool: Pool,
    *,
    verdict: Typed = "",
    processor_ref: Typed = "",
    note: Typed = "",
) -> Response:
    """Write down what the person says. Nobody is believed before the processor was looked at."""
    async with pool.connection() as connection:
        row = await visible_payment(connection, member.scope, payment)
        faults = _faults(State(row.state), verdict, processor_ref.strip(), note.strip())
        if not faults:
            said = Verdict(verdict)
            await resolutions.ask(
                connection,
                payment,
                verdict=said,
                processor_ref=processor_ref.strip() if said is Verdict.CHARGED else None,
                note=note.strip(),
                asked_by=member.subject,
                source=member.source,
            )
            await audit.write(
                connection,
                practice_id=member.scope.practice_id,
                actor=member.subject,
                source=member.source,
                action="review.said",
                batch_id=row.batch_id,
                payment_id=payment,
                detail={"verdict": said.value},
            )
    if faults:
        typed = {"verdict": verdict, "processor_ref": processor_ref, "note": note}
        return await _page(request, payment, member, pool, faults=faults, typed=typed)
    return RedirectResponse(f"/console/review/{payment}/resolve", status_code=303)


def _faults(state: State, verdict: str, processor_ref: str, note: str) -> dict[str, str]:
    """By field: what is wrong, and what to do."""
    faults = {}
    if verdict not in verdicts(state):
        faults["verdict"] = "Choose what happened"
    if verdict == Verdict.CHARGED and not processor_ref:
        faults["processor_ref"] = "Type the number of the transaction that the processor shows"
    if not note:
        faults["note"] = "Say how you know"
    return faults


async def _page(
    request: Request,
    payment: UUID,
    member: Member,
    pool: Pool,
    *,
    faults: dict[str, str] | None = None,
    typed: dict[str, str] | None = None,
) -> Response:
    async with seeing(pool, member.scope) as connection:
        row, shell = await pages.payment(connection, member, payment)
        said = await resolutions.newest(connection, payment)
        charges = [
            one for one in await report.attempts(connection, payment_id=payment) if one.kind == AttemptKind.CHARGE
        ]
    state = State(row.state)
    return pages.page(
        request,
        "resolve.html",
        member=member,
        shell=shell,
        status=422 if faults else 200,
        row=row,
        said=said,
        sent_at=charges[-1].first_send_at if charges else None,
        choices=[choice.value for choice in verdicts(state)],
        suggestion=suggestion(state, ProcessorName(row.processor)),
        faults=faults or {},
        typed=typed or {"verdict": "", "processor_ref": "", "note": ""},
    )
