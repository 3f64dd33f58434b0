"""Routes that ask for refunds."""

from collections import Counter
from uuid import UUID

from fastapi import APIRouter

from schemas import http
from services.submit.batches import BatchId, whole_batch
from services.submit.caller import Pool, Refunder
from services.submit.documented import problems
from services.submit.payments import visible_payment
from services.submit.problems import ProblemError, not_found
from shared.domain.refund_requests import RefundResult, words
from shared.store import refunds
from shared.store.refunds import RefundAsked
from shared.store.scope import seeing

router = APIRouter(prefix="/v1", tags=["refunds"])


@router.post("/batches/{batch}/refund", status_code=202, responses=problems(404))
async def refund_batch(
    batch: BatchId, caller: Refunder, pool: Pool, body: http.RefundRequest | None = None
) -> http.BatchRefund:
    """Ask for a refund of every settled payment of the batch, in full. Asking again changes nothing more.

    Above the practice's refund limit nothing is sent yet: a second person approves or sends back.
    """
    found = await whole_batch(pool, caller, batch, to="refund")
    asked = await refunds.request_batch_refund(
        pool,
        practice_id=caller.scope.practice_id,
        batch_id=found.id,
        actor=caller.subject,
        source=caller.source,
        reason=body.reason if body else None,
    )
    return http.BatchRefund(
        results=dict(Counter(one.result.value for one in asked)),
        payments=[_answer(one) for one in asked],
        approval=next((one.approval for one in asked if one.approval), None),
    )


@router.post("/payments/{payment}/refund", status_code=202, responses=problems(404, 409))
async def refund_payment(
    payment: UUID, caller: Refunder, pool: Pool, body: http.RefundRequest | None = None
) -> http.PaymentRefund:
    """Ask for a refund of one payment, in full. Asking again changes nothing more.

    Above the practice's refund limit nothing is sent yet: a second person approves or sends back.
    """
    async with seeing(pool, caller.scope) as connection:
        await visible_payment(connection, caller.scope, payment)
    asked = await refunds.request_payment_refund(
        pool,
        practice_id=caller.scope.practice_id,
        payment_id=payment,
        actor=caller.subject,
        source=caller.source,
        reason=body.reason if body else None,
    )
    if asked is None:
        raise not_found()
    if asked.result not in {RefundResult.REFUNDING, RefundResult.ALREADY_ASKED, RefundResult.NEEDS_APPROVAL}:
        raise _refused(asked.result)
    return _answer(asked)


def _answer(asked: RefundAsked) -> http.PaymentRefund:
    said = words(asked.result)
    return http.PaymentRefund(
        payment=asked.payment_id,
        result=asked.result.value,
        message=f"{said.what} {said.fix}",
        approval=asked.approval,
    )


def _refused(result: RefundResult) -> ProblemError:
    said = words(result)
    fault = http.Fault(field="payment", code=result.value, message=said.what, fix=said.fix)
    return ProblemError(409, f"refund_{result.value}", f"{said.what} {said.fix}", errors=[fault])
