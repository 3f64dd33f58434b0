"""Route that tries again what a batch failed to charge, as a new batch."""

from typing import Any

from fastapi import APIRouter, Request, Response

from schemas import http
from services.submit.batches import BatchId, IdempotencyKey, submit_batch, visible_batch
from services.submit.caller import Biller, Pool
from services.submit.documented import problems
from shared.store.scope import seeing

router = APIRouter(prefix="/v1/batches", tags=["batches"])


@router.post(
    "/{batch}/retry",
    status_code=201,
    response_model=http.SubmittedBatch,
    responses={200: {"model": http.SubmittedBatch}, 202: {"model": http.WaitingBatch}, **problems(404, 409, 413, 429)},
)
async def retry_batch(
    request: Request,
    batch: BatchId,
    *,
    body: http.RetryRequest,
    key: IdempotencyKey,
    caller: Biller,
    pool: Pool,
    response: Response,
) -> Any:
    """Submit what this batch failed to charge and may be tried again, as a new batch: like a submit of `retry_of`."""
    async with seeing(pool, caller.scope) as connection:
        found = await visible_batch(connection, caller.scope, batch)
    selection = http.SubmitRequest(retry_of=found.id, control=body.control, payment_number=body.payment_number)
    return await submit_batch(request, body=selection, key=key, caller=caller, pool=pool, response=response)
