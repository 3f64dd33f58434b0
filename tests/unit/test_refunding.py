"""What holds a refund back, and what its answers and looks do; traces are the protocol's, section 1."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from shared.domain import refunding, returning, schedule
from shared.domain.answers import (
    Blame,
    Denial,
    Found,
    LookupFailed,
    NotExecuted,
    NotFound,
    RefundAnswer,
    RefundConfirmed,
    RefundDenied,
    RefundRefused,
    Seen,
    Unknown,
)
from shared.domain.payment import Event, State
from shared.domain.reasons import Reason
from shared.domain.snapshot import Step
from shared.domain.words import AttemptKind
from tests.snapshots import CHARGE, LEASE, NOW, TOKEN, a_charge, a_new_return, a_payment, a_refund, a_sighting

CONFIRMED = RefundConfirmed(processor_ref="re-1", history_ref="h-1")
DISPUTED = RefundDenied(code="charge_disputed", denial=Denial.DISPUTED, detail="disputed")
SHORT = RefundDenied(code="563", denial=Denial.FUNDS_SHORT, detail="funds")
ALREADY = RefundRefused(code="590", detail="already")
BROKEN = NotExecuted(code="connect", blame=Blame.NOTHING, detail="connection refused")
OURS = NotExecuted(code="bad_request", blame=Blame.US, detail="what is this")
THEIRS = NotExecuted(code="300", blame=Blame.MERCHANT, detail="credentials")
LOST = Unknown(code="timeout", detail="no answer")
NEGATIVE = [DISPUTED, SHORT, ALREADY, BROKEN, OURS, THEIRS, LOST]
OTHER_TOKEN = UUID(int=99)


def refunding_payment(**fields: Any) -> Any:
    return a_payment(State.REFUNDING, **{"claim_token": TOKEN, "lease_until": NOW + LEASE, "attempts": 3} | fields)


def answer(given: RefundAnswer, *, token: UUID = TOKEN, open_sends: int = 1, **fields: Any) -> Step | None:
    refund = a_refund(open_sends=open_sends, sends=open_sends)
    return refunding.answered(refunding_payment(**fields), refund, given, token=token, now=NOW)


def first_look(look: Any, *, disputed: bool = False, **fields: Any) -> Step | None:
    payment = a_payment(State.REFUNDING)
    return refunding.held_back(payment, a_charge(payment, **fields), look, disputed=disputed, now=NOW)


# --- Before the send --------------------------------------------------------------------------------------------------


def test_trace_9_a_refund_is_an_attempt_with_its_own_claim() -> None:
    payment = a_payment(State.REFUNDING)
    step = returning.claim(payment, a_charge(payment), a_new_return(AttemptKind.REFUND), now=NOW)
    assert step.attempt
    assert (step.attempt.kind, step.attempt.parent_id, step.attempt.open_sends) == (AttemptKind.REFUND, CHARGE, 1)
    assert (step.event, step.after.claim_token, step.after.lease_until) == (
        Event.REFUND_OPEN,
        UUID(int=8),
        NOW + LEASE,
    )
    assert (step.after.current_attempt, step.after.attempts) == (CHARGE, 3)


def test_only_a_settled_charge_of_which_nothing_came_back_is_refunded() -> None:
    assert first_look(Found(sighting=a_sighting(Seen.SETTLED))) is None


@pytest.mark.parametrize(
    "look",
    [
        LookupFailed(code="timeout", detail=""),
        NotFound(as_of=NOW),
        Found(sighting=a_sighting(Seen.APPROVED)),
        Found(sighting=a_sighting(Seen.PROCESSING)),
    ],
)
def test_a_refund_waits_until_a_look_shows_the_charge_settled(look: Any) -> None:
    step = first_look(look)
    assert step
    assert (step.event, step.after.state, step.after.review_reason) == (Event.REFUND_OPEN, State.REFUNDING, None)
    assert step.after.next_check_at == schedule.next_lookup(NOW, 0)
    assert step.attempt
    assert (step.attempt.kind, step.attempt.lookups) == (AttemptKind.CHARGE, 1)


def test_a_refund_that_waits_too_long_is_put_before_a_person() -> None:
    step = first_look(LookupFailed(code="timeout", detail=""), lookups=len(schedule.LOOKUP_STEPS))
    assert step
    assert step.after.review_reason
    assert step.finding


def test_trace_13_what_came_back_before_our_first_send_was_given_back_outside() -> None:
    step = first_look(Found(sighting=a_sighting(Seen.REFUNDED)))
    assert step
    assert (step.event, step.after.state) == (Event.CONFIRM_REFUND, State.REFUNDED)
    assert step.finding
    assert step.finding.kind == "outside_refund"
    assert step.attempt
    assert step.attempt.kind is AttemptKind.CHARGE


@pytest.mark.parametrize("seen", [Seen.VOIDED, Seen.DECLINED, Seen.OTHER])
def test_a_charge_that_stands_otherwise_is_not_refunded_and_a_person_looks(seen: Seen) -> None:
    step = first_look(Found(sighting=a_sighting(seen)))
    assert step
    assert (step.event, step.after.state) == (Event.REJECT_REFUND, State.SETTLED)
    assert step.after.review_reason
    assert step.after.reason_code == Reason.REFUND_REFUSED


def test_a_dispute_that_comes_while_the_refund_waits_ends_it() -> None:
    step = first_look(Found(sighting=a_sighting(Seen.SETTLED)), disputed=True)
    assert step
    assert (step.after.state, step.after.reason_code) == (State.SETTLED, Reason.REFUND_DISPUTED)


# --- The answer -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("token", [TOKEN, OTHER_TOKEN])
def test_a_confirmation_is_believed_from_anyone(token: UUID) -> None:
    step = answer(CONFIRMED, token=token)
    assert step
    assert step.after.state is State.REFUNDED
    assert step.after.claim_token is None
    assert step.attempt
    assert (step.attempt.outcome, step.attempt.processor_ref, step.attempt.history_ref) == ("confirmed", "re-1", "h-1")


@pytest.mark.parametrize("given", NEGATIVE)
def test_a_negative_answer_of_somebody_else_moves_nothing(given: RefundAnswer) -> None:
    step = answer(given, token=OTHER_TOKEN)
    assert step
    assert (step.event, step.moved, step.after.claim_token) == (Event.OBSERVE, False, TOKEN)
    assert step.attempt == a_refund()
    assert step.detail
    assert "late answer" in step.detail["fact"]


@pytest.mark.parametrize(("given", "reason"), [(DISPUTED, Reason.REFUND_DISPUTED), (SHORT, Reason.REFUND_FUNDS_SHORT)])
def test_a_denial_leaves_the_money_with_the_practice_and_says_why(given: RefundAnswer, reason: Reason) -> None:
    step = answer(given)
    assert step
    assert (step.event, step.after.state, step.after.reason_code) == (Event.REJECT_REFUND, State.SETTLED, reason)
    assert step.attempt
    assert (step.attempt.outcome, step.attempt.open_sends) == ("refused", 0)


@pytest.mark.parametrize("given", NEGATIVE)
def test_trace_10_nothing_ends_a_refund_while_another_send_of_it_is_open(given: RefundAnswer) -> None:
    step = answer(given, open_sends=2)
    assert step
    assert (step.event, step.after.state, step.after.claim_token) == (Event.REFUND_OPEN, State.REFUNDING, None)
    assert step.attempt
    assert step.attempt.outcome is None
    assert step.attempt.open_sends == (2 if given is LOST else 1)


def test_trace_10_a_lost_answer_leaves_the_refund_open_for_a_look() -> None:
    step = answer(LOST)
    assert step
    assert (step.after.state, step.after.next_check_at) == (State.REFUNDING, schedule.next_lookup(NOW, 0))
    assert step.attempt
    assert (step.attempt.outcome, step.attempt.open_sends) == (None, 1)


@pytest.mark.parametrize("given", [ALREADY, BROKEN])
def test_what_certainly_did_nothing_is_looked_at_and_tried_again_with_a_new_attempt(given: RefundAnswer) -> None:
    step = answer(given)
    assert step
    assert (step.event, step.after.state) == (Event.REFUND_OPEN, State.REFUNDING)
    assert step.after.next_check_at == NOW + timedelta(seconds=60)
    assert step.attempt
    assert step.attempt.outcome == "refused"


@pytest.mark.parametrize(("given", "reason"), [(ALREADY, Reason.REFUND_REFUSED), (BROKEN, Reason.REFUND_NOT_EXECUTED)])
def test_after_a_few_tries_the_refund_is_given_up(given: RefundAnswer, reason: Reason) -> None:
    step = answer(given, attempts=len(schedule.RETRY_PAUSES) + 1)
    assert step
    assert (step.after.state, step.after.reason_code) == (State.SETTLED, reason)


@pytest.mark.parametrize(("given", "reviewed"), [(OURS, True), (THEIRS, False)])
def test_trouble_that_stays_ends_the_refund(given: RefundAnswer, reviewed: bool) -> None:
    step = answer(given)
    assert step
    assert (step.after.state, step.after.reason_code) == (State.SETTLED, Reason.REFUND_REFUSED)
    assert bool(step.after.review_reason) is reviewed


def test_a_confirmation_after_the_refund_was_given_up_is_kept_and_reviewed() -> None:
    given_up = a_refund(outcome="not_executed")
    step = refunding.answered(a_payment(State.SETTLED), given_up, CONFIRMED, token=TOKEN, now=NOW)
    assert step
    assert (step.event, step.after.state) == (Event.SEEN_REFUNDED, State.REFUNDED)
    assert step.after.review_reason
    assert step.finding


def test_a_second_confirmation_by_another_attempt_is_put_before_a_person() -> None:
    refunded, given_up = a_payment(State.REFUNDED), a_refund(outcome="not_executed")
    step = refunding.answered(refunded, given_up, CONFIRMED, token=TOKEN, now=NOW)
    assert step
    assert (step.event, step.after.state) == (Event.OBSERVE, State.REFUNDED)
    assert step.after.review_reason
    assert refunding.answered(refunded, a_refund(outcome="confirmed"), CONFIRMED, token=TOKEN, now=NOW) is None


def test_the_refund_of_a_surplus_ends_its_review() -> None:
    step = answer(CONFIRMED, surplus_at=NOW, review_reason="money was taken after the payment was failed")
    assert step
    assert (step.after.state, step.after.review_reason) == (State.REFUNDED, None)
    kept = answer(CONFIRMED, review_reason="something else")
    assert kept
    assert kept.after.review_reason == "something else"


# --- Looks at an open refund ------------------------------------------------------------------------------------------


def test_money_that_came_back_while_our_send_is_open_is_our_refund() -> None:
    step = refunding.seen(refunding_payment(), a_refund(), a_sighting(Seen.REFUNDED), now=NOW)
    assert step
    assert (step.after.state, step.finding) == (State.REFUNDED, None)


@pytest.mark.parametrize("seen", [Seen.SETTLED, Seen.APPROVED, Seen.PROCESSING, Seen.DECLINED, Seen.OTHER])
def test_trace_10_that_no_money_came_back_yet_ends_nothing(seen: Seen) -> None:
    assert refunding.seen(refunding_payment(), a_refund(), a_sighting(seen), now=NOW) is None


def test_only_final_absence_gives_an_open_refund_up() -> None:
    step = refunding.absent(refunding_payment(), a_refund(), now=NOW)
    assert step
    assert (step.after.state, step.after.reason_code) == (State.SETTLED, Reason.REFUND_NOT_EXECUTED)
    assert step.attempt
    assert (step.attempt.outcome, step.attempt.absence_final_at) == ("not_executed", NOW)


def test_looks_become_rarer_and_end_with_a_person() -> None:
    soon = refunding.looked(refunding_payment(), a_refund(lookups=1), fact="nothing", now=NOW)
    assert soon
    assert soon.after.next_check_at == schedule.next_lookup(NOW, 2)
    assert soon.after.review_reason is None
    late = NOW + schedule.UNKNOWN_LONGEST
    helpless = refunding.looked(refunding_payment(), a_refund(), fact="nothing", now=late)
    assert helpless
    assert helpless.after.review_reason
    assert helpless.finding


@pytest.mark.parametrize("state", [state for state in State if state is not State.REFUNDING])
def test_a_look_moves_nothing_that_is_not_being_refunded(state: State) -> None:
    payment = a_payment(state)
    assert refunding.seen(payment, a_refund(), a_sighting(Seen.REFUNDED), now=NOW) is None
    assert refunding.looked(payment, a_refund(), fact="nothing", now=NOW) is None
    assert refunding.absent(payment, a_refund(), now=NOW) is None
