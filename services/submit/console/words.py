"""How states look and read: words, icon and tone. Nothing is told by colour alone."""

from collections.abc import Collection
from typing import Final, NamedTuple

from services.submit.auth import Permission
from shared.domain.batch import BatchStatus
from shared.domain.payment import State
from shared.domain.resolving import Verdict


class Shown(NamedTuple):
    """`icon` is a name of `templates/icons.html`, `tone` a class of `console.css`."""

    words: str
    icon: str
    tone: str


STATES: Final = {
    State.QUEUED: Shown("Waiting", "clock", "mute"),
    State.SENDING: Shown("Charging", "ring", "info"),
    State.UNKNOWN: Shown("Being checked", "question", "warn"),
    State.PROCESSING: Shown("The bank is processing it", "clock", "info"),
    State.APPROVED: Shown("Approved", "tick-ring", "ok"),
    State.SETTLED: Shown("Settled", "tick-disc", "ok"),
    State.DECLINED: Shown("Declined", "cross-ring", "bad"),
    State.FAILED: Shown("Not charged", "slashed", "mute"),
    State.SKIPPED: Shown("Skipped", "dash-ring", "mute"),
    State.CANCELED: Shown("Taken out before charging", "dash-ring", "mute"),
    State.VOIDING: Shown("Voiding", "ring", "info"),
    State.REFUNDING: Shown("Refunding", "ring", "info"),
    State.VOIDED: Shown("Voided", "back-arrow", "mute"),
    State.REFUNDED: Shown("Refunded", "refund-arrow", "mute"),
    State.SURPLUS: Shown("Charged a second time", "warning", "bad"),
}

BATCHES: Final = {
    BatchStatus.PROCESSING: Shown("Charging", "ring", "info"),
    BatchStatus.VOIDING: Shown("Voiding", "ring", "info"),
    BatchStatus.COMPLETED: Shown("Completed", "tick-disc", "ok"),
    BatchStatus.COMPLETED_WITH_ERRORS: Shown("Completed with errors", "warning", "bad"),
    BatchStatus.FAILED: Shown("Not charged", "slashed", "mute"),
    BatchStatus.VOIDED: Shown("Voided", "back-arrow", "mute"),
    BatchStatus.PARTIALLY_VOIDED: Shown("Partly voided", "back-arrow", "mute"),
}
# Without a count or an amount: either would tell about clients that this person must not see.
HIDDEN: Final = "Payments for other clinicians\N{RIGHT SINGLE QUOTATION MARK} clients are hidden."

PERMISSIONS: Final = {
    Permission.BILLING: "see and submit batches",
    Permission.VOID: "void payments",
    Permission.REFUND: "refund payments",
    Permission.APPROVE: "approve batches above the ceiling",
    Permission.OWN_CLIENTS: "only for your own clients",
}

VERDICTS: Final = {
    Verdict.CHARGED: "It was charged",
    Verdict.NOT_EXECUTED: "It was not charged",
    Verdict.ACKNOWLEDGED: "It is dealt with",
}

_BRANDS: Final = {
    "visa": "Visa",
    "mastercard": "Mastercard",
    "amex": "Amex",
    "discover": "Discover",
    "diners": "Diners Club",
    "jcb": "JCB",
    "unionpay": "UnionPay",
}


def brand(name: str) -> str:
    return _BRANDS.get(name.lower(), name)


def method_column(processor: str) -> str:
    """What the processor's users know the column as."""
    return "Default Credit Card" if processor == "vantage" else "Default Payment Method"


def able(permissions: Collection[str]) -> str:
    """`see and submit batches, void payments`"""
    return ", ".join(said for permission, said in PERMISSIONS.items() if permission in permissions)


def may(permissions: Collection[str]) -> str:
    """`See and submit batches, void payments`"""
    return begun(able(permissions))


def begun(text: str) -> str:
    """With a capital, as a sentence or a name begins."""
    return text[:1].upper() + text[1:]


def counted(number: int, one: str, many: str | None = None) -> str:
    """`1 payment`, `2 payments`"""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def waits(checked: int, waiting: int) -> str:
    """`2 payments are being checked, 63 wait.`"""
    if not checked:
        return f"{counted(waiting, 'payment waits', 'payments wait')}."
    waits = "waits" if waiting == 1 else "wait"
    return f"{counted(checked, 'payment is', 'payments are')} being checked, {waiting:,} {waits}."
