"""The transition table against the protocol's, written out by hand: section 3, row by row."""

from itertools import product

import pytest

from shared.domain.machine import IllegalTransitionError, after, sources
from shared.domain.payment import LIVE, TABLE, TAKEN, UNFINISHED, Event, State, check

PAID_AFTER_ALL = "approved settled voiding surplus"
EXPECTED = {
    ("queued", "claim"): "sending",
    ("queued", "skip"): "skipped",
    ("queued", "cancel"): "canceled",
    ("queued", "evidence_paid"): PAID_AFTER_ALL,
    ("sending", "approve"): "approved voiding",
    ("sending", "settle"): "settled",
    ("sending", "process"): "processing",
    ("sending", "decline"): "declined",
    ("sending", "not_executed"): "canceled queued failed",
    ("sending", "lose_track"): "unknown",
    ("sending", "mark_void"): "sending",
    ("sending", "seen_voided"): "voided",
    ("sending", "seen_refunded"): "refunded",
    ("unknown", "approve"): "approved voiding",
    ("unknown", "settle"): "settled",
    ("unknown", "process"): "processing",
    ("unknown", "decline"): "declined",
    ("unknown", "not_executed"): "canceled queued failed",
    ("unknown", "resend"): "sending",
    ("unknown", "mark_void"): "unknown",
    ("unknown", "seen_voided"): "voided",
    ("unknown", "seen_refunded"): "refunded",
    ("processing", "settle"): "settled",
    ("processing", "decline"): "declined",
    ("approved", "settle"): "settled",
    ("approved", "request_void"): "voiding",
    ("approved", "seen_voided"): "voided",
    ("approved", "seen_refunded"): "refunded",
    ("settled", "request_refund"): "refunding",
    ("settled", "seen_voided"): "voided",
    ("settled", "seen_refunded"): "refunded",
    ("voiding", "confirm_void"): "voided",
    ("voiding", "too_late"): "settled",
    ("voiding", "void_open"): "voiding",
    ("refunding", "confirm_refund"): "refunded",
    ("refunding", "reject_refund"): "settled",
    ("refunding", "refund_open"): "refunding",
    ("declined", "evidence_paid"): PAID_AFTER_ALL,
    ("failed", "evidence_paid"): PAID_AFTER_ALL,
    ("skipped", "evidence_paid"): PAID_AFTER_ALL,
    ("canceled", "evidence_paid"): PAID_AFTER_ALL,
    ("voided", "seen_settled"): "settled",
    ("refunded", "refund_failed"): "settled",
    ("surplus", "request_void"): "voiding",
    ("surplus", "request_refund"): "refunding",
} | {(state, "observe"): state for state in (
    "queued", "sending", "unknown", "processing", "approved", "settled", "voiding", "refunding",
    "declined", "failed", "skipped", "canceled", "voided", "refunded", "surplus",
)}  # fmt: skip


@pytest.mark.parametrize("state", State)
def test_every_event_leads_from_this_state_exactly_where_the_protocol_says(state: State) -> None:
    walked = {event: after(TABLE, state, event) for event in Event}
    assert walked == {event: frozenset(EXPECTED.get((state, event), "").split()) for event in Event}


def test_the_expected_table_names_only_states_and_events_that_exist() -> None:
    assert {state for state, _ in EXPECTED} == set(State)
    assert {event for _, event in EXPECTED} == set(Event)


def test_a_step_outside_of_the_table_is_an_error() -> None:
    allowed = 0
    for source, event, target in product(State, Event, State):
        if target in EXPECTED.get((source, event), "").split():
            allowed += 1
            check(source, event, target)
        else:
            with pytest.raises(IllegalTransitionError, match=f"{source} --{event}--> {target}"):
                check(source, event, target)
    assert allowed == len(TABLE)


@pytest.mark.parametrize(
    ("source", "target"),
    [("processing", "unknown"), ("voiding", "approved"), ("approved", "refunding"), ("unknown", "queued_by_time")],
)
def test_the_steps_that_the_protocol_struck_are_not_there(source: str, target: str) -> None:
    assert not [step for step in TABLE if (step.source, step.target) == (source, target)]


def test_only_a_queued_payment_is_claimed_and_only_an_unknown_one_is_sent_again() -> None:
    assert sources(TABLE, Event.CLAIM) == ("queued",)
    assert sources(TABLE, Event.RESEND) == ("unknown",)


def test_each_set_of_states_is_what_the_protocol_says() -> None:
    always = {"queued", "sending", "unknown", "processing", "approved", "voiding", "refunding"}
    assert set(LIVE) == always | {"settled"}
    assert set(UNFINISHED) == always | {"surplus"}
    assert set(TAKEN) == {"approved", "settled", "voiding", "refunding"}


def test_every_step_of_the_table_that_is_decided_says_when_it_is_taken() -> None:
    assert [step for step in TABLE if not step.guard] == []
