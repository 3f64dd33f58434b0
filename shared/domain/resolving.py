"""What a person may decide about a payment under review, and what must be shown first. Pure.

A person is believed no more than a processor: money is taken only where a lookup shows it, and "not executed" is
believed only where absence is final. The steps are those of the normal path.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import assert_never

from shared.domain import sightings
from shared.domain.answers import Found, LookupAnswer, LookupFailed, NotFound, Seen
from shared.domain.payment import NEVER_CHARGED, Event, State
from shared.domain.schedule import SETTLEMENT_CHECK
from shared.domain.snapshot import Attempt, Payment, Step, step
from shared.domain.taken import OPEN
from shared.domain.words import ProcessorName


class Verdict(StrEnum):
    CHARGED = "charged"
    NOT_EXECUTED = "not_executed"
    # The payment stands as it is; whatever had to be done about it is done.
    ACKNOWLEDGED = "acknowledged"


@dataclass(frozen=True, slots=True)
class Refused:
    """The verdict is not believed; the reason is a sentence for the person."""

    reason: str


_UNDER_WAY = (State.QUEUED, *OPEN, State.PROCESSING, State.VOIDING, State.REFUNDING)
_MONEY = frozenset({Seen.APPROVED, Seen.SETTLED})


def charged(
    payment: Payment, attempt: Attempt, look: LookupAnswer, processor_ref: str, *, now: datetime
) -> Step | Refused:
    """The person says that the processor took the money under `processor_ref`; `look` is what the processor shows."""
    if payment.state not in (*OPEN, State.PROCESSING, *NEVER_CHARGED):
        return Refused(f"the payment is {payment.state}: it needs no charge")
    match look:
        case LookupFailed():
            return Refused(f"the processor did not confirm {processor_ref} ({look.code})")
        case NotFound():
            return Refused(f"the processor shows no charge under {attempt.reference}")
        case Found(sighting=shown) if shown.processor_ref != processor_ref:
            return Refused(f"the processor shows {shown.processor_ref} for this payment, not {processor_ref}")
        case Found(sighting=shown) if shown.seen not in _MONEY:
            return Refused(f"the processor shows {processor_ref} as {shown.seen}, which is no money")
        case Found(sighting=shown) if shown.amount_minor != attempt.amount_minor:
            return Refused(f"the processor shows {shown.amount_minor} for {processor_ref}, not {attempt.amount_minor}")
        case Found(sighting=shown):
            taken = sightings.seen(payment, attempt, shown, unchanged=True, now=now)
            # The money of an attempt that was given up while we looked moves nothing, and must be given back.
            if taken and (taken.moved or attempt.id != payment.current_attempt):
                return taken
            return Refused("this was known already")


def not_executed(payment: Payment, attempt: Attempt, *, as_of: datetime, now: datetime) -> Step | Refused:
    """The person says that nothing was charged, and absence is final as of `as_of`."""
    if payment.state is not State.UNKNOWN:
        return Refused(f"the payment is {payment.state}: its outcome is not open")
    return sightings.absent(payment, attempt, as_of=as_of, now=now)


def acknowledged(payment: Payment, attempt: Attempt, *, by: str, surplus: bool, now: datetime) -> Step | Refused:
    """The person has dealt with the payment as it stands; `surplus`: more money was taken for it than it is for."""
    if payment.review_reason is None:
        return Refused("the payment is not on the review list")
    if payment.state in _UNDER_WAY:
        return Refused(f"the payment is {payment.state}: what became of it must be found out first")
    if surplus or payment.state is State.SURPLUS:
        return Refused("the client paid twice: the surplus must be given back first")
    return closed(payment, attempt, Verdict.ACKNOWLEDGED, by=by, now=now)


def closed(payment: Payment, attempt: Attempt, verdict: Verdict, *, by: str, now: datetime) -> Step:
    """Take the payment from the review list. One that is still to settle is looked for again."""
    settles = payment.state is State.APPROVED and payment.next_check_at is None
    return step(
        payment,
        Event.OBSERVE,
        payment.state,
        attempt=attempt,
        detail={"fact": f"review resolved: {verdict}", "by": by},
        next_check_at=now + SETTLEMENT_CHECK if settles else payment.next_check_at,
        review_reason=None,
    )


def verdicts(state: State) -> tuple[Verdict, ...]:
    """What a person may say about a payment under review in this state; nothing where it has to be acted on first."""
    match state:
        case State.SENDING | State.UNKNOWN | State.PROCESSING:
            return (Verdict.CHARGED, Verdict.NOT_EXECUTED)
        case State.FAILED | State.DECLINED | State.SKIPPED | State.CANCELED:
            return (Verdict.ACKNOWLEDGED, Verdict.CHARGED)
        case State.APPROVED | State.SETTLED | State.VOIDED | State.REFUNDED:
            return (Verdict.ACKNOWLEDGED,)
        case State.SURPLUS | State.QUEUED | State.VOIDING | State.REFUNDING:
            return ()
        case _:
            assert_never(state)


def suggestion(state: State, processor: ProcessorName) -> str:
    """What a person can do about a payment under review, as a sentence."""
    match state:
        case State.SENDING | State.UNKNOWN:
            where = "Stripe's dashboard" if processor is ProcessorName.STRIPE else "Vantage's reports"
            return f"Look for the reference in {where}: resolve as charged with its number, or as not executed."
        case State.PROCESSING:
            return "The bank has not answered: look for the reference at Stripe before anything else."
        case State.SURPLUS:
            return "The client paid twice: give the surplus back."
        case State.FAILED:
            return "Nothing was charged: correct what was refused, then acknowledge it and charge again."
        case State.APPROVED | State.SETTLED:
            return "The money was taken: compare it with the invoice, tell the client, then acknowledge it."
        case State.VOIDED | State.REFUNDED:
            return "The money went back: compare it with the processor's books, then acknowledge it."
        case State.DECLINED | State.SKIPPED | State.CANCELED:
            return "Nothing was charged: compare it with the processor's books, then acknowledge it."
        case State.QUEUED:
            return "It is not sent while an earlier attempt may still take money: wait for that one, or void it."
        case State.VOIDING | State.REFUNDING:
            return "It is under way: wait until it is over."
