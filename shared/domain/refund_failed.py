"""A refund that the bank sent back: the money is the practice's again, and the client still waits for it."""

from datetime import datetime

from shared.domain.finding_kinds import Kind
from shared.domain.payment import Event, State
from shared.domain.reconciling import under_review
from shared.domain.reviewing import also
from shared.domain.snapshot import Attempt, Finding, Payment, Step, step


def refund_failed(payment: Payment, charge: Attempt, *, refund: Attempt | None, now: datetime) -> Step | None:
    """The processor shows a refunded charge as settled. `refund` is ours, None where it was made outside."""
    if payment.state is not State.REFUNDED or payment.current_attempt != charge.id:
        return None
    reason = f"the refund of {charge.reference} failed at the client's bank"
    if payment.invoice_held:
        # Another payment took the invoice meanwhile: this one cannot have it back.
        return under_review(payment, charge, Kind.REFUND_FAILED, reason)
    failed = refund and refund._replace(outcome="refused", outcome_code="refund_failed", finished_at=now)
    return step(
        payment,
        Event.REFUND_FAILED,
        State.SETTLED,
        attempt=failed or charge,
        next_check_at=None,
        review_reason=also(payment, reason),
        finding=Finding(kind=Kind.REFUND_FAILED, detail=reason),
    )
