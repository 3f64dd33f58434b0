"""What a restored database has forgotten: charges that were sent after its restore point. Pure.

References are made of the payment and the attempt's number, so a forgotten charge can be looked for by name. One that
is found is taken in by the steps that were taken then; its outcome follows on the normal path.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from shared.domain import charging, claiming, schedule
from shared.domain.answers import Blame
from shared.domain.claiming import NewAttempt
from shared.domain.payment import State
from shared.domain.reviewing import observe
from shared.domain.snapshot import Attempt, Payment, Step

# In these a payment may be sent, so it may have been. In all others no attempt follows those that are known.
MAY_HAVE_BEEN_SENT = (State.QUEUED, State.SENDING, State.UNKNOWN)
_ATTEMPTS_MOST = len(schedule.RETRY_PAUSES) + 1


def numbers(payment: Payment) -> range:
    """The numbers of the attempts that may be forgotten."""
    return range(payment.attempts + 1, _ATTEMPTS_MOST + 1)


def forgotten(payment: Payment, new: NewAttempt, *, n: int, since: datetime, until: datetime) -> Attempt:
    """The payment's n-th attempt as it would have been made between `since` and `until`."""
    attempt = claiming.claim(payment._replace(state=State.QUEUED), new, now=since).attempt
    assert attempt
    return attempt._replace(n=n, last_send_at=until)


def remembered(payment: Payment, current: Attempt | None, found: Attempt, *, now: datetime) -> Iterator[Step]:
    """The steps to where the outcome of `found`, an attempt that the processor shows, is unknown."""
    if payment.state is State.SENDING:
        yield (over := charging.lease_over(payment, now=now))
        payment = over.after
    if payment.state is State.UNKNOWN:
        assert current
        yield (left := _left_behind(payment, current, now=now))
        payment = left.after
    payment = payment._replace(attempts=found.n)
    if payment.state is State.QUEUED:
        yield (sent := _sent(payment, found, now=now))
        yield charging.lease_over(sent.after, now=now)
    else:
        yield observe(payment, found, "sent, and forgotten by a restore")


def _left_behind(payment: Payment, current: Attempt, *, now: datetime) -> Step:
    """A newer attempt proves that this one never executed: none is made before that is known."""
    return charging.not_executed(
        payment,
        current._replace(absence_final_at=now, outcome_code=current.outcome_code or "absent"),
        blame=Blame.NOTHING,
        retry_after=None,
        evidence_at=current.last_send_at,
        now=now,
    )


def _sent(payment: Payment, found: Attempt, *, now: datetime) -> Step:
    new = NewAttempt(
        id=found.id,
        # Nobody owns it any more: who sent it wrote into the database that is gone.
        token=found.id,
        reference=found.reference,
        request_text=found.request_text,
        lease=now - now,
    )
    step = claiming.claim(payment, new, now=now)
    # Its card is free: the request cannot be on the wire any more.
    after = step.after._replace(on_wire=False, attempts=found.n)
    return replace(step, after=after, attempt=found)
