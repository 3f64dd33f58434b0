"""What the engine asks of a payment processor, and the only answers it understands.

An adapter is a stateless object that satisfies `Processor`. Rules that every adapter keeps, proven by the
contract suite (`tests/contract/processor_contract.py`):

- One call puts at most one request on the wire. No client library may resend by itself.
- No call raises for anything that the wire does: every answer and every failure is a value below.
- What is not in the adapter's tables is `Unknown`.
- `freeze_charge`, `freeze_void` and `freeze_refund` are pure: the same order gives the same text, byte for byte. The
  text is stored before the first send and is all that `charge`, `void` and `refund` may derive their request from, so a
  resend is byte-identical.
- Nothing about a person is sent: an order has no field for it.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Protocol

from shared.domain.answers import (
    Approved,
    Blame,
    ChargeAnswer,
    DayReport,
    Declined,
    Denial,
    Found,
    LookupAnswer,
    LookupFailed,
    NotExecuted,
    NotFound,
    Processing,
    RefundAnswer,
    RefundConfirmed,
    RefundDenied,
    RefundRefused,
    ReportAnswer,
    Seen,
    Settled,
    Sighting,
    Unknown,
    VoidAnswer,
    VoidConfirmed,
    VoidRefused,
)
from shared.domain.books import BooksAnswer, DisputesAnswer
from shared.domain.words import ProcessorName
from workers.processors.departure import AT_ONCE, Departure

__all__ = [
    "AT_ONCE",
    "Approved",
    "Blame",
    "ChargeAnswer",
    "ChargeOrder",
    "DayReport",
    "Declined",
    "Denial",
    "Departure",
    "Found",
    "LookupAnswer",
    "LookupFailed",
    "LookupOrder",
    "NotExecuted",
    "NotFound",
    "Processing",
    "Processor",
    "RefundAnswer",
    "RefundConfirmed",
    "RefundDenied",
    "RefundRefused",
    "ReportAnswer",
    "ReturnOrder",
    "Seen",
    "Settled",
    "Sighting",
    "Timing",
    "Unknown",
    "VoidAnswer",
    "VoidConfirmed",
    "VoidRefused",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargeOrder:
    """One invoice's charge, everything frozen at submit.

    `reference` is `<environment>-<payment id>-<attempt number>`, at most 50 characters, unique per attempt: Stripe's
    idempotency key, Vantage's Invoice. `invoice_id` is our opaque invoice UUID, kept at Stripe as metadata.
    """

    reference: str
    payment_id: str
    attempt_number: int
    invoice_id: str
    account: str
    payer_id: str
    token: str
    method_type: str
    amount_minor: int
    currency: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnOrder:
    """Give a charge back in full: void it while it is not settled, or refund it.

    `charge_history_ref` is the processor's preferred handle of the charge and may be unknown after a lost answer.
    """

    reference: str
    account: str
    charge_reference: str
    charge_processor_ref: str
    charge_history_ref: str | None
    amount_minor: int
    currency: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LookupOrder:
    """`processor_ref` is what the processor called the charge, if an answer ever told; it wins over the reference.

    `first_send_at` and `last_send_at` bound where to search.
    """

    reference: str
    account: str
    payer_id: str
    processor_ref: str | None
    first_send_at: datetime
    last_send_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Bounds of protocol.md section 2. `key_lifetime` is None where no idempotency key exists: one send per attempt."""

    send_budget: timedelta
    total_deadline: timedelta
    record_margin: timedelta
    key_lifetime: timedelta | None

    @property
    def lease(self) -> timedelta:
        """How long a claim holds: until the last byte of its answer could be recorded."""
        return self.send_budget + self.total_deadline + self.record_margin


class Processor(Protocol):
    name: ProcessorName
    timing: Timing

    def freeze_charge(self, order: ChargeOrder) -> str: ...

    async def charge(self, request_text: str, departure: Departure = AT_ONCE) -> ChargeAnswer:
        """Send the frozen charge once. Bounded by `timing.total_deadline` from its first byte on."""
        ...

    def freeze_void(self, order: ReturnOrder) -> str: ...

    async def void(self, request_text: str, departure: Departure = AT_ONCE) -> VoidAnswer:
        """Send the frozen void once. Stripe has none: it answers NotExecuted with Blame.US."""
        ...

    def freeze_refund(self, order: ReturnOrder) -> str: ...

    async def refund(self, request_text: str, departure: Departure = AT_ONCE) -> RefundAnswer:
        """Send the frozen refund once. What becomes of it shows in a lookup of its charge."""
        ...

    async def lookup(self, order: LookupOrder) -> LookupAnswer: ...

    async def day_report(self, account: str, day: date) -> ReportAnswer | None:
        """None where the processor has no settlement reports that prove absence (Stripe)."""
        ...

    async def day_books(self, account: str, day: date) -> BooksAnswer:
        """What moved on this day, as the processor counts days, whoever moved it."""
        ...

    async def disputes(self, account: str, charge_ref: str) -> DisputesAnswer:
        """The disputes of one charge as they stand now."""
        ...

    async def close(self) -> None: ...
