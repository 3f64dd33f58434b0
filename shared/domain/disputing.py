"""Disputes: a flag of the payment, not a state of it. Whoever says first that one is closed is believed."""

from shared.domain import money
from shared.domain.books import Dispute, Standing
from shared.domain.finding_kinds import Kind
from shared.domain.payment import Event
from shared.domain.reconciling import under_review
from shared.domain.snapshot import Attempt, Payment, Step, step


def disputed(payment: Payment, attempt: Attempt, dispute: Dispute, *, was: Standing | None) -> Step | None:
    """What a dispute does to its payment; `was` is how it stood when it was seen last."""
    won = dispute.standing is Standing.WON
    if was is None and not won:
        taken = money.words(dispute.amount_minor, payment.currency)
        reason = f"{dispute.processor_ref}: the client's bank took {taken} back"
        return under_review(payment, attempt, Kind.CHARGEBACK, reason)
    if was not in (None, Standing.OPEN) or dispute.standing is Standing.OPEN:
        return None
    return step(
        payment,
        Event.OBSERVE,
        payment.state,
        attempt=attempt,
        detail={"fact": f"the dispute {dispute.processor_ref} was {dispute.standing}"},
        review_reason=_without(payment, dispute) if won else payment.review_reason,
    )


def _without(payment: Payment, dispute: Dispute) -> str | None:
    """The review's reasons without this dispute: it is over, and the money is the practice's."""
    reasons = (payment.review_reason or "").split("; ")
    return "; ".join(one for one in reasons if one and not one.startswith(f"{dispute.processor_ref}:")) or None
