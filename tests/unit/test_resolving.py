"""What a person may decide about a payment under review, and what must be shown first."""

from dataclasses import replace
from typing import Any

import pytest

from shared.domain import resolving, sightings
from shared.domain.answers import Found, LookupAnswer, LookupFailed, NotFound, Seen, Sighting
from shared.domain.payment import LIVE, NEVER_CHARGED, State
from shared.domain.resolving import Refused, Verdict
from shared.domain.schedule import SETTLEMENT_CHECK, UNKNOWN_LONGEST
from shared.domain.snapshot import Step
from shared.domain.taken import Money, money_taken
from shared.domain.words import ProcessorName
from tests.snapshots import NOW, a_charge, a_payment, an_older_charge

MONEY = Sighting(seen=Seen.SETTLED, reference="test-1-2", processor_ref="ref-9", history_ref=None, amount_minor=5_000)
STATES = pytest.mark.parametrize("state", State)


def reviewed(state: State, **fields: Any) -> Any:
    return a_payment(state, review_reason="why", **fields)


def charged(state: State, look: LookupAnswer, reference: str = "ref-9") -> Step | Refused:
    payment = reviewed(state)
    return resolving.charged(payment, a_charge(payment), look, reference, now=NOW)


@STATES
def test_charged_is_believed_where_a_charge_is_missing(state: State) -> None:
    decided = charged(state, Found(sighting=MONEY))
    missing = state in {State.SENDING, State.UNKNOWN, State.PROCESSING, *NEVER_CHARGED}
    assert isinstance(decided, Step if missing else Refused)
    if isinstance(decided, Step):
        assert decided.after.state is State.SETTLED
        assert decided.attempt
        assert decided.attempt.processor_ref == "ref-9"


@pytest.mark.parametrize(
    "look",
    [
        NotFound(as_of=NOW),
        LookupFailed(code="timeout", detail=""),
        Found(sighting=replace(MONEY, processor_ref="ref-8")),
        Found(sighting=replace(MONEY, amount_minor=4_999)),
        *(Found(sighting=replace(MONEY, seen=seen)) for seen in Seen if seen not in {Seen.APPROVED, Seen.SETTLED}),
    ],
)
def test_charged_is_refused_unless_the_lookup_shows_exactly_that_money(look: LookupAnswer) -> None:
    assert isinstance(charged(State.UNKNOWN, look), Refused)


def test_money_of_an_older_attempt_moves_nothing_and_is_kept_all_the_same() -> None:
    payment = reviewed(State.UNKNOWN)
    older = an_older_charge()
    shown = Found(sighting=replace(MONEY, reference=older.reference))
    decided = resolving.charged(payment, older, shown, "ref-9", now=NOW)
    money = Money(settled=True, processor_ref="ref-9", history_ref=None)
    assert decided == money_taken(payment, older, money, now=NOW)
    assert isinstance(decided, Step)
    assert decided.attempt
    assert decided.attempt.surplus_at == NOW
    again = resolving.charged(decided.after, decided.attempt, shown, "ref-9", now=NOW)
    assert again == Refused("this was known already")


@STATES
def test_not_executed_ends_an_unknown_payment_only(state: State) -> None:
    payment = reviewed(state)
    decided = resolving.not_executed(payment, a_charge(payment), as_of=NOW, now=NOW)
    assert isinstance(decided, Step if state is State.UNKNOWN else Refused)
    if isinstance(decided, Step):
        assert decided.after.state is State.FAILED, "a payment under review is never sent again by itself"


@STATES
def test_what_is_still_open_cannot_be_acknowledged(state: State) -> None:
    payment = reviewed(state)
    decided = resolving.acknowledged(payment, a_charge(payment), by="pat", surplus=False, now=NOW)
    is_open = state is State.SURPLUS or state in set(LIVE) - {State.APPROVED, State.SETTLED}
    assert isinstance(decided, Refused if is_open else Step)
    if isinstance(decided, Step):
        assert (decided.after.state, decided.after.review_reason) == (state, None)


def test_what_is_acknowledged_before_it_settled_is_looked_for_again() -> None:
    payment = reviewed(State.APPROVED, next_check_at=None)
    decided = resolving.acknowledged(payment, a_charge(payment), by="pat", surplus=False, now=NOW)
    assert isinstance(decided, Step)
    assert decided.after.next_check_at == NOW + SETTLEMENT_CHECK


def test_a_payment_that_took_money_twice_cannot_be_acknowledged() -> None:
    payment = reviewed(State.SETTLED)
    assert isinstance(resolving.acknowledged(payment, a_charge(payment), by="pat", surplus=True, now=NOW), Refused)


def test_a_payment_that_is_not_under_review_cannot_be_acknowledged() -> None:
    payment = a_payment(State.SETTLED)
    assert isinstance(resolving.acknowledged(payment, a_charge(payment), by="pat", surplus=False, now=NOW), Refused)


CHARGED_OR_NOT = (Verdict.CHARGED, Verdict.NOT_EXECUTED)
CHARGED_AFTER_ALL = (Verdict.ACKNOWLEDGED, Verdict.CHARGED)


def test_what_may_be_said_depends_on_the_state() -> None:
    assert {state: resolving.verdicts(state) for state in State} == {
        State.QUEUED: (),
        State.SENDING: CHARGED_OR_NOT,
        State.UNKNOWN: CHARGED_OR_NOT,
        State.PROCESSING: CHARGED_OR_NOT,
        State.APPROVED: (Verdict.ACKNOWLEDGED,),
        State.SETTLED: (Verdict.ACKNOWLEDGED,),
        State.VOIDING: (),
        State.REFUNDING: (),
        State.DECLINED: CHARGED_AFTER_ALL,
        State.FAILED: CHARGED_AFTER_ALL,
        State.SKIPPED: CHARGED_AFTER_ALL,
        State.CANCELED: CHARGED_AFTER_ALL,
        State.VOIDED: (Verdict.ACKNOWLEDGED,),
        State.REFUNDED: (Verdict.ACKNOWLEDGED,),
        State.SURPLUS: (),
    }


LOOK_AT_STRIPE = "Look for the reference in Stripe's dashboard: resolve as charged with its number, or as not executed."
LOOK_AT_VANTAGE = "Look for the reference in Vantage's reports: resolve as charged with its number, or as not executed."
COMPARE_RETURNED = "The money went back: compare it with the processor's books, then acknowledge it."
COMPARE_TAKEN = "The money was taken: compare it with the invoice, tell the client, then acknowledge it."
COMPARE_UNTAKEN = "Nothing was charged: compare it with the processor's books, then acknowledge it."
UNDER_WAY = "It is under way: wait until it is over."
SUGGESTIONS = {
    State.QUEUED: "It is not sent while an earlier attempt may still take money: wait for that one, or void it.",
    State.SENDING: LOOK_AT_VANTAGE,
    State.UNKNOWN: LOOK_AT_VANTAGE,
    State.PROCESSING: "The bank has not answered: look for the reference at Stripe before anything else.",
    State.APPROVED: COMPARE_TAKEN,
    State.SETTLED: COMPARE_TAKEN,
    State.VOIDING: UNDER_WAY,
    State.REFUNDING: UNDER_WAY,
    State.DECLINED: COMPARE_UNTAKEN,
    State.FAILED: "Nothing was charged: correct what was refused, then acknowledge it and charge again.",
    State.SKIPPED: COMPARE_UNTAKEN,
    State.CANCELED: COMPARE_UNTAKEN,
    State.VOIDED: COMPARE_RETURNED,
    State.REFUNDED: COMPARE_RETURNED,
    State.SURPLUS: "The client paid twice: give the surplus back.",
}


@STATES
def test_every_state_has_its_suggestion_which_names_where_to_look(state: State) -> None:
    at_vantage = SUGGESTIONS[state]
    at_stripe = LOOK_AT_STRIPE if at_vantage == LOOK_AT_VANTAGE else at_vantage
    assert resolving.suggestion(state, ProcessorName.VANTAGE) == at_vantage
    assert resolving.suggestion(state, ProcessorName.STRIPE) == at_stripe


@pytest.mark.parametrize(
    ("state", "age", "asks"),
    [
        (State.UNKNOWN, UNKNOWN_LONGEST, True),
        (State.UNKNOWN, UNKNOWN_LONGEST * 0.99, False),
        # A bank may take days, and its answer comes.
        (State.PROCESSING, UNKNOWN_LONGEST * 3, False),
    ],
)
def test_people_are_asked_when_looking_should_have_helped(state: State, age: Any, *, asks: bool) -> None:
    payment = a_payment(state)
    step = sightings.looked(payment, a_charge(payment, last_send_at=NOW - age), detail="not found", now=NOW)
    assert (step.after.review_reason is not None) == asks
    assert (step.finding is not None) == asks
    again = sightings.looked(step.after, a_charge(payment, last_send_at=NOW - age), detail="not found", now=NOW)
    assert again.after.review_reason == step.after.review_reason
    assert again.finding is None
