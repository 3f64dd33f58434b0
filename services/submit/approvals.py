"""Routes of the second person: batches above the practice's ceiling."""

from typing import assert_never

from fastapi import APIRouter

from schemas import http
from services.submit import answers, approving, refusals
from services.submit.approving import Approved, Changed, Closed, OwnBatch, SentBack
from services.submit.batches import BatchId, number_of
from services.submit.caller import Approver, Caller, Pool
from services.submit.documented import problems
from services.submit.problems import ProblemError, not_found
from services.submit.submission import Accepted, BusyError
from shared.store import approvals
from shared.store.scope import seeing

router = APIRouter(prefix="/v1/approvals", tags=["approvals"])


@router.get("", responses=problems())
async def list_approvals(caller: Approver, pool: Pool) -> http.WaitingBatches:
    """The batches that wait for a second person, the oldest first."""
    async with seeing(pool, caller.scope) as connection:
        rows = await approvals.waiting(connection, caller.scope)
    return http.WaitingBatches(items=[answers.waiting(row) for row in rows])


@router.post("/{batch}/approve", responses=problems(404, 409))
async def approve(batch: BatchId, body: http.ApproveRequest, caller: Approver, pool: Pool) -> http.SubmittedBatch:
    """Submit the batch. Who prepared it cannot; count and total must be what was confirmed."""
    try:
        answer = await approving.approve(
            pool,
            caller.scope,
            number=_number(batch, caller),
            control=body.control,
            actor=caller.subject,
            source=caller.source,
        )
    except BusyError as error:
        raise refusals.busy() from error
    match answer:
        case Approved():
            return answers.submitted(Accepted(batch=answer.batch, used_number=None, replayed=False))
        case None:
            raise not_found()
        case OwnBatch():
            raise refusals.own_batch()
        case Closed():
            raise refusals.approval_closed(answer.approval)
        case Changed():
            raise refusals.approval_changed(answer.differences)
        case _:
            assert_never(answer)


@router.post("/{batch}/send-back", responses=problems(404, 409))
async def send_back(batch: BatchId, body: http.SendBackRequest, caller: Approver, pool: Pool) -> http.WaitingBatch:
    """Decide that the batch is not charged."""
    answer = await approving.send_back(
        pool,
        caller.scope,
        number=_number(batch, caller),
        reason=body.reason,
        actor=caller.subject,
        source=caller.source,
    )
    match answer:
        case SentBack():
            return answers.waiting(answer.approval)
        case None:
            raise not_found()
        case OwnBatch():
            raise refusals.own_batch()
        case Closed():
            raise refusals.approval_closed(answer.approval)
        case _:
            assert_never(answer)


def _number(batch: str, caller: Caller) -> int:
    if caller.scope.own_clients:
        raise ProblemError(403, "approval_not_allowed", "You see only your own clients, so you cannot approve a batch.")
    number = number_of(batch)
    if number is None:
        raise not_found()
    return number
