"""What asking for a refund does to a payment in each state, and the words for it. Pure."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final, assert_never

from shared.domain import schedule
from shared.domain.eligibility import Words
from shared.domain.payment import Event, State
from shared.domain.snapshot import Payment, Step, step


class RefundResult(StrEnum):
    """What asking for a refund did to one payment."""

    REFUNDING = "refunding"  # asked of the processor
    ALREADY_ASKED = "already_asked"
    NOT_SETTLED = "not_settled"  # void it instead, or wait
    DISPUTED = "disputed"  # the client's bank takes the money back already
    ALREADY_REFUNDED = "already_refunded"
    NOTHING_TO_REFUND = "nothing_to_refund"  # no money was taken, or it was voided
    NEEDS_APPROVAL = "needs_approval"  # above the practice's limit: nothing is asked of the processor yet


_WORDS: Mapping[RefundResult, Words] = MappingProxyType(
    {
        RefundResult.REFUNDING: Words("The refund is asked for.", "Wait for the processor's answer."),
        RefundResult.ALREADY_ASKED: Words("The refund is asked for already.", "Wait for the processor's answer."),
        RefundResult.NOT_SETTLED: Words("The charge is not settled yet.", "Void it instead, or wait until it is."),
        RefundResult.DISPUTED: Words(
            "The client disputes the charge at the bank.", "Answer the dispute in the processor's dashboard."
        ),
        RefundResult.ALREADY_REFUNDED: Words("It is refunded already.", "There is nothing to do."),
        RefundResult.NOTHING_TO_REFUND: Words("No money of this payment is kept.", "There is nothing to do."),
        RefundResult.NEEDS_APPROVAL: Words(
            "It is above the practice's refund limit, which counts what its batch refunds together.",
            "A second person must approve it before anything is sent.",
        ),
    }
)
# What a refund can be asked of.
REFUNDABLE: Final = (State.SETTLED, State.SURPLUS)
# Where money goes back that a refund was asked for.
GIVEN_BACK: Final = (State.REFUNDING, State.REFUNDED)
LONGEST_REASON: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """What a refund's event remembers: the person's own words and, above the limit, who approved."""

    reason: str | None = None
    approved_by: str | None = None

    def detail(self) -> dict[str, str] | None:
        return {name: said for name, said in asdict(self).items() if said} or None


def words(result: RefundResult) -> Words:
    """What asking did, and what a person can do now."""
    return _WORDS[result]


def ask(payment: Payment, *, disputed: bool, now: datetime, why: Why | None = None) -> tuple[RefundResult, Step | None]:
    """Ask for a refund of one payment, under its row lock."""
    result = result_of_asking(payment.state, disputed=disputed)
    if result is not RefundResult.REFUNDING:
        return result, None
    return result, step(
        payment,
        Event.REQUEST_REFUND,
        State.REFUNDING,
        detail=why.detail() if why else None,
        next_check_at=now + schedule.HINT_AGAIN,
        reason_code=None,
        reason_raw_code=None,
    )


def result_of_asking(state: State, *, disputed: bool) -> RefundResult:
    """What asking for a refund does to a payment in this state."""
    match state:
        case State.SETTLED | State.SURPLUS:
            return RefundResult.DISPUTED if disputed else RefundResult.REFUNDING
        case State.REFUNDING:
            return RefundResult.ALREADY_ASKED
        case State.QUEUED | State.SENDING | State.UNKNOWN | State.PROCESSING | State.APPROVED | State.VOIDING:
            return RefundResult.NOT_SETTLED
        case State.REFUNDED:
            return RefundResult.ALREADY_REFUNDED
        case State.DECLINED | State.FAILED | State.SKIPPED | State.CANCELED | State.VOIDED:
            return RefundResult.NOTHING_TO_REFUND
        case _:
            assert_never(state)
