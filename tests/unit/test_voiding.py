"""What asking for a void does, and what the void's answers and looks do; traces are the protocol's, section 1."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain import returning, voiding
from shared.domain.answers import Blame, NotExecuted, Seen, Sighting, Unknown, VoidAnswer, VoidConfirmed, VoidRefused
from shared.domain.payment import Event, State
from shared.domain.reasons import Reason
from shared.domain.snapshot import Step
from shared.domain.voiding import VoidResult
from shared.domain.words import AttemptKind, ProcessorName
from tests.snapshots import CHARGE, LEASE, NOW, TOKEN, a_charge, a_new_return, a_payment, a_sighting, a_void

TOO_LATE = VoidRefused(code="51", detail="too late")
ALREADY = VoidRefused(code="90", detail="already")
BROKEN = NotExecuted(code="connect", blame=Blame.NOTHING, detail="connection refused")
LOST = Unknown(code="timeout", detail="no answer")


def voiding_payment(**fields: Any) -> Any:
    given_fields = {"claim_token": TOKEN, "lease_until": NOW + LEASE, "attempts": 3} | fields
    return a_payment(State.VOIDING, **given_fields)


def answer(given_answer: VoidAnswer, token: UUID = TOKEN) -> Step | None:
    return voiding.answered(voiding_payment(), a_void(), given_answer, token=token, now=NOW)


@pytest.mark.parametrize(
    ("state", "result", "target"),
    [
        (State.QUEUED, VoidResult.CANCELED, State.CANCELED),
        (State.SENDING, VoidResult.MARKED, State.SENDING),
        (State.UNKNOWN, VoidResult.MARKED, State.UNKNOWN),
        (State.APPROVED, VoidResult.VOIDING, State.VOIDING),
        (State.VOIDING, VoidResult.ALREADY_ASKED, None),
        (State.PROCESSING, VoidResult.TOO_LATE, None),
        (State.SETTLED, VoidResult.TOO_LATE, None),
        (State.REFUNDING, VoidResult.REFUNDING, None),
        (State.DECLINED, VoidResult.NOTHING_TO_VOID, None),
        (State.FAILED, VoidResult.NOTHING_TO_VOID, None),
        (State.SKIPPED, VoidResult.NOTHING_TO_VOID, None),
        (State.CANCELED, VoidResult.NOTHING_TO_VOID, None),
        (State.VOIDED, VoidResult.NOTHING_TO_VOID, None),
        (State.REFUNDED, VoidResult.NOTHING_TO_VOID, None),
        (State.SURPLUS, VoidResult.VOIDING, State.VOIDING),
    ],
)
def test_trace_16_asking_does_something_in_every_state(state: State, result: VoidResult, target: State | None) -> None:
    told, step = voiding.ask(a_payment(state), by="user-1", now=NOW)
    assert told is result
    assert (step.after.state if step else None) == target
    if step:
        assert (step.after.void_requested_at, step.after.void_requested_by) == (NOW, "user-1")


def test_every_result_has_words_and_what_is_too_late_names_the_refund() -> None:
    assert all(voiding.words(result).what and voiding.words(result).fix for result in VoidResult)
    for result in (VoidResult.TOO_LATE, VoidResult.NO_VOID):
        assert voiding.words(result).fix == "Refund it instead."


@pytest.mark.parametrize("state", [State.SENDING, State.UNKNOWN])
def test_asking_twice_while_charging_marks_once(state: State) -> None:
    _, step = voiding.ask(a_payment(state), by="user-1", now=NOW)
    assert step
    assert voiding.ask(step.after, by="user-2", now=NOW) == (VoidResult.ALREADY_ASKED, None)


def test_stripe_has_no_void_but_a_queued_payment_can_be_taken_out() -> None:
    stripe = {"processor": ProcessorName.STRIPE}
    for state in (State.PROCESSING, State.SETTLED, State.SURPLUS):
        assert voiding.ask(a_payment(state, **stripe), by="u", now=NOW) == (VoidResult.NO_VOID, None)
    assert voiding.ask(a_payment(State.QUEUED, **stripe), by="u", now=NOW)[0] is VoidResult.CANCELED


def test_trace_9_a_void_is_an_attempt_with_its_own_claim() -> None:
    payment = a_payment(State.VOIDING)
    step = returning.claim(payment, a_charge(payment), a_new_return(AttemptKind.VOID), now=NOW)
    assert step.attempt
    assert (step.attempt.kind, step.attempt.parent_id, step.attempt.open_sends) == (AttemptKind.VOID, CHARGE, 1)
    assert (step.after.claim_token, step.after.lease_until) == (UUID(int=8), NOW + LEASE)
    assert step.after.current_attempt == CHARGE
    assert step.after.attempts == 3


def test_a_void_that_is_sent_again_has_one_more_open_send() -> None:
    step = returning.claim_again(a_payment(State.VOIDING), a_void(), token=UUID(int=8), lease=LEASE, now=NOW)
    assert step.attempt
    assert (step.attempt.id, step.attempt.sends, step.attempt.open_sends) == (a_void().id, 2, 2)


@pytest.mark.parametrize("given_answer", [TOO_LATE, ALREADY, BROKEN, LOST])
def test_trace_11_only_a_look_decides_after_anything_but_a_confirmation(given_answer: VoidAnswer) -> None:
    step = answer(given_answer)
    assert step
    assert (step.event, step.after.state) == (Event.VOID_OPEN, State.VOIDING)
    assert step.after.claim_token is None
    assert step.attempt
    assert step.attempt.open_sends == (1 if given_answer is LOST else 0)
    assert step.attempt.outcome is None


@pytest.mark.parametrize("token", [TOKEN, UUID(int=99)])
def test_a_confirmation_is_believed_from_anyone(token: UUID) -> None:
    step = answer(VoidConfirmed(), token)
    assert step
    assert step.after.state is State.VOIDED
    assert step.attempt
    assert step.attempt.outcome == "confirmed"


@pytest.mark.parametrize("given_answer", [TOO_LATE, BROKEN, LOST])
def test_a_negative_answer_of_somebody_else_moves_nothing(given_answer: VoidAnswer) -> None:
    step = answer(given_answer, UUID(int=99))
    assert step
    assert (step.event, step.moved, step.after.claim_token) == (Event.OBSERVE, False, TOKEN)
    assert step.attempt == a_void()
    assert step.detail
    assert "late answer" in step.detail["fact"]


@pytest.mark.parametrize("state", [State.REFUNDING, State.REFUNDED])
def test_a_confirmation_beside_a_refund_is_put_before_a_person(state: State) -> None:
    step = voiding.answered(a_payment(state), a_void(outcome="refused"), VoidConfirmed(), token=TOKEN, now=NOW)
    assert step
    assert (step.moved, step.finding is not None) == (False, True)
    assert "may have got the money back twice" in (step.after.review_reason or "")


@pytest.mark.parametrize("state", [State.VOIDED, State.REFUNDING, State.REFUNDED])
def test_a_confirmation_that_is_known_already_asks_nobody(state: State) -> None:
    known = a_void(outcome="confirmed", open_sends=0, finished_at=NOW)
    assert voiding.answered(a_payment(state), known, VoidConfirmed(), token=TOKEN, now=NOW) is None


@pytest.mark.parametrize(("hours", "asked"), [(47, False), (48, True)])
@pytest.mark.parametrize("given_answer", [TOO_LATE, BROKEN, LOST])
def test_a_void_that_comes_to_no_end_is_put_before_a_person(
    given_answer: VoidAnswer, hours: int, *, asked: bool
) -> None:
    now = NOW + timedelta(hours=hours)
    step = voiding.answered(voiding_payment(), a_void(), given_answer, token=TOKEN, now=now)
    assert step
    assert (step.after.state, step.after.next_check_at is not None) == (State.VOIDING, True)
    assert (step.after.review_reason is not None) == (step.finding is not None) == asked


@pytest.mark.parametrize("seen", [Seen.APPROVED, Seen.PROCESSING, Seen.DECLINED, Seen.OTHER])
def test_trace_12_a_charge_that_is_still_authorised_stays_voiding(seen: Seen) -> None:
    # Neither: between cut-off and settlement neither a void nor a refund works. It never goes back to approved.
    assert voiding.seen(voiding_payment(), a_void(), a_sighting(seen), now=NOW) is None


def test_trace_11_a_charge_seen_voided_or_settled_ends_the_void() -> None:
    voided = voiding.seen(voiding_payment(), a_void(), a_sighting(Seen.VOIDED), now=NOW)
    settled = voiding.seen(voiding_payment(), a_void(), a_sighting(Seen.SETTLED), now=NOW)
    assert voided
    assert settled
    assert voided.after.state is State.VOIDED
    assert (settled.event, settled.after.state) == (Event.TOO_LATE, State.SETTLED)
    assert settled.after.reason_code == Reason.TOO_LATE_TO_VOID


def test_trace_11_a_charge_refunded_in_the_dashboard_ends_the_void_and_is_reviewed() -> None:
    step = voiding.seen(voiding_payment(), a_void(), a_sighting(Seen.REFUNDED), now=NOW)
    assert step
    assert (step.event, step.after.state) == (Event.TOO_LATE, State.SETTLED)
    assert step.after.review_reason
    assert step.finding
    assert step.finding.kind == "outside_refund"
    assert step.attempt
    assert step.attempt.outcome == "refused"


EVIDENCE = st.one_of(
    st.tuples(
        st.sampled_from([VoidConfirmed(), TOO_LATE, ALREADY, BROKEN, LOST]), st.sampled_from([TOKEN, UUID(int=8)])
    ),
    st.tuples(st.sampled_from(list(Seen)).map(a_sighting), st.none()),
)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(list(State)), st.lists(EVIDENCE, max_size=6))
def test_a_void_ends_voided_or_settled_and_only_a_confirmation_leaves_settled(state: State, history: list[Any]) -> None:
    payment, void = (voiding_payment() if state is State.VOIDING else a_payment(state)), a_void()
    for what, token in history:
        step = (
            voiding.seen(payment, void, what, now=NOW)
            if isinstance(what, Sighting)
            else voiding.answered(payment, void, what, token=token, now=NOW)
        )
        if step:
            late = payment.state is State.SETTLED and isinstance(what, VoidConfirmed)
            assert not step.moved or payment.state is State.VOIDING or (late and step.after.review_reason)
            assert not step.moved or step.after.state in (State.VOIDED, State.SETTLED)
            assert (step.attempt or void).open_sends >= 0
            payment, void = step.after, step.attempt or void


def test_a_confirmation_after_the_charge_was_seen_settled_is_kept_and_reviewed() -> None:
    settled = a_payment(State.SETTLED)
    step = voiding.answered(settled, a_void(), VoidConfirmed(), token=TOKEN, now=NOW)
    assert step
    assert step.after.state is State.VOIDED
    assert step.after.review_reason
    assert step.finding
    assert step.attempt
    assert step.attempt.outcome == "confirmed"
