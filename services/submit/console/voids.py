"""Void a batch or a payment: first what will and will not happen, with exact numbers; the POST carries them back."""

from dataclasses import dataclass
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from services.submit.auth import Permission
from services.submit.batches import BatchId, visible_batch
from services.submit.caller import Pool
from services.submit.console import history, pages
from services.submit.console.report import voidable
from services.submit.console.session import Member, NotAllowedError, Voiding
from services.submit.payments import visible_payment
from shared.domain import voiding
from shared.domain.payment import State
from shared.domain.voiding import VoidResult
from shared.store import batches, voids
from shared.store.batches import Batch, Connection, Part
from shared.store.scope import seeing
from shared.store.voids import ReachesMoreError, Shown

router = APIRouter()
_ON_ITS_WAY: Final = (State.SENDING, State.UNKNOWN)
_ASKED: Final = (VoidResult.CANCELED, VoidResult.MARKED, VoidResult.VOIDING, VoidResult.ALREADY_ASKED)
_NEVER_CHARGED: Final = (State.DECLINED, State.SKIPPED, State.FAILED)
_BACK: Final = (State.VOIDED, State.REFUNDED, State.REFUNDING, State.CANCELED)
Number = Annotated[int, Form(ge=0, le=2**53)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """A line of the dialog."""

    payments: int
    amount_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Effects:
    approved: Effect
    waiting: Effect
    on_its_way: Effect
    surplus: Effect
    untouched: Effect
    settled: Effect
    back: Effect

    reached: Effect

    @property
    def count(self) -> int:
        """How many payments the void reaches at most."""
        return self.reached.payments

    @property
    def total_minor(self) -> int:
        return self.reached.amount_minor


def effects(parts: list[Part]) -> Effects:
    def over(*states: State) -> Effect:
        rows = [part for part in parts if part.state in states]
        return Effect(payments=sum(row.payments for row in rows), amount_minor=sum(row.amount_minor for row in rows))

    return Effects(
        approved=over(State.APPROVED),
        waiting=over(State.QUEUED),
        on_its_way=over(*_ON_ITS_WAY),
        surplus=over(State.SURPLUS),
        untouched=over(*_NEVER_CHARGED),
        settled=over(State.SETTLED),
        back=over(*_BACK),
        reached=over(*voiding.REACHED),
    )


@router.get("/batches/{batch}/void")
async def ask_batch(request: Request, batch: BatchId, member: Voiding, pool: Pool) -> Response:
    return await _batch_dialog(request, batch, member, pool, status=200)


@router.post("/batches/{batch}/void")
async def void_batch(
    request: Request, batch: BatchId, member: Voiding, pool: Pool, *, count: Number, total_minor: Number
) -> Response:
    """Void if nothing more than what was shown would be voided; charging may have taken some away meanwhile."""
    async with seeing(pool, member.scope) as connection:
        found, now = await _effects(connection, member, batch)
    if now.count == 0 and found.void_requested_at is None:
        return await _batch_dialog(request, batch, member, pool, status=409)
    try:
        await voids.request_batch_void(
            pool,
            practice_id=member.scope.practice_id,
            batch_id=found.id,
            actor=member.subject,
            source=member.source,
            shown=Shown(payments=count, amount_minor=total_minor),
        )
    except ReachesMoreError:
        return await _batch_dialog(request, batch, member, pool, status=409)
    return RedirectResponse(f"{history.PATH}/BP-{found.number}", status_code=303)


@router.get("/payments/{payment}/void")
async def ask_payment(request: Request, payment: UUID, member: Voiding, pool: Pool) -> Response:
    return await _payment_dialog(request, payment, member, pool, status=200)


@router.post("/payments/{payment}/void")
async def void_payment(request: Request, payment: UUID, member: Voiding, pool: Pool) -> Response:
    """Ask for the void; the dialog again, with the reason, if it is too late or there is nothing to void any more."""
    async with seeing(pool, member.scope) as connection:
        await visible_payment(connection, member.scope, payment)
    asked = await voids.request_payment_void(
        pool,
        practice_id=member.scope.practice_id,
        payment_id=payment,
        actor=member.subject,
        source=member.source,
    )
    if asked is None or asked.result not in _ASKED:
        said = voiding.words(asked.result) if asked else None
        why = f"{said.what} {said.fix}" if said else ""
        return await _payment_dialog(request, payment, member, pool, status=409, why=why)
    return RedirectResponse(f"/console/payments/{payment}", status_code=303)


async def _effects(connection: Connection, member: Member, batch: str) -> tuple[Batch, Effects]:
    found = await visible_batch(connection, member.scope, batch)
    if not member.may_void_batches:
        raise NotAllowedError(Permission.VOID, member.permissions)
    parts = await batches.breakdown(connection, member.scope, batch_ids=[found.id])
    return found, effects(parts[found.id])


async def _batch_dialog(request: Request, batch: str, member: Member, pool: Pool, *, status: int) -> Response:
    async with seeing(pool, member.scope) as connection:
        found, now = await _effects(connection, member, batch)
        shell = await pages.shell(connection, member)
    return pages.page(
        request,
        "void_batch.html",
        member=member,
        shell=shell,
        status=status,
        changed=status == 409,
        batch=found,
        possible=history.can_void(found) and now.count > 0,
        now=now,
    )


async def _payment_dialog(
    request: Request, payment: UUID, member: Member, pool: Pool, *, status: int, why: str = ""
) -> Response:
    async with seeing(pool, member.scope) as connection:
        row, shell = await pages.payment(connection, member, payment)
    return pages.page(
        request,
        "void_payment.html",
        member=member,
        shell=shell,
        status=status,
        row=row,
        voidable=voidable(member, row) and not why,
        why=why or "It is settled, given back, or was never charged.",
    )
