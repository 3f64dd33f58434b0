"""Facts that change no state: kept in the payment's events, or put before people on the review list."""

from shared.domain.payment import Event
from shared.domain.snapshot import Attempt, Finding, Payment, Step, step


def review(payment: Payment, attempt: Attempt, reason: str) -> Step | None:
    """Put the payment on the review list; None if it is there for this reason already."""
    if reason in (payment.review_reason or ""):
        return None
    return step(
        payment,
        Event.OBSERVE,
        payment.state,
        attempt=attempt,
        detail={"fact": reason},
        review_reason=also(payment, reason),
        finding=Finding(kind="review", detail=reason),
    )


def also(payment: Payment, reason: str) -> str:
    """The review's reasons with one more: none hides another, and each is there once."""
    known = payment.review_reason
    return reason if not known else known if reason in known else f"{known}; {reason}"


def observe(payment: Payment, attempt: Attempt, fact: str) -> Step:
    """Keep a fact that changes nothing."""
    return step(payment, Event.OBSERVE, payment.state, attempt=attempt, detail={"fact": fact, "attempt": attempt.n})
