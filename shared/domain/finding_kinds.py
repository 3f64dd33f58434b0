"""What can be found out of order, and what a person can do about it."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    # Theirs, not ours.
    OUTSIDE_CHARGE = "outside_charge"
    FORGOTTEN_CHARGE = "forgotten_charge"
    OUTSIDE_REFUND = "outside_refund"
    OUTSIDE_VOID = "outside_void"
    PARTIAL_REFUND = "partial_refund"
    CHARGEBACK = "chargeback"
    REFUND_FAILED = "refund_failed"
    # Ours, not theirs.
    NOT_IN_BOOKS = "not_in_books"
    RETURN_NOT_IN_BOOKS = "return_not_in_books"
    # Both, and not the same.
    AMOUNT_DIFFERS = "amount_differs"
    STATUS_DIFFERS = "status_differs"
    UNKNOWN_FOUND = "unknown_found"
    LATE_VOID = "late_void"
    LATE_REFUND = "late_refund"
    SETTLED_AFTER_VOID = "settled_after_void"
    SURPLUS_ATTEMPT = "surplus_attempt"
    REVIEW = "review"


# Caught up with as it was found: for the record, nobody has to do anything.
DONE = frozenset({Kind.UNKNOWN_FOUND})


_SUGGESTIONS: Final[Mapping[str, str]] = {
    Kind.OUTSIDE_CHARGE: "Charged without Batchpay: check that the practice made it, then resolve it.",
    Kind.FORGOTTEN_CHARGE: "It bears a reference of ours that we do not know: was a backup restored?",
    Kind.OUTSIDE_REFUND: "Refunded in the dashboard, the invoice is open again: check that it was meant so.",
    Kind.OUTSIDE_VOID: "Voided in the dashboard, the invoice is open again: check that it was meant so.",
    Kind.PARTIAL_REFUND: "A part was given back in the processor's dashboard: correct the invoice upstream.",
    Kind.CHARGEBACK: "The client's bank took it back: answer it in the processor's dashboard; do not refund it.",
    Kind.REFUND_FAILED: "The client's bank sent the refund back: give the client the money in another way.",
    Kind.NOT_IN_BOOKS: "We have it as paid and the books do not show it: ask the processor with the reference.",
    Kind.RETURN_NOT_IN_BOOKS: "We have it as given back and the books do not show it: ask the processor.",
    Kind.AMOUNT_DIFFERS: "Another amount moved than was sent: ask the processor with the reference.",
    Kind.STATUS_DIFFERS: "The payment has what the books show: tell whoever was told otherwise.",
    Kind.UNKNOWN_FOUND: "Nothing: the payment has what the books show.",
    Kind.LATE_VOID: "It was voided after all: check that the client was told so.",
    Kind.LATE_REFUND: "It was refunded after all: check that it was refunded once, and that the client was told so.",
    Kind.SETTLED_AFTER_VOID: "The void did not hold: give the money back as a refund.",
    Kind.SURPLUS_ATTEMPT: "The client paid twice: give the surplus back.",
    Kind.REVIEW: "Look at it: `batchpay review list` says what can be done.",
}


def suggestion(kind: str) -> str:
    """What a person can do about a finding of this kind, as a sentence."""
    return _SUGGESTIONS.get(kind, _SUGGESTIONS[Kind.REVIEW])
