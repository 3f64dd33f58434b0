"""Asks for refunds. Returns when every payment carries the request; the worker of voids and refunds does the rest.

Above the practice's limit nothing is asked of the processor: the refund waits for a second person. What a batch gives
back without one is counted together, so that asking payment by payment does not lead around the limit.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, NamedTuple
from uuid import UUID

from psycopg_pool import AsyncConnectionPool

from shared.domain import refund_requests
from shared.domain.refund_requests import GIVEN_BACK, REFUNDABLE, RefundResult, Why
from shared.domain.snapshot import Step
from shared.store import audit, disputes, payments, refund_approvals
from shared.store.payments import Connection, Locked
from shared.store.refund_approvals import RefundApproval
from shared.store.statements import load
from shared.store.voids import Shown

_SQL: Final = load("refund")
# Payments asked in one transaction: their rows are locked for some ten milliseconds.
_CHUNK: Final = 1000
_FIRST: Final = UUID(int=0)


class RefundsMoreError(Exception):
    """The refund would give back more than was shown, or nothing."""


class RefundAsked(NamedTuple):
    """What asking did to one payment. `approval` is what waits where a second person must approve."""

    payment_id: UUID
    result: RefundResult
    approval: UUID | None = None


async def request_batch_refund(
    pool: AsyncConnectionPool,
    *,
    practice_id: UUID,
    batch_id: UUID,
    actor: str,
    source: str,
    reason: str | None = None,
    shown: Shown | None = None,
) -> list[RefundAsked]:
    """Ask for a refund of every payment of a batch that is settled, chunk by chunk; what asking did to each payment.

    What settles meanwhile is left alone. Asking again changes nothing more, and asks the rest if this process died in
    between. Raises RefundsMoreError, and nothing is done, if more than `shown` would be given back.
    """
    async with pool.connection() as connection:
        limit = await _limit(connection, practice_id=practice_id, batch_id=batch_id)
        found = await _refundable(connection, batch_id=batch_id)
        total_minor = sum(found.values())
        if shown and not (found and shown.covers(len(found), total_minor)):
            raise RefundsMoreError
        approval = None
        if limit.is_passed_by(total_minor):
            approval = await refund_approvals.request(
                connection,
                batch_id=batch_id,
                payment_id=None,
                payments=list(found),
                total_minor=total_minor,
                before_minor=limit.before_minor,
                reason=reason,
                by=actor,
            )
        await audit.write(
            connection,
            practice_id=practice_id,
            actor=actor,
            source=source,
            action="batch.refund_requested" if approval is None else "batch.refund_sent_for_approval",
            batch_id=batch_id,
            detail=_said({"reason": reason, "count": len(found), "total_minor": total_minor, "approval": approval}),
        )
    after, asked = _FIRST, []
    while True:
        async with pool.connection() as connection:
            parameters = {"batch_id": batch_id, "practice_id": practice_id, "after": after, "limit": _CHUNK}
            ids = [row[0] for row in await (await connection.execute(_SQL["of_batch"], parameters)).fetchall()]
            asked += await _ask(connection, ids, actor=actor, why=Why(reason=reason), of=found, approval=approval)
        if len(ids) < _CHUNK:
            return sorted(asked)
        after = ids[-1]


async def request_payment_refund(
    pool: AsyncConnectionPool,
    *,
    practice_id: UUID,
    payment_id: UUID,
    actor: str,
    source: str,
    reason: str | None = None,
) -> RefundAsked | None:
    """Ask for a refund of one payment; None where the practice has no such payment."""
    async with pool.connection() as connection:
        parameters = {"payment_id": payment_id, "practice_id": practice_id}
        row = await (await connection.execute(_SQL["of_payment"], parameters)).fetchone()
        if row is None:
            return None
        batch_id, amount_minor = row
        limit = await _limit(connection, practice_id=practice_id, batch_id=batch_id)
        (decided,) = await _decide(connection, [payment_id], why=Why(reason=reason))
        asked = RefundAsked(payment_id, decided.result)
        if decided.step and limit.is_passed_by(amount_minor):
            approval = await refund_approvals.request(
                connection,
                batch_id=batch_id,
                payment_id=payment_id,
                payments=[payment_id],
                total_minor=amount_minor,
                before_minor=limit.before_minor,
                reason=reason,
                by=actor,
            )
            asked = RefundAsked(payment_id, RefundResult.NEEDS_APPROVAL, approval)
        elif decided.step:
            await payments.write(connection, [decided.step], actor=actor, now=decided.row.now)
        await audit.write(
            connection,
            practice_id=practice_id,
            actor=actor,
            source=source,
            action="payment.refund_requested",
            batch_id=batch_id,
            payment_id=payment_id,
            detail=_said({"result": asked.result.value, "reason": reason, "approval": asked.approval}),
        )
        return asked


async def refund_approved(connection: Connection, approval: RefundApproval, *, by: str) -> bool:
    """Ask for exactly the refunds that wait, all in this transaction; False, and nothing, if one cannot be refunded.

    The caller has locked the approval and writes the decision. Who asked is the actor; who approved is in the detail.
    """
    decided = await _decide(connection, approval.payments, why=Why(reason=approval.refund_reason, approved_by=by))
    steps = [one.step for one in decided if one.step]
    if len(steps) != approval.total or sum(step.after.amount_minor for step in steps) != approval.total_minor:
        return False
    now = max(one.row.now for one in decided)
    await payments.write(connection, steps, actor=approval.requested_by, now=now)
    return True


async def asked_without_approval(connection: Connection, *, batch_id: UUID) -> int:
    """What the batch gives back without a second person, in minor units; of the payments that this connection sees."""
    parameters = {"batch_id": batch_id, "states": list(GIVEN_BACK)}
    row = await (await connection.execute(_SQL["unapproved"], parameters)).fetchone()
    assert row
    return int(row[0])


class _Limit(NamedTuple):
    """The practice's refund limit, and what the batch gave back without approval before."""

    limit_minor: int | None
    before_minor: int

    def is_passed_by(self, amount_minor: int) -> bool:
        return self.limit_minor is not None and self.before_minor + amount_minor > self.limit_minor


class _Decided(NamedTuple):
    row: Locked
    result: RefundResult
    step: Step | None


async def _decide(connection: Connection, ids: Sequence[UUID], *, why: Why) -> list[_Decided]:
    """What asking does to each of these payments, which are locked now."""
    locked = await payments.lock(connection, ids) if ids else []
    disputed = await disputes.disputed(connection, ids)
    return [
        _Decided(
            row,
            *refund_requests.ask(row.payment, disputed=row.payment.id in disputed, now=row.now, why=why),
        )
        for row in locked
    ]


async def _ask(
    connection: Connection,
    ids: Sequence[UUID],
    *,
    actor: str,
    why: Why,
    of: Collection[UUID],
    approval: UUID | None,
) -> list[RefundAsked]:
    """Ask those of these payments that are among `of`; with an approval nothing is asked yet."""
    asked, steps = [], []
    decided = await _decide(connection, ids, why=why)
    for row, result, step in decided:
        if step is None:
            asked.append(RefundAsked(row.payment.id, result))
        elif row.payment.id not in of:
            asked.append(RefundAsked(row.payment.id, RefundResult.NOT_SETTLED))
        elif approval is not None:
            asked.append(RefundAsked(row.payment.id, RefundResult.NEEDS_APPROVAL, approval))
        else:
            asked.append(RefundAsked(row.payment.id, result))
            steps.append(step)
    if steps:
        await payments.write(connection, steps, actor=actor, now=max(one.row.now for one in decided))
    return asked


async def _limit(connection: Connection, *, practice_id: UUID, batch_id: UUID) -> _Limit:
    """Locks the batch: of two requests at once the second counts what the first one asked."""
    parameters = {"batch_id": batch_id, "practice_id": practice_id}
    row = await (await connection.execute(_SQL["lock_batch"], parameters)).fetchone()
    if row is None or row[1] is None:
        return _Limit(None, 0)
    return _Limit(row[1], await asked_without_approval(connection, batch_id=batch_id))


async def _refundable(connection: Connection, *, batch_id: UUID) -> dict[UUID, int]:
    """The payments of the batch that can be refunded now, with their amounts."""
    cursor = await connection.execute(_SQL["refundable"], {"batch_id": batch_id, "states": list(REFUNDABLE)})
    found = dict(await cursor.fetchall())
    disputed = await disputes.disputed(connection, list(found))
    return {payment: amount for payment, amount in found.items() if payment not in disputed}


def _said(detail: Mapping[str, Any]) -> dict[str, Any]:
    return {name: str(said) if isinstance(said, UUID) else said for name, said in detail.items() if said is not None}
