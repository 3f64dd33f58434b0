"""Routes that ask for voids."""

from collections import Counter
from collections.abc import Sequence
from uuid import UUID

from fastapi import APIRouter

from schemas import http
from services.submit.batches import BatchId, whole_batch
from services.submit.caller import Pool, Voider
from services.submit.documented import problems
from services.submit.payments import visible_payment
from services.submit.problems import not_found
from shared.domain.voiding import words
from shared.store import voids
from shared.store.scope import seeing
from shared.store.voids import VoidAsked

router = APIRouter(prefix="/v1", tags=["voids"])


@router.post("/batches/{batch}/void", status_code=202, responses=problems(404))
async def void_batch(batch: BatchId, caller: Voider, pool: Pool) -> http.VoidAnswer:
    """Ask for a void of every payment of the batch that can still be voided. Asking again changes nothing more."""
    found = await whole_batch(pool, caller, batch, to="void")
    asked = await voids.request_batch_void(
        pool,
        practice_id=caller.scope.practice_id,
        batch_id=found.id,
        actor=caller.subject,
        source=caller.source,
    )
    if asked is None:
        raise not_found()
    return _answer(asked)


@router.post("/payments/{payment}/void", status_code=202, responses=problems(404))
async def void_payment(payment: UUID, caller: Voider, pool: Pool) -> http.VoidAnswer:
    """Ask for a void of one payment."""
    async with seeing(pool, caller.scope) as connection:
        await visible_payment(connection, caller.scope, payment)
    asked = await voids.request_payment_void(
        pool,
        practice_id=caller.scope.practice_id,
        payment_id=payment,
        actor=caller.subject,
        source=caller.source,
    )
    if asked is None:
        raise not_found()
    return _answer([asked])


def _answer(asked: Sequence[VoidAsked]) -> http.VoidAnswer:
    return http.VoidAnswer(
        results=dict(Counter(one.result.value for one in asked)), payments=[_of_payment(one) for one in asked]
    )


def _of_payment(asked: VoidAsked) -> http.PaymentVoid:
    said = words(asked.result)
    return http.PaymentVoid(payment=asked.payment_id, result=asked.result.value, message=f"{said.what} {said.fix}")
