"""The use cases of the second person: approve or send back a batch above the ceiling. They commit."""

import time
from dataclasses import dataclass
from typing import Any, Final

from psycopg.errors import UniqueViolation
from psycopg_pool import AsyncConnectionPool

from schemas.http import ControlTotals
from services.submit.submission import BusyError, tell_submit
from shared.store import approvals, audit, drafts, submissions
from shared.store.approvals import Approval, Connection
from shared.store.decisions import Decision
from shared.store.drafts import Difference
from shared.store.scope import Scope
from shared.store.submissions import SecondPerson, Submission, Submitted

# Each try lost an invoice to another submit that finished.
_TRIES: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Approved:
    """Submitted now, or before by the same press of the button."""

    batch: Submitted


@dataclass(frozen=True, slots=True, kw_only=True)
class SentBack:
    approval: Approval


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnBatch:
    """Who prepared a batch cannot approve it."""

    approval: Approval


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """It was decided before, has expired, or is not what the second person saw."""

    approval: Approval


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """The selection is not what was confirmed any more: this approval is over, nothing was charged."""

    approval: Approval
    differences: list[Difference]


Decided = Approved | SentBack | OwnBatch | Closed | Changed


async def approve(
    pool: AsyncConnectionPool[Any], scope: Scope, *, number: int, control: ControlTotals, actor: str, source: str
) -> Approved | OwnBatch | Closed | Changed | None:
    """Submit the batch as it was confirmed; None where the practice has no such batch. Again: the same answer.

    Raises BusyError after several lost races.
    """
    began_ns = time.time_ns()
    for _ in range(_TRIES):
        try:
            async with pool.connection() as connection:
                approval = await _locked(connection, scope, number)
                if approval is None:
                    return None
                answer = await _approve(connection, approval, scope, control, actor=actor, source=source)
        except UniqueViolation:
            continue
        if isinstance(answer, Approved) and approval.open:
            tell_submit(answer.batch, began_ns=began_ns)
        return answer
    raise BusyError


async def send_back(
    pool: AsyncConnectionPool[Any], scope: Scope, *, number: int, reason: str, actor: str, source: str
) -> SentBack | OwnBatch | Closed | None:
    """Decide that it is not charged; None where the practice has no such batch."""
    async with pool.connection() as connection:
        approval = await _locked(connection, scope, number)
        if approval is None:
            return None
        if approval.requested_by == actor:
            return OwnBatch(approval=approval)
        if not approval.open:
            return Closed(approval=approval)
        await _decide(connection, approval, "sent_back", actor=actor, source=source, reason=reason)
        decided = await approvals.find(connection, scope, number=number)
        assert decided is not None
        return SentBack(approval=decided)


async def _locked(connection: Connection, scope: Scope, number: int) -> Approval | None:
    approval = await approvals.find(connection, scope, number=number)
    if approval is None:
        return None
    await approvals.lock(connection, approval_id=approval.id)
    return await approvals.find(connection, scope, number=number)


async def _approve(
    connection: Connection, approval: Approval, scope: Scope, control: ControlTotals, *, actor: str, source: str
) -> Approved | OwnBatch | Closed | Changed:
    if approval.requested_by == actor:
        return OwnBatch(approval=approval)
    if approval.decision == "approved" and approval.decided_by == actor:
        batch = await submissions.find_submitted(connection, scope, idempotency_key=approval.idempotency_key)
        assert batch is not None
        return Approved(batch=batch)
    if not approval.open or (control.count, control.total_minor) != (approval.total, approval.total_minor):
        return Closed(approval=approval)
    maker = Scope(practice_id=scope.practice_id, clinician_id=approval.clinician_id)
    submission = await _submission(connection, approval, actor=actor, source=source)
    batch = await submissions.submit(connection, maker, submission)
    if batch is None:
        await _decide(connection, approval, "changed", actor=actor, source=source)
        differences = await drafts.differences(connection, draft_id=approval.draft_id)
        return Changed(approval=approval, differences=differences)
    await _decide(connection, approval, "approved", actor=actor, source=source)
    return Approved(batch=batch)


async def _submission(connection: Connection, approval: Approval, *, actor: str, source: str) -> Submission:
    return Submission(
        invoices=await drafts.invoices(connection, draft_id=approval.draft_id),
        payment_number=approval.payment_number,
        control_count=approval.total,
        control_minor=approval.total_minor,
        idempotency_key=approval.idempotency_key,
        request_sha256=approval.request_sha256,
        actor=approval.requested_by,
        source=source,
        retry_of=approval.retry_of,
        second=SecondPerson(id=approval.id, number=approval.number, approved_by=actor),
    )


async def _decide(
    connection: Connection,
    approval: Approval,
    decision: Decision,
    *,
    actor: str,
    source: str,
    reason: str | None = None,
) -> None:
    decided = await approvals.decide(connection, approval_id=approval.id, decision=decision, by=actor, reason=reason)
    assert decided, "it is locked and open"
    await audit.write(
        connection,
        practice_id=approval.practice_id,
        actor=actor,
        source=source,
        action=f"approval.{decision}",
        detail={"number": approval.number, "count": approval.total, "total_minor": approval.total_minor},
    )
