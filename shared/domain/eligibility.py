"""Why an invoice cannot be charged, in words. What decides is the view `invoice_eligibility`; no rule is here."""

from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """The texts of the view's column `reasons`; a test keeps the two the same."""

    PRACTICE_NOT_ENROLLED = "practice_not_enrolled"
    IN_RUNNING_BATCH = "in_running_batch"
    INVOICE_NOT_OPEN = "invoice_not_open"
    CURRENCY_DIFFERS = "currency_differs"
    OVER_INVOICE_LIMIT = "over_invoice_limit"
    NO_PAYMENT_METHOD = "no_payment_method"
    METHOD_NEVER_CHARGED = "method_never_charged"
    METHOD_EXPIRED = "method_expired"
    METHOD_OF_OTHER_PROCESSOR = "method_of_other_processor"


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the sentences name. Everything is text for people; an unknown fact is written as a general word."""

    practice: str = "This practice"
    currency: str = "another currency"
    limit: str = "its ceiling"
    expiry: str = ""
    method_processor: str = "another processor"
    practice_processor: str = "another one"
    running_batch: str = "a running batch"


@dataclass(frozen=True, slots=True)
class Words:
    """`what` is what the matter is, `fix` what a person can do about it. Both are templates over `Facts`."""

    what: str
    fix: str


_LEAVE_OUT = "Take it out of the selection."

WORDS: dict[Reason, Words] = {
    Reason.PRACTICE_NOT_ENROLLED: Words(
        "{practice} cannot charge cards yet.", "Finish the enrolment in payment processing first."
    ),
    Reason.IN_RUNNING_BATCH: Words("Already in {running_batch}.", _LEAVE_OUT),
    Reason.INVOICE_NOT_OPEN: Words("Paid or closed.", _LEAVE_OUT),
    Reason.CURRENCY_DIFFERS: Words(
        "The invoice is in {currency}, not in the practice's currency.", "Charge it by hand."
    ),
    Reason.OVER_INVOICE_LIMIT: Words(
        "This invoice alone is above your practice's limit of {limit}.", "Charge it by hand."
    ),
    Reason.NO_PAYMENT_METHOD: Words("No card on file.", "Add one in Bill To & Insurance Info."),
    Reason.METHOD_NEVER_CHARGED: Words("Card never charged before.", "Charge it once in person first."),
    Reason.METHOD_EXPIRED: Words("Card expired {expiry}.", "Ask for a new one."),
    Reason.METHOD_OF_OTHER_PROCESSOR: Words(
        "The card belongs to {method_processor}; your practice now uses {practice_processor}.", "Store it again."
    ),
}
PROCESSOR_NAMES = {"vantage": "Vantage", "stripe": "Stripe"}


def words(reason: Reason, facts: Facts | None = None) -> Words:
    """What the matter is and what to do about it, with the facts filled in."""
    template, known = WORDS[reason], facts or Facts()
    values = {name: getattr(known, name) for name in Facts.__slots__}
    return Words(template.what.format(**values).replace(" .", "."), template.fix)


def sentence(reason: Reason, facts: Facts | None = None) -> str:
    """One line for staff. Where there is nothing to do but to leave the invoice alone, it does not say so."""
    said = words(reason, facts)
    return said.what if said.fix == _LEAVE_OUT else f"{said.what} {said.fix}"


# Not a rule about an invoice: there is none of this id that the caller may see.
NOT_FOUND = "invoice_not_found"
NOT_FOUND_WORDS = Words("There is no such invoice.", _LEAVE_OUT)
