"""Every decision's whole step as text: what it changes, in the payment, its attempt, and beside them.

`python -m tests.unit.whole_steps` writes `whole_steps.txt` anew; read the difference before you commit it.
"""

import sys
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from shared.domain import charging, claiming, resolving, sightings, taken
from shared.domain.answers import (
    Approved,
    Blame,
    Declined,
    Found,
    LookupFailed,
    NotExecuted,
    NotFound,
    Processing,
    Seen,
    Settled,
)
from shared.domain.claiming import NewAttempt
from shared.domain.declines import Decline, NeutralCode
from shared.domain.payment import State
from shared.domain.reasons import Reason
from shared.domain.resolving import Refused, Verdict
from shared.domain.snapshot import Attempt, Payment, Step
from tests.snapshots import NOW, TOKEN, a_charge, a_payment, an_older_charge
from tests.unit.return_steps import ASKED, BUSY, LATER, LEASE, LOST, NEW, OTHER_TOKEN, OURS, a_sighting, refunds, voids
from tests.unit.step_text import told

FILE: Final = Path(__file__).with_name("whole_steps.txt")
FUNDS: Final = Decline(code=NeutralCode.INSUFFICIENT_FUNDS, raw_code="51")

# No sound database has it in a state that is not owned; a step that takes money releases it all the same.
HELD: Final[dict[str, Any]] = {"claim_token": TOKEN, "lease_until": NOW, "on_wire": True}

Case = tuple[str, Step | Refused | None, Sequence[Attempt]]


def text() -> str:
    return "".join(f"{name}\n{told(given, attempts)}\n" for name, given, attempts in _cases())


# --- The decisions ----------------------------------------------------------------------------------------------------


def _cases() -> Iterator[Case]:
    yield from _claims()
    yield from _answers()
    yield from _time()
    yield from _money()
    yield from _looks()
    yield from voids()
    yield from refunds()
    yield from _people()


def _new(n: int = 3) -> NewAttempt:
    return NewAttempt(id=NEW, token=OTHER_TOKEN, reference=f"test-1-{n}", request_text="{new}", lease=LEASE)


def _claims() -> Iterator[Case]:
    queued = a_payment(State.QUEUED)
    yield "claim", claiming.claim(queued, _new(), now=NOW), ()
    yield "skip", claiming.skip(queued, Reason.INVOICE_CLOSED, now=NOW), ()
    yield "cancel", claiming.cancel(queued, by="pat", now=LATER), ()
    yield "cancel what was asked for before", claiming.cancel(a_payment(**ASKED), by="sam", now=LATER), ()


def _answers() -> Iterator[Case]:
    open_twice = {"open_sends": 2, "sends": 2, "lookups": 1}
    reviewed = {"review_reason": "look at it"}
    for name, given, payment, attempt in (
        ("approved", Approved(processor_ref="ref", history_ref="history"), {}, {}),
        ("approved, void asked for", Approved(processor_ref="ref"), ASKED, {}),
        ("settled", Settled(processor_ref="ref", history_ref="history"), {}, {}),
        ("settled, void asked for", Settled(processor_ref="ref"), ASKED, {}),
        ("processing", Processing(processor_ref="ref"), {}, {"lookups": 2}),
        ("declined", Declined(decline=FUNDS, processor_ref="ref"), {}, open_twice),
        ("refused", BUSY, {}, {}),
        (
            "refused, to wait",
            NotExecuted(code="429", blame=Blame.NOTHING, detail="", retry_after=timedelta(minutes=3)),
            {},
            {},
        ),
        (
            "refused, to wait for an hour",
            NotExecuted(code="429", blame=Blame.NOTHING, detail="", retry_after=timedelta(hours=1)),
            {},
            {},
        ),
        ("refused for the first time", BUSY, {"attempts": 1}, {}),
        ("refused for the last time", BUSY, {"attempts": 5}, {}),
        ("refused with another send open", BUSY, reviewed, open_twice),
        ("refused, void asked for", BUSY, ASKED, {}),
        ("refused while a person looks", BUSY, reviewed, {}),
        ("refused: the method", NotExecuted(code="expired", blame=Blame.METHOD, detail="no"), reviewed, {}),
        ("refused: the merchant", NotExecuted(code="300", blame=Blame.MERCHANT, detail="no"), {}, {}),
        ("refused: we", NotExecuted(code="400", blame=Blame.US, detail="no"), reviewed, {}),
        ("no answer", LOST, reviewed, {"lookups": 1}),
        ("no answer, ours to look at", OURS, {}, {}),
    ):
        yield from _answer(f"owner: {name}", given, a_payment(State.SENDING, **payment), **attempt)
    unknown = a_payment(State.UNKNOWN, claim_token=TOKEN)
    yield from _answer("owner, late: no answer", LOST, unknown)
    yield from _answer("owner, late: declined", Declined(decline=FUNDS), unknown)
    for name, other in (("declined", Declined(decline=FUNDS)), ("refused", BUSY), ("no answer", LOST)):
        yield from _answer(f"somebody else: {name}", other, a_payment(State.SENDING, claim_token=OTHER_TOKEN))
    settled = a_payment(State.SETTLED, claim_token=TOKEN)
    yield "a decline of what is settled", charging.declined(settled, a_charge(settled), FUNDS, "ref", now=NOW), ()


def _answer(name: str, given: Any, payment: Payment, **attempt: Any) -> Iterator[Case]:
    charge = a_charge(payment, **attempt)
    yield name, charging.answered(payment, charge, given, token=TOKEN, now=NOW), (charge,)


def _time() -> Iterator[Case]:
    unknown = a_payment(State.UNKNOWN, on_wire=True, lease_until=NOW, claim_token=TOKEN)
    charge = a_charge(unknown)
    yield "the lease is over", charging.lease_over(a_payment(State.SENDING), now=NOW), ()
    yield "the wire is free", charging.wire_free(unknown), ()
    again = charging.resend(a_payment(State.UNKNOWN), charge, token=OTHER_TOKEN, lease=LEASE, now=LATER)
    yield "resend", again, (charge,)
    for name, payment in (("", {}), (", void asked for", ASKED)):
        given = a_payment(State.UNKNOWN, **payment)
        step = sightings.absent(given, a_charge(given), as_of=NOW, now=NOW)
        yield f"absent on the same day{name}", step, (a_charge(given),)
        step = sightings.absent(given, a_charge(given, outcome_code="timeout"), as_of=LATER, now=LATER)
        yield f"absent days later{name}", step, (a_charge(given),)


def _money() -> Iterator[Case]:
    for settled in (False, True):
        money = taken.Money(settled=settled, processor_ref="seen", history_ref=None)
        for state in State:
            payment = a_payment(state)
            charge = a_charge(payment, history_ref="known")
            name = f"money {'settled' if settled else 'approved'}"
            yield f"{name}: {state}", taken.money_taken(payment, charge, money, now=LATER), (charge,)
            older = an_older_charge()
            yield f"{name}, an older attempt's: {state}", taken.money_taken(payment, older, money, now=LATER), (older,)
        for state in (State.QUEUED, State.DECLINED, State.VOIDED):
            payment = a_payment(state, invoice_held=True, review_reason="look at it")
            charge = a_charge(payment)
            yield f"{name}, another pays: {state}", taken.money_taken(payment, charge, money, now=NOW), (charge,)
        asked = a_payment(State.CANCELED, **ASKED)
        yield (
            f"{name}, void asked for: canceled",
            taken.money_taken(asked, a_charge(asked), money, now=NOW),
            (a_charge(asked),),
        )
    held = a_payment(State.DECLINED, **HELD)
    money = taken.Money(settled=True, processor_ref="seen", history_ref=None)
    yield "money of what is not released", taken.money_taken(held, a_charge(held), money, now=NOW), (a_charge(held),)
    for outcome in ("approved", "settled"):
        paid = an_older_charge(outcome=outcome, processor_ref="ref", history_ref="history", surplus_at=NOW)
        yield (
            f"the older attempt pays: {outcome}",
            taken.surplus_pays(a_payment(State.DECLINED), paid, now=NOW),
            (paid,),
        )
    settled_after_void = a_payment(State.VOIDED, invoice_held=True)
    known = a_charge(settled_after_void, surplus_at=NOW)
    money = taken.Money(settled=True, processor_ref="seen", history_ref=None)
    yield "money settled again after a void", taken.money_taken(settled_after_void, known, money, now=NOW), (known,)
    older = an_older_charge(surplus_at=NOW)
    yield (
        "money of an older attempt, known",
        taken.money_taken(a_payment(State.SETTLED), older, money, now=NOW),
        (older,),
    )
    for state in (State.SENDING, State.QUEUED):
        payment = a_payment(state)
        charge = a_charge(payment)
        yield f"processing: {state}", taken.processing(payment, charge, "ref", now=NOW), (charge,)


def _looks() -> Iterator[Case]:
    for seen in (Seen.PROCESSING, Seen.DECLINED, Seen.VOIDED, Seen.REFUNDED, Seen.OTHER):
        for state in (State.SENDING, State.UNKNOWN, State.PROCESSING, State.SETTLED, State.VOIDING, State.QUEUED):
            payment = a_payment(state)
            charge = a_charge(payment, history_ref="known")
            yield (
                f"seen {seen}: {state}",
                sightings.seen(payment, charge, a_sighting(seen), unchanged=True, now=LATER),
                (charge,),
            )
    held = a_payment(State.PROCESSING, **HELD)
    charge = a_charge(held, open_sends=1)
    given_back = sightings.seen(held, charge, a_sighting(Seen.REFUNDED), unchanged=True, now=NOW)
    yield "seen refunded: processing, not released", given_back, (charge,)
    unknown = a_payment(State.UNKNOWN)
    charge = a_charge(unknown)
    yield (
        "seen with another amount",
        sightings.seen(unknown, charge, a_sighting(Seen.SETTLED, 4_999), unchanged=True, now=NOW),
        (charge,),
    )
    for name, payment, now in (
        ("soon", unknown, NOW),
        ("after two days", unknown, NOW + timedelta(hours=48)),
        ("after two days, again", unknown._replace(review_reason=sightings.STAYS_UNKNOWN), NOW + timedelta(hours=48)),
        ("after two days, processing", a_payment(State.PROCESSING), NOW + timedelta(hours=48)),
    ):
        yield (
            f"a look that tells nothing {name}",
            sightings.looked(payment, charge, detail="not found", now=now),
            (charge,),
        )


def _people() -> Iterator[Case]:
    for state in State:
        payment = a_payment(state, review_reason="look at it")
        charge = a_charge(payment)
        shown = Found(sighting=a_sighting(Seen.SETTLED))
        yield f"a person, charged: {state}", resolving.charged(payment, charge, shown, "seen", now=NOW), (charge,)
        said = resolving.acknowledged(payment, charge, by="pat", surplus=False, now=NOW)
        yield f"a person, acknowledged: {state}", said, (charge,)
        yield f"a person, not executed: {state}", resolving.not_executed(payment, charge, as_of=NOW, now=NOW), (charge,)
    unknown = a_payment(State.UNKNOWN)
    charge = a_charge(unknown)
    for name, look, said in (
        ("nothing there", NotFound(as_of=NOW), "seen"),
        ("no look", LookupFailed(code="500", detail="no"), "seen"),
        ("another number", Found(sighting=a_sighting(Seen.SETTLED)), "other"),
        ("another amount", Found(sighting=a_sighting(Seen.SETTLED, 4_999)), "seen"),
        ("no money", Found(sighting=a_sighting(Seen.DECLINED)), "seen"),
    ):
        yield f"a person, charged, {name}", resolving.charged(unknown, charge, look, said, now=NOW), (charge,)
    nothing = resolving.acknowledged(a_payment(State.SETTLED), charge, by="pat", surplus=False, now=NOW)
    yield "a person, acknowledged, not on the list", nothing, ()
    twice = a_payment(State.SETTLED, review_reason="look at it")
    yield (
        "a person, acknowledged, paid twice",
        resolving.acknowledged(twice, charge, by="pat", surplus=True, now=NOW),
        (),
    )
    waits = a_payment(State.APPROVED, review_reason="look at it", next_check_at=None)
    yield (
        "closed",
        resolving.closed(waits, a_charge(waits), Verdict.ACKNOWLEDGED, by="pat", now=NOW),
        (a_charge(waits),),
    )


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
    sys.stdout.write(f"{FILE}\n")
