"""Voids and refunds of `whole_steps.txt`."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from shared.domain import refunding, returning, voiding
from shared.domain.answers import (
    Blame,
    Denial,
    Found,
    LookupFailed,
    NotExecuted,
    NotFound,
    RefundConfirmed,
    RefundDenied,
    RefundRefused,
    Seen,
    Sighting,
    Unknown,
    VoidConfirmed,
    VoidRefused,
)
from shared.domain.declines import Decline, NeutralCode
from shared.domain.payment import State
from shared.domain.returning import NewReturn
from shared.domain.snapshot import Attempt, Step
from shared.domain.words import AttemptKind
from tests.snapshots import NOW, TOKEN, a_charge, a_payment, a_refund, a_void

Case = tuple[str, Step | None, Sequence[Attempt]]

LEASE: Final = timedelta(seconds=100)
NEW, OTHER_TOKEN = UUID(int=200), UUID(int=201)
LATER: Final = NOW + timedelta(days=3)
BUSY: Final = NotExecuted(code="429", blame=Blame.NOTHING, detail="busy")
LOST: Final = Unknown(code="timeout", detail="no answer")
OURS: Final = Unknown(code="idempotency_error", detail="differs", review=True)
ASKED: Final[dict[str, Any]] = {"void_requested_at": NOW, "void_requested_by": "pat"}


def a_sighting(seen: Seen, amount_minor: int = 5_000) -> Sighting:
    return Sighting(
        seen=seen, reference="test-1-2", processor_ref="seen", history_ref="shown", amount_minor=amount_minor,
        decline=Decline(code=NeutralCode.INSUFFICIENT_FUNDS, raw_code="51") if seen is Seen.DECLINED else None,
        detail="as shown",
    )  # fmt: skip


def voids() -> Iterator[Case]:
    for state in (State.QUEUED, State.SENDING, State.UNKNOWN, State.APPROVED, State.SURPLUS):
        yield f"void asked for: {state}", voiding.ask(a_payment(state), by="pat", now=LATER)[1], ()
    voiding_payment = a_payment(State.VOIDING, claim_token=TOKEN, lease_until=NOW + LEASE, **ASKED)
    charge, void = a_charge(voiding_payment), a_void()
    new = NewReturn(
        kind=AttemptKind.VOID, id=NEW, token=OTHER_TOKEN, n=3, reference="test-1-3", request_text="{void}", lease=LEASE
    )
    yield "void claimed", returning.claim(a_payment(State.VOIDING), charge, new, now=NOW), ()
    again = returning.claim_again(a_payment(State.VOIDING, attempts=3), void, token=OTHER_TOKEN, lease=LEASE, now=LATER)
    yield "void claimed again", again, (void,)
    refused = VoidRefused(code="551", detail="too late")
    for name, given in (("confirmed", VoidConfirmed()), ("refused", refused), ("not sent", BUSY), ("no answer", LOST)):
        for state, token in (
            (State.VOIDING, TOKEN),
            (State.VOIDING, OTHER_TOKEN),
            (State.SETTLED, TOKEN),
            (State.VOIDED, TOKEN),
        ):
            payment = voiding_payment._replace(state=state, review_reason="look at it")
            whose = "" if token == TOKEN else ", somebody else"
            sent = void._replace(open_sends=2, lookups=1)
            yield f"void {name}: {state}{whose}", voiding.answered(payment, sent, given, token=token, now=NOW), (sent,)
    too_late = voiding_payment._replace(state=State.SETTLED, reason_code="too_late_to_void")
    late = voiding.answered(too_late, void, VoidConfirmed(), token=TOKEN, now=NOW)
    yield "void confirmed: settled, too late", late, (void,)
    surplus = voiding_payment._replace(surplus_at=NOW, review_reason="surplus")
    yield "void of a surplus confirmed", voiding.answered(surplus, void, VoidConfirmed(), token=TOKEN, now=NOW), (void,)
    for seen in Seen:
        yield f"void, seen {seen}", voiding.seen(voiding_payment, void, a_sighting(seen), now=NOW), (void,)


def refunds() -> Iterator[Case]:
    payment = a_payment(State.REFUNDING, claim_token=TOKEN, lease_until=NOW + LEASE)
    charge, refund = a_charge(payment), a_refund()
    looks: list[tuple[str, Any]] = [
        ("not found", NotFound(as_of=NOW)),
        ("failed", LookupFailed(code="500", detail="no")),
    ]
    looks += [(f"{seen}", Found(sighting=a_sighting(seen))) for seen in Seen]
    for name, look in looks:
        held = refunding.held_back(a_payment(State.REFUNDING), charge, look, disputed=False, now=NOW)
        yield f"before a refund: {name}", held, (charge,)
    often = charge._replace(lookups=6)
    waited = refunding.held_back(a_payment(State.REFUNDING), often, NotFound(as_of=NOW), disputed=False, now=NOW)
    yield "before a refund: not found for long", waited, (often,)
    disputed = refunding.held_back(a_payment(State.REFUNDING), charge, NotFound(as_of=NOW), disputed=True, now=NOW)
    yield "before a refund: disputed", disputed, (charge,)
    for name, given in _REFUND_ANSWERS:
        for attempts, sends in ((2, 1), (2, 2), (5, 1)):
            sent = refund._replace(open_sends=sends, sends=sends, lookups=1)
            owned = payment._replace(attempts=attempts)
            step = refunding.answered(owned, sent, given, token=TOKEN, now=NOW)
            yield f"refund {name}, {sends} open, after {attempts} attempts", step, (sent,)
        step = refunding.answered(payment, refund, given, token=OTHER_TOKEN, now=NOW)
        yield f"refund {name}, somebody else", step, (refund,)
    watched = payment._replace(review_reason="look at it")
    denied = refunding.answered(watched, refund, _REFUND_ANSWERS[1][1], token=TOKEN, now=NOW)
    yield "refund denied while a person looks", denied, (refund,)
    confirmed = RefundConfirmed(processor_ref="re", history_ref="h")
    for state, outcome in ((State.SETTLED, None), (State.REFUNDED, None), (State.REFUNDED, "confirmed")):
        done = refund._replace(outcome=outcome)
        step = refunding.answered(payment._replace(state=state), done, confirmed, token=TOKEN, now=NOW)
        yield f"refund confirmed: {state} {outcome or 'open'}", step, (done,)
    for seen in Seen:
        yield f"refund, seen {seen}", refunding.seen(payment, refund, a_sighting(seen), now=NOW), (refund,)
    over = refund._replace(outcome="refused")
    for name, given, state in (
        ("open", refund, State.REFUNDING),
        ("over", over, State.REFUNDING),
        ("open", refund, State.SETTLED),
    ):
        at = payment._replace(state=state)
        yield f"refund absent: {state}, {name}", refunding.absent(at, given, now=LATER), (given,)
        yield f"refund looked at: {state}, {name}", refunding.looked(at, given, fact="not there", now=NOW), (given,)
        yield (
            f"refund looked at days later: {state}, {name}",
            refunding.looked(at, given, fact="not there", now=LATER),
            (given,),
        )


_REFUND_ANSWERS: Final[tuple[tuple[str, Any], ...]] = (
    ("confirmed", RefundConfirmed(processor_ref="re", history_ref="h")),
    ("denied: disputed", RefundDenied(code="charge_disputed", denial=Denial.DISPUTED, detail="no")),
    ("denied: funds", RefundDenied(code="563", denial=Denial.FUNDS_SHORT, detail="no")),
    ("refused", RefundRefused(code="590", detail="already")),
    ("not executed", BUSY),
    ("not executed: merchant", NotExecuted(code="300", blame=Blame.MERCHANT, detail="no")),
    ("not executed: we", NotExecuted(code="400", blame=Blame.US, detail="no")),
    ("no answer", LOST),
    ("no answer, ours to look at", OURS),
)
