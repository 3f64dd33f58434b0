"""What a webhook is worth: a hint to look, and only where it says something that we do not have."""

from shared.domain.payment import State

# What the event's type says, by the states in which that is known already.
_KNOWN: dict[str, frozenset[State]] = {
    "payment_intent.succeeded": frozenset({State.SETTLED, State.REFUNDING, State.REFUNDED, State.SURPLUS}),
    "payment_intent.processing": frozenset({State.PROCESSING, State.SETTLED, State.DECLINED}),
    "payment_intent.payment_failed": frozenset({State.DECLINED}),
    "charge.refunded": frozenset({State.REFUNDED}),
    "refund.updated": frozenset({State.REFUNDED}),
}


def is_news(event_type: str, state: State) -> bool:
    """Whether an event of this type can say anything new about a payment in this state."""
    return state not in _KNOWN.get(event_type, frozenset())


def is_of_dispute(event_type: str) -> bool:
    return event_type.startswith("charge.dispute.")
