"""What a processor can answer: closed types. What is not one of these cannot be said."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

from shared.domain.declines import Decline

# --- Answers to a charge: a closed type -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Approved:
    """Captured, not settled: voidable (Vantage)."""

    processor_ref: str
    history_ref: str | None = None
    approval_code: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """Captured and settled: only refundable (Stripe at once)."""

    processor_ref: str
    history_ref: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Processing:
    """Accepted; the processor answers later (Stripe bank debits)."""

    processor_ref: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Declined:
    """Refused for good under this reference; no money moved."""

    decline: Decline
    processor_ref: str | None = None


class Blame(StrEnum):
    """Whose trouble a `NotExecuted` is: it decides what else stops."""

    NOTHING = "nothing"  # passing (429, connection refused): try this payment again later
    METHOD = "method"  # this payment method cannot be charged (expired, removed)
    MERCHANT = "merchant"  # the practice's account at the processor: stop its queue and say so
    US = "us"  # our request was wrong: a bug, or bad data


@dataclass(frozen=True, slots=True, kw_only=True)
class NotExecuted:
    """This one send certainly did not execute. It says nothing about any other send of the same attempt."""

    code: str
    blame: Blame
    detail: str
    retry_after: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """The request may have executed. Only evidence resolves it, never time. `review`: a person must look as well."""

    code: str
    detail: str
    review: bool = False


ChargeAnswer = Approved | Settled | Processing | Declined | NotExecuted | Unknown


# --- Answers to a void ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class VoidConfirmed:
    processor_ref: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VoidRefused:
    """Refused with a code that may also mean "already voided" or "already settled": it moves nothing, look first."""

    code: str
    detail: str


VoidAnswer = VoidConfirmed | VoidRefused | NotExecuted | Unknown


# --- Answers to a refund ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundConfirmed:
    """The processor gives the money back; a refund has numbers of its own."""

    processor_ref: str
    history_ref: str | None = None


class Denial(StrEnum):
    """Why a charge cannot be refunded as things stand."""

    DISPUTED = "disputed"  # the client's bank takes the money back already
    FUNDS_SHORT = "funds_short"  # the practice's balance does not cover it


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundDenied:
    """This send was refused for a reason that only people can remove."""

    code: str
    denial: Denial
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundRefused:
    """This send was refused with a code that may also mean "refunded already" or "not yet": look first."""

    code: str
    detail: str


RefundAnswer = RefundConfirmed | RefundDenied | RefundRefused | NotExecuted | Unknown


# --- Looking ----------------------------------------------------------------------------------------------------------


class Seen(StrEnum):
    """How a charge stands at the processor now."""

    APPROVED = "approved"
    SETTLED = "settled"
    PROCESSING = "processing"
    DECLINED = "declined"
    VOIDED = "voided"
    REFUNDED = "refunded"
    OTHER = "other"  # shown by the processor in a status that our tables do not know: it moves nothing, a person looks


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """One charge as the processor shows it. `amount_minor` is the original charge's, always positive."""

    seen: Seen
    reference: str
    processor_ref: str
    history_ref: str | None
    amount_minor: int
    decline: Decline | None = None
    approval_code: str | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    sighting: Sighting


@dataclass(frozen=True, slots=True, kw_only=True)
class NotFound:
    """Nothing under this reference now. Not proof of absence: a late execution may still come."""

    as_of: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class LookupFailed:
    code: str
    detail: str


LookupAnswer = Found | NotFound | LookupFailed


@dataclass(frozen=True, slots=True, kw_only=True)
class DayReport:
    """A merchant's settlement report of one processor day.

    `as_of` is the processor's own clock when it answered (the Date header): whether the day's report can be out is
    judged by it, never by ours. `sightings` are charges with how they stand; money back is folded into its charge.
    """

    day: date
    as_of: datetime
    sightings: Sequence[Sighting]


ReportAnswer = DayReport | LookupFailed
