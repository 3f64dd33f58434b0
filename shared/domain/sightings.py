"""What a look at the processor does to a charge: it shows it, shows it no more, or shows nothing yet."""

from datetime import datetime
from typing import assert_never

from shared.domain import schedule
from shared.domain.answers import Blame, Seen, Sighting
from shared.domain.charging import declined, not_executed
from shared.domain.payment import Event, State
from shared.domain.reviewing import also, review
from shared.domain.snapshot import RELEASED, Attempt, Finding, Payment, Step, step
from shared.domain.taken import OPEN, Money, money_taken, processing

STAYS_UNKNOWN = "no look could tell what became of the charge"


def seen(payment: Payment, attempt: Attempt, sighting: Sighting, *, unchanged: bool, now: datetime) -> Step | None:
    """What the processor shows for `attempt` now. `unchanged`: nothing was written since before the look."""
    if sighting.amount_minor != attempt.amount_minor:
        return review(payment, attempt, f"the processor shows {sighting.amount_minor}, we sent {attempt.amount_minor}")
    match sighting.seen:
        case Seen.APPROVED | Seen.SETTLED:
            money = Money(
                settled=sighting.seen is Seen.SETTLED,
                processor_ref=sighting.processor_ref,
                history_ref=sighting.history_ref,
                approval_code=sighting.approval_code,
            )
            return money_taken(payment, attempt, money, now=now)
        case Seen.PROCESSING:
            return processing(payment, attempt, sighting.processor_ref, now=now)
        case Seen.DECLINED:
            if unchanged and sighting.decline and payment.current_attempt == attempt.id:
                return declined(payment, attempt, sighting.decline, sighting.processor_ref, now=now)
            return None
        case Seen.VOIDED:
            return _returned(payment, attempt, sighting, Event.SEEN_VOIDED, State.VOIDED, now=now)
        case Seen.REFUNDED:
            return _returned(payment, attempt, sighting, Event.SEEN_REFUNDED, State.REFUNDED, now=now)
        case Seen.OTHER:
            return review(payment, attempt, f"the processor shows a state that we do not know: {sighting.detail}")
        case _:
            assert_never(sighting.seen)


def _returned(
    payment: Payment, attempt: Attempt, sighting: Sighting, event: Event, target: State, *, now: datetime
) -> Step | None:
    """The money was taken and given back, not by us: say so."""
    if payment.current_attempt == attempt.id and payment.state is State.PROCESSING and target is State.REFUNDED:
        return _settled_and_returned(payment, attempt, sighting, now=now)
    if payment.current_attempt != attempt.id or payment.state not in (*OPEN, State.APPROVED, State.SETTLED):
        return None
    kind = "outside_void" if target is State.VOIDED else "outside_refund"
    finding = Finding(kind=kind, detail=f"{attempt.reference}: done outside of Batchpay")
    return step(
        payment,
        event,
        target,
        attempt=attempt._replace(
            outcome="approved",
            processor_ref=sighting.processor_ref,
            history_ref=sighting.history_ref or attempt.history_ref,
            open_sends=0,
            finished_at=now,
        ),
        **RELEASED,
        next_check_at=None,
        finished_at=now,
        finding=finding,
    )


def _settled_and_returned(payment: Payment, attempt: Attempt, sighting: Sighting, *, now: datetime) -> Step:
    """A bank debit is first seen when it was given back: so it had settled. A person takes it from here."""
    reason = f"{attempt.reference} settled and was given back outside of Batchpay"
    return step(
        payment,
        Event.SETTLE,
        State.SETTLED,
        attempt=attempt._replace(
            outcome="settled",
            processor_ref=sighting.processor_ref,
            history_ref=sighting.history_ref or attempt.history_ref,
            open_sends=0,
            finished_at=now,
        ),
        **RELEASED,
        next_check_at=None,
        finished_at=now,
        review_reason=also(payment, reason),
        finding=Finding(kind="outside_refund", detail=reason),
    )


def looked(payment: Payment, attempt: Attempt, *, detail: str, now: datetime) -> Step:
    """A look found nothing that decides: look again later. A person is asked when looking should have helped."""
    helpless = payment.state is State.UNKNOWN and now - attempt.last_send_at >= schedule.UNKNOWN_LONGEST
    asks = helpless and STAYS_UNKNOWN not in (payment.review_reason or "")
    return step(
        payment,
        Event.OBSERVE,
        payment.state,
        attempt=attempt._replace(lookups=attempt.lookups + 1),
        detail={"fact": detail},
        next_check_at=schedule.next_lookup(now, attempt.lookups + 1),
        review_reason=also(payment, STAYS_UNKNOWN) if helpless else payment.review_reason,
        finding=Finding(kind="review", detail=f"{STAYS_UNKNOWN}; the last one: {detail}") if asks else None,
    )


def absent(payment: Payment, attempt: Attempt, *, as_of: datetime, now: datetime) -> Step:
    """Absence is final: the attempt never executed. The caller has checked the rule and that nothing changed."""
    final = attempt._replace(absence_final_at=now, outcome_code=attempt.outcome_code or "absent")
    return not_executed(payment, final, blame=Blame.NOTHING, retry_after=None, evidence_at=as_of, now=now)
