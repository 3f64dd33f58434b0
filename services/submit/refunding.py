"""The use cases of the second person for refunds above the limit: approve or send back. They commit."""

from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from psycopg_pool import AsyncConnectionPool

from schemas.http import ControlTotals
from shared.store import audit, refund_approvals, refunds
from shared.store.decisions import Decision
from shared.store.refund_approvals import Connection, RefundApproval
from shared.store.scope import Scope

# `own`: who asked cannot decide. `closed`: decided before, expired, or not what the second person saw. `changed`: one
# of its payments cannot be refunded any more, so nothing was, and it is over.
Outcome = Literal["approved", "sent_back", "own", "closed", "changed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    outcome: Outcome
    approval: RefundApproval


async def approve(
    pool: AsyncConnectionPool[Any], scope: Scope, *, approval_id: UUID, control: ControlTotals, actor: str, source: str
) -> Decided | None:
    """Ask for the refunds as they were shown; None where the practice has none of this id. Again: the same answer."""
    async with pool.connection() as connection:
        found = await _locked(connection, scope, approval_id, actor=actor)
        if not isinstance(found, RefundApproval):
            return found
        if found.decision == "approved" and found.decided_by == actor:
            return Decided(outcome="approved", approval=found)
        if not found.open or (control.count, control.total_minor) != (found.total, found.total_minor):
            return Decided(outcome="closed", approval=found)
        decision: Decision = "approved" if await refunds.refund_approved(connection, found, by=actor) else "changed"
        return await _decide(connection, scope, found, decision, actor=actor, source=source)


async def send_back(
    pool: AsyncConnectionPool[Any], scope: Scope, *, approval_id: UUID, reason: str, actor: str, source: str
) -> Decided | None:
    """Decide that nothing is refunded; None where the practice has none of this id."""
    async with pool.connection() as connection:
        found = await _locked(connection, scope, approval_id, actor=actor)
        if not isinstance(found, RefundApproval):
            return found
        if not found.open:
            return Decided(outcome="closed", approval=found)
        return await _decide(connection, scope, found, "sent_back", actor=actor, source=source, reason=reason)


async def _locked(
    connection: Connection, scope: Scope, approval_id: UUID, *, actor: str
) -> RefundApproval | Decided | None:
    """What this person may decide; else the answer."""
    if await refund_approvals.find(connection, scope, approval_id=approval_id) is None:
        return None
    await refund_approvals.lock(connection, approval_id=approval_id)
    found = await refund_approvals.find(connection, scope, approval_id=approval_id)
    return Decided(outcome="own", approval=found) if found and found.requested_by == actor else found


async def _decide(
    connection: Connection,
    scope: Scope,
    found: RefundApproval,
    decision: Decision,
    *,
    actor: str,
    source: str,
    reason: str | None = None,
) -> Decided:
    decided = await refund_approvals.decide(
        connection, approval_id=found.id, decision=decision, by=actor, reason=reason
    )
    assert decided, "it is locked and open"
    await audit.write(
        connection,
        practice_id=found.practice_id,
        actor=actor,
        source=source,
        action=f"refund_approval.{decision}",
        batch_id=found.batch_id,
        payment_id=found.payment_id,
        detail={"approval": str(found.id), "count": found.total, "total_minor": found.total_minor},
    )
    after = await refund_approvals.find(connection, scope, approval_id=found.id)
    assert after is not None
    return Decided(outcome=decision, approval=after)
