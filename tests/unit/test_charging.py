"""What answers, sightings and absence do to a charge; traces are those of the protocol's section 1."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain import charging, sightings
from shared.domain.answers import (
    Approved,
    Blame,
    ChargeAnswer,
    Declined,
    NotExecuted,
    Processing,
    Seen,
    Settled,
    Sighting,
    Unknown,
)  # fmt: skip
from shared.domain.declines import Decline, NeutralCode
from shared.domain.payment import Event, State
from shared.domain.reasons import Reason
from shared.domain.schedule import LOOKUP_STEPS, MERCHANT_HOLD
from shared.domain.snapshot import Attempt, Payment, Step
from shared.domain.taken import money_delta
from tests.snapshots import CHARGE, NOW, OLDER, TOKEN, a_charge, a_payment, an_older_charge

OTHER_TOKEN = UUID(int=8)
DECLINE = Decline(code=NeutralCode.INSUFFICIENT_FUNDS, raw_code="51")
APPROVED = Approved(processor_ref="ref-new", history_ref="history-new")
SETTLED = Settled(processor_ref="ref-new")
DECLINED = Declined(decline=DECLINE)
REFUSED = NotExecuted(code="429", blame=Blame.NOTHING, detail="too many requests")
UNKNOWN = Unknown(code="timeout", detail="no answer")
NOTHING_TAKEN = (State.QUEUED, State.DECLINED, State.FAILED, State.SKIPPED, State.CANCELED)
WITH_MONEY = ("approved", "settled")


def sighting(seen: Seen, **fields: Any) -> Sighting:
    defaults: dict[str, Any] = {
        "seen": seen,
        "reference": "test-1-2",
        "processor_ref": "ref-seen",
        "history_ref": None,
        "amount_minor": 5_000,
        "decline": DECLINE if seen is Seen.DECLINED else None,
    }
    return Sighting(**defaults | fields)


def answer(payment: Payment, given_answer: ChargeAnswer, token: UUID = TOKEN, **attempt: Any) -> Step:
    step = charging.answered(payment, a_charge(payment, **attempt), given_answer, token=token, now=NOW)
    assert step
    return step


def look(payment: Payment, seen: Seen, *, unchanged: bool = True, **attempt: Any) -> Step | None:
    return sightings.seen(payment, a_charge(payment, **attempt), sighting(seen), unchanged=unchanged, now=NOW)


# --- The owner's answers ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_answer", "target"),
    [
        (APPROVED, State.APPROVED),
        (SETTLED, State.SETTLED),
        (Processing(processor_ref="ref-new"), State.PROCESSING),
        (DECLINED, State.DECLINED),
        (REFUSED, State.QUEUED),
        (NotExecuted(code="400", blame=Blame.US, detail="bad"), State.FAILED),
        (NotExecuted(code="expired", blame=Blame.METHOD, detail="bad"), State.FAILED),
        (NotExecuted(code="401", blame=Blame.MERCHANT, detail="bad"), State.QUEUED),
        (UNKNOWN, State.UNKNOWN),
    ],
)
def test_the_owners_answer_decides(given_answer: ChargeAnswer, target: State) -> None:
    after = answer(a_payment(State.SENDING), given_answer).after
    assert after.state is target
    assert after.claim_token is None
    if target is not State.UNKNOWN:
        assert not after.on_wire
        assert after.lease_until is None


def test_the_code_of_an_approval_is_kept_and_the_code_of_a_lost_answer_is_not_taken_for_one() -> None:
    coded = Approved(processor_ref="ref-new", approval_code="A11442")
    taken = [
        answer(a_payment(State.SENDING), coded),
        answer(a_payment(State.SENDING), APPROVED, outcome_code="timeout"),
        look(a_payment(State.APPROVED), Seen.SETTLED, outcome="approved", outcome_code="A11442"),
        sightings.seen(
            a_payment(State.UNKNOWN), a_charge(a_payment(State.UNKNOWN), outcome_code="timeout"),
            sighting(Seen.APPROVED, approval_code="A11442"), unchanged=True, now=NOW,
        ),
    ]  # fmt: skip
    assert [step.attempt.outcome_code for step in taken if step and step.attempt] == [
        "A11442",
        None,
        "A11442",
        "A11442",
    ]


def test_trace_1_a_refused_resend_does_not_close_the_attempt() -> None:
    resent = a_payment(State.SENDING)
    step = answer(resent, REFUSED, open_sends=2, sends=2)
    assert step.after.state is State.UNKNOWN
    assert step.attempt
    assert step.attempt.open_sends == 1
    assert step.attempt.outcome is None
    assert step.after.next_check_at == NOW + LOOKUP_STEPS[0]


def test_trace_4_the_silent_owner_keeps_its_token_so_that_its_late_answer_counts() -> None:
    lost = charging.lease_over(a_payment(State.SENDING), now=NOW).after
    assert (lost.state, lost.claim_token, lost.on_wire, lost.lease_until) == (State.UNKNOWN, TOKEN, False, None)
    assert answer(lost, DECLINED).after.state is State.DECLINED


def test_trace_23_a_lost_answer_keeps_the_card_until_the_request_cannot_be_on_the_wire() -> None:
    lost = answer(a_payment(State.SENDING), UNKNOWN).after
    assert lost.on_wire
    assert lost.lease_until is not None
    free = charging.wire_free(lost).after
    assert (free.state, free.on_wire, free.lease_until) == (State.UNKNOWN, False, None)


def test_an_unknown_answer_that_is_recorded_twice_counts_once() -> None:
    first = answer(a_payment(State.SENDING), UNKNOWN)
    assert first.attempt
    again = charging.answered(first.after, first.attempt, UNKNOWN, token=TOKEN, now=NOW)
    assert again
    assert again.event is Event.OBSERVE
    assert again.attempt == first.attempt


def test_a_refusal_that_is_recorded_twice_closes_one_send_only() -> None:
    first = answer(a_payment(State.SENDING), REFUSED, open_sends=2, sends=2)
    assert first.attempt
    again = charging.answered(first.after, first.attempt, REFUSED, token=TOKEN, now=NOW)
    assert again
    assert again.after.state is State.UNKNOWN
    assert again.attempt
    assert again.attempt.open_sends == 1


@pytest.mark.parametrize("given_answer", [DECLINED, REFUSED, UNKNOWN])
@pytest.mark.parametrize("state", State)
def test_a_negative_answer_of_somebody_else_moves_nothing(state: State, given_answer: ChargeAnswer) -> None:
    step = answer(a_payment(state), given_answer, token=OTHER_TOKEN)
    assert not step.moved
    assert step.attempt == a_charge(a_payment(state))


def test_a_merchants_trouble_waits_as_long_as_its_account_rests() -> None:
    step = answer(a_payment(State.SENDING), NotExecuted(code="401", blame=Blame.MERCHANT, detail="key"))
    assert step.after.due_at == NOW + MERCHANT_HOLD


def test_a_wait_that_the_processor_asks_for_is_kept() -> None:
    wait = timedelta(seconds=42)
    refused = NotExecuted(code="429", blame=Blame.NOTHING, detail="slow down", retry_after=wait)
    assert answer(a_payment(State.SENDING), refused).after.due_at == NOW + wait


def test_attempts_end() -> None:
    step = answer(a_payment(State.SENDING, attempts=5), REFUSED)
    assert (step.after.state, step.after.reason_code) == (State.FAILED, Reason.NOT_EXECUTED)


def test_our_own_wrong_request_is_reviewed() -> None:
    assert answer(a_payment(State.SENDING), NotExecuted(code="400", blame=Blame.US, detail="bad")).after.review_reason


# --- Void was asked for -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_answer", "target"),
    [(REFUSED, State.CANCELED), (APPROVED, State.VOIDING), (SETTLED, State.SETTLED), (DECLINED, State.DECLINED)],
)
def test_trace_17_the_outcome_of_a_marked_payment(given_answer: ChargeAnswer, target: State) -> None:
    marked = a_payment(State.SENDING, void_requested_at=NOW, void_requested_by="user-1")
    step = answer(marked, given_answer)
    assert step.after.state is target
    if target is State.SETTLED:
        assert step.after.reason_code == Reason.TOO_LATE_TO_VOID


def test_trace_17b_a_marked_unknown_is_canceled_when_absence_is_final() -> None:
    marked = a_payment(State.UNKNOWN, void_requested_at=NOW)
    assert sightings.absent(marked, a_charge(marked), as_of=NOW, now=NOW).after.state is State.CANCELED


# --- Absence ----------------------------------------------------------------------------------------------------------


def test_absence_on_the_same_settlement_day_tries_again() -> None:
    unknown = a_payment(State.UNKNOWN)
    step = sightings.absent(unknown, a_charge(unknown), as_of=NOW, now=NOW)
    assert step.after.state is State.QUEUED
    assert step.attempt
    assert step.attempt.absence_final_at == NOW


def test_absence_proven_on_a_later_day_surprises_nobody_with_a_charge() -> None:
    unknown = a_payment(State.UNKNOWN)
    step = sightings.absent(unknown, a_charge(unknown), as_of=NOW + timedelta(days=1), now=NOW)
    assert (step.after.state, step.after.reason_code) == (State.FAILED, Reason.NOT_EXECUTED)


def test_nothing_is_sent_again_by_itself_while_a_person_has_to_look() -> None:
    step = answer(a_payment(State.SENDING, review_reason="attempt 1 took money"), REFUSED)
    assert (step.after.state, step.after.review_reason) == (State.FAILED, "attempt 1 took money")


# --- Money is never dropped -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", NOTHING_TAKEN)
def test_trace_8_a_late_success_is_accepted_for_a_payment_that_was_given_up(state: State) -> None:
    approved, settled = answer(a_payment(state), APPROVED, OTHER_TOKEN), answer(a_payment(state), SETTLED, OTHER_TOKEN)
    assert (approved.event, approved.after.state) == (Event.EVIDENCE_PAID, State.APPROVED)
    assert (settled.event, settled.after.state) == (Event.EVIDENCE_PAID, State.SETTLED)
    assert approved.after.review_reason
    assert settled.after.review_reason
    assert settled.after.on_wire is False


@pytest.mark.parametrize("state", NOTHING_TAKEN)
def test_trace_8_a_late_success_is_surplus_when_another_payment_holds_the_invoice(state: State) -> None:
    step = answer(a_payment(state, invoice_held=True), SETTLED, OTHER_TOKEN)
    assert step.after.state is State.SURPLUS
    assert step.attempt
    assert step.attempt.surplus_at == NOW
    assert step.after.review_reason


@pytest.mark.parametrize("state", NOTHING_TAKEN)
def test_trace_17_a_late_success_of_a_payment_that_should_be_void_is_voided(state: State) -> None:
    assert answer(a_payment(state, void_requested_at=NOW), APPROVED, OTHER_TOKEN).after.state is State.VOIDING


@pytest.mark.parametrize("state", NOTHING_TAKEN)
def test_an_older_attempts_money_is_the_payments_where_no_newer_attempt_took_any(state: State) -> None:
    older = an_older_charge()
    step = charging.answered(a_payment(state), older, SETTLED, token=OTHER_TOKEN, now=NOW)
    assert step
    assert (step.after.state, step.after.current_attempt) == (State.SETTLED, OLDER)
    assert step.after.review_reason
    assert money_delta(step.before, step.after) == 5_000


@pytest.mark.parametrize("state", [state for state in State if state not in NOTHING_TAKEN])
def test_trace_8_an_older_attempts_money_beside_a_newer_attempt_is_surplus(state: State) -> None:
    older = an_older_charge()
    step = charging.answered(a_payment(state), older, APPROVED, token=TOKEN, now=NOW)
    assert step
    assert not step.moved
    assert step.attempt
    assert (step.attempt.surplus_at, step.attempt.outcome) == (NOW, "approved")
    assert step.after.review_reason
    assert step.finding
    assert charging.answered(step.after, step.attempt, APPROVED, token=TOKEN, now=NOW) is None


def test_a_charge_that_settles_after_its_void_is_taken_back_and_reviewed() -> None:
    step = look(a_payment(State.VOIDED), Seen.SETTLED, unchanged=False)
    assert step
    assert (step.event, step.after.state) == (Event.SEEN_SETTLED, State.SETTLED)
    assert step.after.review_reason
    assert step.finding


def test_a_charge_that_settles_after_its_void_leaves_the_invoice_to_the_payment_that_holds_it() -> None:
    step = look(a_payment(State.VOIDED, invoice_held=True), Seen.SETTLED, unchanged=False)
    assert step
    assert not step.moved
    assert step.attempt
    assert step.attempt.surplus_at == NOW
    assert sightings.seen(step.after, step.attempt, sighting(Seen.SETTLED), unchanged=False, now=NOW) is None


def test_another_amount_than_we_sent_moves_nothing_and_is_reviewed_once() -> None:
    payment = a_payment(State.UNKNOWN, review_reason="something else")
    other = sighting(Seen.SETTLED, amount_minor=1)
    step = sightings.seen(payment, a_charge(payment), other, unchanged=True, now=NOW)
    assert step
    assert not step.moved
    assert step.after.review_reason == "something else; the processor shows 1, we sent 5000"
    assert sightings.seen(step.after, a_charge(payment), other, unchanged=True, now=NOW) is None


# --- Looking ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [State.SENDING, State.UNKNOWN, State.APPROVED, State.SETTLED])
def test_trace_22_money_given_back_in_the_dashboard_is_seen(state: State) -> None:
    for seen, target, kind in (
        (Seen.VOIDED, State.VOIDED, "outside_void"),
        (Seen.REFUNDED, State.REFUNDED, "outside_refund"),
    ):
        step = look(a_payment(state), seen, unchanged=False)
        assert step
        assert (step.after.state, step.finding and step.finding.kind) == (target, kind)


def test_a_bank_debit_first_seen_as_refunded_had_settled() -> None:
    step = look(a_payment(State.PROCESSING), Seen.REFUNDED)
    assert step
    assert (step.event, step.after.state) == (Event.SETTLE, State.SETTLED)
    assert step.after.review_reason
    assert step.finding
    assert step.attempt
    again = sightings.seen(step.after, step.attempt, sighting(Seen.REFUNDED), unchanged=False, now=NOW)
    assert again
    assert again.after.state is State.REFUNDED


def test_a_look_that_was_overtaken_cannot_decline() -> None:
    assert look(a_payment(State.UNKNOWN), Seen.DECLINED, unchanged=False) is None
    declined = look(a_payment(State.UNKNOWN), Seen.DECLINED)
    assert declined
    assert declined.after.state is State.DECLINED


def test_trace_24_an_unanswered_look_leaves_a_bank_debit_processing() -> None:
    processing = a_payment(State.PROCESSING)
    step = sightings.looked(processing, a_charge(processing), detail="not found", now=NOW)
    assert step.after.state is State.PROCESSING
    assert step.attempt
    assert step.attempt.lookups == 1


@pytest.mark.parametrize("state", [State.SETTLED, State.REFUNDED, State.DECLINED, State.PROCESSING, State.VOIDING])
def test_processing_that_was_seen_before_the_outcome_is_no_news(state: State) -> None:
    assert look(a_payment(state), Seen.PROCESSING, unchanged=False) is None


@pytest.mark.parametrize("state", [State.QUEUED, State.FAILED, State.CANCELED])
def test_processing_of_an_attempt_that_was_given_up_is_reviewed(state: State) -> None:
    step = look(a_payment(state), Seen.PROCESSING)
    assert step
    assert step.after.review_reason


# --- Any evidence in any order ----------------------------------------------------------------------------------------

ANSWERS = st.sampled_from([
    APPROVED, SETTLED, Processing(processor_ref="ref-new"), DECLINED, REFUSED, UNKNOWN,
    NotExecuted(code="401", blame=Blame.MERCHANT, detail="key"), NotExecuted(code="x", blame=Blame.METHOD, detail="x"),
    NotExecuted(code="400", blame=Blame.US, detail="bad"),
])  # fmt: skip
NEGATIVE = ANSWERS.filter(lambda answer: isinstance(answer, (Declined, NotExecuted, Unknown)))
EVIDENCE = st.one_of(
    st.tuples(st.just("answer"), ANSWERS, st.sampled_from([TOKEN, OTHER_TOKEN]), st.sampled_from([CHARGE, OLDER])),
    st.tuples(
        st.just("look"), st.sampled_from(list(Seen)).map(sighting), st.booleans(), st.sampled_from([CHARGE, OLDER])
    ),
)
PAYMENTS = st.builds(
    lambda state, void, held, owned: a_payment(state)._replace(
        void_requested_at=NOW if void else None,
        invoice_held=held and state in (*NOTHING_TAKEN[1:], State.VOIDED, State.REFUNDED, State.SURPLUS),
        claim_token=TOKEN if state is State.SENDING or (owned and state is State.UNKNOWN) else None,
    ),
    st.sampled_from(list(State)),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)


def take(payment: Payment, attempt: Attempt, evidence: tuple[Any, ...]) -> Step | None:
    kind, what, how, _ = evidence
    if kind == "answer":
        return charging.answered(payment, attempt, what, token=how, now=NOW)
    return sightings.seen(payment, attempt, what, unchanged=how, now=NOW)


def tells_money(evidence: tuple[Any, ...]) -> bool:
    what = evidence[1]
    return isinstance(what, (Approved, Settled)) or (
        isinstance(what, Sighting) and what.seen in (Seen.APPROVED, Seen.SETTLED)
    )


@settings(max_examples=400, deadline=None)
@given(PAYMENTS, st.lists(EVIDENCE, max_size=8))
def test_no_evidence_is_illegal_and_money_is_never_dropped(payment: Payment, history: list[tuple[Any, ...]]) -> None:
    tried = {CHARGE: a_charge(payment), OLDER: an_older_charge()}
    for evidence in history:
        step = take(payment, tried[evidence[3]], evidence)
        if step:
            payment = step.after
            if step.attempt:
                tried[step.attempt.id] = step.attempt
        if tells_money(evidence):
            attempt = tried[evidence[3]]
            assert attempt.outcome in WITH_MONEY
            held = payment.state not in NOTHING_TAKEN
            assert held or (attempt.surplus_at and payment.review_reason)
        money = [attempt for attempt in tried.values() if attempt.outcome in WITH_MONEY]
        assert len(money) < 2 or payment.review_reason


def was_a_bank_debit_seen_refunded(step: Step, evidence: tuple[Any, ...]) -> bool:
    """The one sighting that takes two steps: it settled, and then it was given back."""
    what = evidence[1]
    return step.before.state is State.PROCESSING and isinstance(what, Sighting) and what.seen is Seen.REFUNDED


@settings(max_examples=400, deadline=None)
@given(PAYMENTS, EVIDENCE, EVIDENCE)
def test_recording_the_same_evidence_twice_is_recording_it_once(
    payment: Payment, first: tuple[Any, ...], second: tuple[Any, ...]
) -> None:
    tried = {CHARGE: a_charge(payment), OLDER: an_older_charge()}
    for evidence in (first, second):
        step = take(payment, tried[evidence[3]], evidence)
        if not step:
            continue
        attempt = step.attempt or tried[evidence[3]]
        again = take(step.after, attempt, evidence)
        if again and not was_a_bank_debit_seen_refunded(step, evidence):
            assert again.after == step.after._replace(version=again.after.version)
            assert again.attempt in (None, attempt)
            assert again.finding is None
        payment, tried[attempt.id] = step.after, attempt


@settings(max_examples=200, deadline=None)
@given(PAYMENTS, st.sampled_from([CHARGE, OLDER]), NEGATIVE)
def test_a_late_negative_answer_never_moves_a_payment(payment: Payment, of: UUID, late: ChargeAnswer) -> None:
    attempt = a_charge(payment) if of == CHARGE else an_older_charge()
    step = charging.answered(payment, attempt, late, token=OTHER_TOKEN, now=NOW)
    assert step is None or (not step.moved and step.after.claim_token == payment.claim_token)


def test_money_is_counted_while_it_is_taken_and_not_given_back() -> None:
    def delta(before: State, after: State, **fields: Any) -> int:
        return money_delta(a_payment(before, amount_minor=700, **fields), a_payment(after, amount_minor=700, **fields))

    assert delta(State.SENDING, State.APPROVED) == 700
    assert delta(State.APPROVED, State.SETTLED) == 0
    assert delta(State.VOIDING, State.VOIDED) == -700
    assert delta(State.FAILED, State.SURPLUS) == 0


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (State.SURPLUS, State.VOIDING),
        (State.VOIDING, State.VOIDED),
        (State.VOIDING, State.SETTLED),
        (State.SETTLED, State.REFUNDING),
        (State.REFUNDING, State.REFUNDED),
    ],
)
def test_what_is_given_back_of_a_surplus_was_never_the_invoices(before: State, after: State) -> None:
    assert money_delta(a_payment(before, surplus_at=NOW), a_payment(after, surplus_at=NOW)) == 0
