"""Routes of the second person: refunds above the practice's limit."""

from uuid import UUID

from fastapi import APIRouter

from schemas import http
from services.submit import refunding
from services.submit.caller import Approver, Caller, Pool
from services.submit.documented import problems
from services.submit.explain import batch_number
from services.submit.problems import ProblemError, not_found
from services.submit.refunding import Decided
from shared.store import refund_approvals
from shared.store.refund_approvals import RefundApproval
from shared.store.scope import seeing

router = APIRouter(prefix="/v1/refund-approvals", tags=["approvals"])


@router.get("", responses=problems())
async def list_refund_approvals(caller: Approver, pool: Pool) -> http.WaitingRefunds:
    """The refunds that wait for a second person, the oldest first."""
    async with seeing(pool, caller.scope) as connection:
        rows = await refund_approvals.waiting(connection, caller.scope)
    return http.WaitingRefunds(items=[_waiting(row, caller) for row in rows])


@router.post("/{refund}/approve", responses=problems(404, 409))
async def approve_refund(refund: UUID, body: http.ApproveRequest, caller: Approver, pool: Pool) -> http.WaitingRefund:
    """Ask for the refund. Who asked for it first cannot; count and total must be what was asked."""
    _may_decide(caller)
    answer = await refunding.approve(
        pool, caller.scope, approval_id=refund, control=body.control, actor=caller.subject, source=caller.source
    )
    return _answer(answer, caller)


@router.post("/{refund}/send-back", responses=problems(404, 409))
async def send_refund_back(
    refund: UUID, body: http.SendBackRequest, caller: Approver, pool: Pool
) -> http.WaitingRefund:
    """Decide that nothing is refunded."""
    _may_decide(caller)
    answer = await refunding.send_back(
        pool, caller.scope, approval_id=refund, reason=body.reason, actor=caller.subject, source=caller.source
    )
    return _answer(answer, caller)


def _may_decide(caller: Caller) -> None:
    if caller.scope.own_clients:
        raise ProblemError(
            403, "approval_not_allowed", "You see only your own clients, so you cannot approve a refund."
        )


def _answer(answer: Decided | None, caller: Caller) -> http.WaitingRefund:
    if answer is None:
        raise not_found()
    match answer.outcome:
        case "approved" | "sent_back":
            return _waiting(answer.approval, caller)
        case "own":
            raise ProblemError(409, "own_refund", "You asked for this refund. Someone else must decide.")
        case "changed":
            raise ProblemError(
                409,
                "refund_changed",
                "Nothing was refunded: one of its payments cannot be refunded any more. Ask for the refund again.",
            )
        case "closed":
            raise ProblemError(
                409,
                "refund_approval_closed",
                "It is decided or has expired, or count and total are not what was asked for. Nothing was changed.",
            )


def _waiting(row: RefundApproval, caller: Caller) -> http.WaitingRefund:
    return http.WaitingRefund(
        id=row.id,
        batch=row.batch_id,
        batch_number=batch_number(row.batch_number),
        payment=row.payment_id,
        status=row.status,
        requested_by=row.requested_by,
        requested_at=row.requested_at,
        expires_at=row.expires_at,
        currency=row.currency,
        count=row.total,
        total_minor=row.total_minor,
        limit_minor=row.limit_minor,
        before_minor=None if caller.scope.own_clients else row.before_minor,
        refund_reason=row.refund_reason,
        decided_by=row.decided_by,
        decided_at=row.decided_at,
        reason=row.decision_reason,
    )
