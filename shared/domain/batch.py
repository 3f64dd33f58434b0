"""A batch's status, derived from its payments: one pure function, never a counter that is added to."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, assert_never

from shared.domain.payment import State


class BatchStatus(StrEnum):
    PROCESSING = "processing"
    VOIDING = "voiding"
    COMPLETED = "completed"
    COMPLETED_WITH_ERRORS = "completed_with_errors"
    FAILED = "failed"
    VOIDED = "voided"
    PARTIALLY_VOIDED = "partially_voided"


class Posting(StrEnum):
    PENDING = "pending"
    POSTED = "posted"


class Group(StrEnum):
    """Where a payment counts in its batch. Every payment is in exactly one."""

    APPROVED = "approved"
    DECLINED = "declined"
    CANCELED = "canceled"
    RETURNED = "returned"
    UNFINISHED = "unfinished"


def group(state: State) -> Group:
    """The group of a payment in this state."""
    match state:
        case State.APPROVED | State.SETTLED:
            return Group.APPROVED
        case State.DECLINED | State.SKIPPED | State.FAILED:
            return Group.DECLINED
        case State.CANCELED:
            return Group.CANCELED
        case State.VOIDED | State.REFUNDED:
            return Group.RETURNED
        case (
            State.QUEUED
            | State.SENDING
            | State.UNKNOWN
            | State.PROCESSING
            | State.VOIDING
            | State.REFUNDING
            | State.SURPLUS
        ):
            return Group.UNFINISHED
        case _:
            assert_never(state)


class StateCount(NamedTuple):
    """How many payments of a batch are in this state, and their amounts' sum."""

    state: State
    in_review: bool
    payments: int
    amount_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """A batch's payments by group. `unsettled` are approved ones that may still be voided, `returning` are unfinished
    ones whose money is on its way back; both are counted in their groups as well.
    """

    approved: int = 0
    approved_minor: int = 0
    declined: int = 0
    declined_minor: int = 0
    canceled: int = 0
    canceled_minor: int = 0
    returned: int = 0
    returned_minor: int = 0
    unfinished: int = 0
    unfinished_minor: int = 0
    unsettled: int = 0
    returning: int = 0
    in_review: int = 0

    @property
    def total(self) -> int:
        return self.approved + self.declined + self.canceled + self.returned + self.unfinished

    @property
    def total_minor(self) -> int:
        return (
            self.approved_minor
            + self.declined_minor
            + self.canceled_minor
            + self.returned_minor
            + self.unfinished_minor
        )


def tally(counts: Iterable[StateCount]) -> Tally:
    """The tally of one batch. A surplus payment is always in review, whatever its row says."""
    sums: dict[str, int] = {}

    def add(name: str, value: int) -> None:
        sums[name] = sums.get(name, 0) + value

    for row in counts:
        name = group(row.state)
        add(name, row.payments)
        add(f"{name}_minor", row.amount_minor)
        if row.state is State.APPROVED:
            add("unsettled", row.payments)
        if row.state in {State.VOIDING, State.REFUNDING}:
            add("returning", row.payments)
        if row.in_review or row.state is State.SURPLUS:
            add("in_review", row.payments)
    return Tally(**sums)


class Standing(NamedTuple):
    status: BatchStatus
    posting: Posting


def status(tally: Tally, *, void_requested: bool) -> Standing:
    """Status and posting of a batch with this tally.

    The first line that fits decides; `back` is canceled + returned, a dash is anything:

    | unfinished             | void asked | back | approved | declined | status                |
    |------------------------|------------|------|----------|----------|-----------------------|
    | all of it on its way back | -       | -    | -        | -        | voiding               |
    | some                   | yes        | -    | -        | -        | voiding               |
    | some                   | no         | -    | -        | -        | processing            |
    | none                   | -          | some | some     | -        | partially_voided      |
    | none                   | -          | some | none     | -        | voided                |
    | none                   | -          | none | some     | some     | completed_with_errors |
    | none                   | -          | none | some     | none     | completed             |
    | none                   | -          | none | none     | some     | failed                |

    So `voided` says that no money of this batch is kept and some was taken or about to be; whether the void was
    asked for on the batch, on each payment, or was a refund makes no difference to that. Posting is `posted` when
    nothing is unfinished and nothing approved is unsettled. Raises ValueError for a batch without payments.
    """
    if tally.total == 0:
        raise ValueError("a batch has at least one payment")
    return Standing(_status(tally, void_requested=void_requested), _posting(tally))


def _status(tally: Tally, *, void_requested: bool) -> BatchStatus:
    if tally.unfinished:
        on_its_way_back = void_requested or tally.returning == tally.unfinished
        return BatchStatus.VOIDING if on_its_way_back else BatchStatus.PROCESSING
    if tally.canceled + tally.returned:
        return BatchStatus.PARTIALLY_VOIDED if tally.approved else BatchStatus.VOIDED
    if tally.approved:
        return BatchStatus.COMPLETED_WITH_ERRORS if tally.declined else BatchStatus.COMPLETED
    return BatchStatus.FAILED


def _posting(tally: Tally) -> Posting:
    return Posting.PENDING if tally.unfinished or tally.unsettled else Posting.POSTED
