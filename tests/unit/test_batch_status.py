from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.batch import BatchStatus, Group, Posting, StateCount, Tally, group, status, tally
from shared.domain.payment import LIVE, State

S, B = State, BatchStatus


def of(*states: State) -> Tally:
    return tally(StateCount(state, in_review=False, payments=1, amount_minor=100) for state in states)


@pytest.mark.parametrize(
    ("states", "void_requested", "expected"),
    [
        ([S.QUEUED], False, B.PROCESSING),
        ([S.QUEUED, S.APPROVED], False, B.PROCESSING),
        ([S.SENDING, S.CANCELED], True, B.VOIDING),
        ([S.PROCESSING], False, B.PROCESSING),
        ([S.SURPLUS, S.SETTLED], False, B.PROCESSING),
        ([S.APPROVED, S.VOIDING], False, B.VOIDING),
        ([S.SETTLED, S.REFUNDING], False, B.VOIDING),
        ([S.UNKNOWN, S.REFUNDING], False, B.PROCESSING),
        ([S.APPROVED, S.SETTLED], False, B.COMPLETED),
        ([S.SETTLED], True, B.COMPLETED),
        ([S.APPROVED, S.DECLINED], False, B.COMPLETED_WITH_ERRORS),
        ([S.SETTLED, S.SKIPPED], False, B.COMPLETED_WITH_ERRORS),
        ([S.SETTLED, S.FAILED], False, B.COMPLETED_WITH_ERRORS),
        ([S.DECLINED, S.FAILED, S.SKIPPED], False, B.FAILED),
        ([S.DECLINED], True, B.FAILED),
        ([S.CANCELED], True, B.VOIDED),
        ([S.VOIDED, S.REFUNDED, S.CANCELED, S.DECLINED], True, B.VOIDED),
        ([S.APPROVED, S.VOIDED], False, B.PARTIALLY_VOIDED),
        ([S.SETTLED, S.DECLINED, S.REFUNDED], False, B.PARTIALLY_VOIDED),
        ([S.SETTLED, S.CANCELED], True, B.PARTIALLY_VOIDED),
        ([S.SETTLED, S.CANCELED, S.VOIDED], True, B.PARTIALLY_VOIDED),
    ],
)
def test_the_status_follows_from_the_payments(states: list[State], void_requested: bool, expected: B) -> None:
    assert status(of(*states), void_requested=void_requested).status is expected


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ([S.SETTLED, S.DECLINED, S.VOIDED], Posting.POSTED),
        ([S.SETTLED, S.APPROVED], Posting.PENDING),
        ([S.SETTLED, S.QUEUED], Posting.PENDING),
        ([S.APPROVED, S.UNKNOWN], Posting.PENDING),
    ],
)
def test_a_batch_is_posted_when_nothing_is_unfinished_or_unsettled(states: list[State], expected: Posting) -> None:
    assert status(of(*states), void_requested=False).posting is expected


def test_a_batch_without_payments_has_no_status() -> None:
    with pytest.raises(ValueError, match=r"^a batch has at least one payment$"):
        status(Tally(), void_requested=False)


def test_every_mix_of_states_has_one_status_and_posting_that_keep_their_promises() -> None:
    for present in product([False, True], repeat=len(State)):
        states = {state for state, here in zip(State, present, strict=True) if here}
        if states:
            for void_requested in (False, True):
                check_promises(states, void_requested=void_requested)


def check_promises(states: set[State], *, void_requested: bool) -> None:
    name, posting = status(of(*states), void_requested=void_requested)
    unfinished = any(group(state) is Group.UNFINISHED for state in states)
    kept = bool(states & {S.APPROVED, S.SETTLED})
    assert (name in {B.PROCESSING, B.VOIDING}) == unfinished
    assert (posting is Posting.POSTED) == (not unfinished and S.APPROVED not in states)
    assert not (kept and name in {B.VOIDED, B.FAILED})
    assert kept or name not in {B.COMPLETED, B.COMPLETED_WITH_ERRORS, B.PARTIALLY_VOIDED}
    assert name is B.VOIDING or not (void_requested and unfinished)


def test_what_holds_no_invoice_and_needs_nobody_is_finished() -> None:
    finished = {state for state in State if group(state) is not Group.UNFINISHED}
    assert set(State) - set(LIVE) - finished == {S.SURPLUS}


def test_a_tally_adds_up_payments_and_amounts_of_each_group() -> None:
    rows = [
        StateCount(S.APPROVED, in_review=False, payments=2, amount_minor=200),
        StateCount(S.SETTLED, in_review=True, payments=3, amount_minor=3_000),
        StateCount(S.DECLINED, in_review=False, payments=4, amount_minor=40),
        StateCount(S.FAILED, in_review=True, payments=1, amount_minor=5),
        StateCount(S.CANCELED, in_review=False, payments=6, amount_minor=60),
        StateCount(S.VOIDED, in_review=False, payments=7, amount_minor=70),
        StateCount(S.QUEUED, in_review=False, payments=8, amount_minor=80),
        StateCount(S.VOIDING, in_review=False, payments=9, amount_minor=90),
        StateCount(S.REFUNDING, in_review=False, payments=10, amount_minor=100),
        StateCount(S.SURPLUS, in_review=False, payments=11, amount_minor=110),
    ]
    assert tally(rows) == Tally(
        approved=5,
        approved_minor=3_200,
        declined=5,
        declined_minor=45,
        canceled=6,
        canceled_minor=60,
        returned=7,
        returned_minor=70,
        unfinished=38,
        unfinished_minor=380,
        unsettled=2,
        returning=19,
        in_review=15,
    )


@given(
    st.lists(
        st.builds(
            StateCount,
            state=st.sampled_from(State),
            in_review=st.booleans(),
            payments=st.integers(1, 1000),
            amount_minor=st.integers(1, 10**9),
        ),
        min_size=1,
    )
)
def test_a_tally_counts_every_payment_once_and_its_order_does_not_matter(rows: list[StateCount]) -> None:
    counted = tally(rows)
    assert counted.total == sum(row.payments for row in rows)
    assert counted.total_minor == sum(row.amount_minor for row in rows)
    assert counted.in_review == sum(row.payments for row in rows if row.in_review or row.state is S.SURPLUS)
    assert tally(reversed(rows)) == counted
    assert counted.returning <= counted.unfinished
    assert counted.unsettled <= counted.approved
