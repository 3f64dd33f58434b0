"""Our books against a processor's: what agrees, what differs, and what follows."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from shared.domain.books import Dispute, Line, Move, Standing
from shared.domain.books_day import day_of, days_between, end_of, is_complete, last_complete
from shared.domain.disputing import disputed
from shared.domain.finding_kinds import Kind, suggestion
from shared.domain.payment import State
from shared.domain.reconciling import Known, Shown, caught_up, differs, match, named_by, stranger
from shared.domain.words import ProcessorName
from tests.snapshots import NOW, a_charge, a_payment

VANTAGE, STRIPE = ProcessorName.VANTAGE, ProcessorName.STRIPE
AMOUNT = 5_000
CHARGE = Line(move=Move.CHARGE, reference="test-1-2", charge_ref="ref-2", own_ref="ref-2", amount_minor=AMOUNT)
REFUND = Line(move=Move.REFUND, reference="", charge_ref="ref-2", own_ref="re-1", amount_minor=AMOUNT)
VOID = Line(move=Move.VOID, reference="test-1-2", charge_ref="ref-2", own_ref="ref-2", amount_minor=AMOUNT)
PART = Line(move=Move.REFUND, reference="", charge_ref="ref-2", own_ref="re-2", amount_minor=700)


def known(state: State = State.SETTLED, **changes: Any) -> Known:
    defaults: dict[str, Any] = {
        "payment_id": UUID(int=1),
        "attempt_id": UUID(int=101),
        "reference": "test-1-2",
        "processor_ref": "ref-2",
        "amount_minor": AMOUNT,
        "state": state,
        "first_send_at": NOW,
        "last_send_at": NOW,
        "took_money": True,
        "returning": False,
        "refunded_at": None,
    }
    return Known(**defaults | changes)


AGREE = {
    (CHARGE,): {State.SETTLED, State.VOIDING, State.REFUNDING, State.REFUNDED, State.SENDING},
    (CHARGE, VOID): {State.VOIDED, State.REFUNDED, State.SENDING},
    (REFUND,): {State.VOIDED, State.REFUNDED, State.SENDING},
    (CHARGE, PART): {State.SENDING},
}


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("lines", AGREE)
def test_lines_differ_from_every_state_but_those_that_they_show(state: State, lines: tuple[Line, ...]) -> None:
    assert differs(Shown(known(state), lines)) == (state not in AGREE[lines])


def test_money_that_goes_back_by_our_own_order_is_no_difference() -> None:
    assert not differs(Shown(known(State.REFUNDING, returning=True), (REFUND,)))


@pytest.mark.parametrize(
    ("state", "lines", "after", "kind"),
    [
        (State.UNKNOWN, (CHARGE,), State.SETTLED, Kind.UNKNOWN_FOUND),
        (State.APPROVED, (CHARGE,), State.SETTLED, None),
        (State.PROCESSING, (CHARGE,), State.SETTLED, None),
        (State.FAILED, (CHARGE,), State.SETTLED, Kind.STATUS_DIFFERS),
        (State.FAILED, (CHARGE, REFUND), State.FAILED, Kind.STATUS_DIFFERS),
        (State.SETTLED, (REFUND,), State.REFUNDED, Kind.OUTSIDE_REFUND),
        (State.APPROVED, (CHARGE, VOID), State.VOIDED, Kind.OUTSIDE_VOID),
        (State.APPROVED, (CHARGE, PART), State.SETTLED, Kind.PARTIAL_REFUND),
        (State.SETTLED, (PART,), State.SETTLED, Kind.PARTIAL_REFUND),
        (State.VOIDED, (CHARGE,), State.SETTLED, Kind.SETTLED_AFTER_VOID),
        (State.SETTLED, (Line(move=Move.CHARGE, reference="", charge_ref="ref-2", own_ref="ref-2", amount_minor=1),),
         State.SETTLED, Kind.AMOUNT_DIFFERS),
    ],
)  # fmt: skip
def test_what_the_books_show_is_caught_up_with(
    state: State, lines: tuple[Line, ...], after: State, kind: Kind | None
) -> None:
    payment = a_payment(state)
    step = caught_up(Shown(known(state), lines), payment, a_charge(payment), now=NOW)
    assert step
    assert (step.after.state, step.finding and step.finding.kind) == (after, kind)


def test_lines_find_their_charge_by_either_name() -> None:
    by_name, by_reference = known(), known(attempt_id=UUID(int=102), reference="other", processor_ref=None)
    other = Line(move=Move.CHARGE, reference="other", charge_ref="ref-9", own_ref="ref-9", amount_minor=1)
    foreign = Line(move=Move.CHARGE, reference="", charge_ref="ref-8", own_ref="ref-8", amount_minor=1)
    matched = match([CHARGE, REFUND, other, foreign], [by_name, by_reference])
    assert [(one.known, one.lines) for one in matched.shown] == [(by_name, (CHARGE, REFUND)), (by_reference, (other,))]
    assert matched.strangers == [foreign]


def test_a_stranger_with_a_reference_of_ours_was_forgotten() -> None:
    reference = f"prod-{UUID(int=5)}-2"
    assert named_by(reference) == (UUID(int=5), 2)
    assert named_by("INV-17") is None
    forgotten = Line(move=Move.CHARGE, reference=reference, charge_ref="r", own_ref="r", amount_minor=1)
    found = [stranger(line, currency="USD") for line in (CHARGE, forgotten, REFUND)]
    assert [one and one.kind for one in found] == [Kind.OUTSIDE_CHARGE, Kind.FORGOTTEN_CHARGE, None]


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_of_finding_says_what_to_do(kind: Kind) -> None:
    assert suggestion(kind).endswith((".", "?"))


DISPUTE = Dispute(processor_ref="dp_1", charge_ref="ref-2", amount_minor=AMOUNT, standing=Standing.OPEN)


def test_a_dispute_that_was_won_leaves_the_other_reasons_of_the_review() -> None:
    payment = a_payment(State.SETTLED, review_reason="something else")
    opened = disputed(payment, a_charge(payment), DISPUTE, was=None)
    assert opened
    won = Dispute(processor_ref="dp_1", charge_ref="ref-2", amount_minor=AMOUNT, standing=Standing.WON)
    closed = disputed(opened.after, a_charge(payment), won, was=Standing.OPEN)
    assert closed
    assert closed.after.review_reason == "something else"


@pytest.mark.parametrize("was", [Standing.OPEN, Standing.WON, Standing.LOST])
def test_a_dispute_that_stands_as_it_stood_changes_nothing(was: Standing) -> None:
    payment = a_payment(State.SETTLED)
    assert disputed(payment, a_charge(payment), DISPUTE, was=was) is None


# --- days -------------------------------------------------------------------------------------------------------------


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_each_processor_has_its_own_day() -> None:
    assert day_of(VANTAGE, utc("2026-03-08 21:00")) == date(2026, 3, 9)
    assert day_of(STRIPE, utc("2026-03-08 23:59:59")) == date(2026, 3, 8)
    assert end_of(STRIPE, date(2026, 3, 8)) == utc("2026-03-09 00:00")


def test_what_moved_near_the_end_of_a_day_may_be_in_the_books_of_two() -> None:
    near, far = utc("2026-03-17 23:55"), utc("2026-03-17 12:00")
    assert days_between(STRIPE, near, near) == [date(2026, 3, 17), date(2026, 3, 18)]
    assert days_between(STRIPE, far, far) == [date(2026, 3, 17)]
    assert len(days_between(STRIPE, far, far + timedelta(days=2))) == 3


@pytest.mark.parametrize("name", [STRIPE, VANTAGE])
@pytest.mark.parametrize("hour", range(24))
def test_the_newest_complete_day_is_complete_and_the_next_one_is_not(name: ProcessorName, hour: int) -> None:
    now = utc(f"2026-11-01 {hour:02}:30")
    day = last_complete(name, now)
    assert is_complete(name, day, now)
    assert not is_complete(name, day + timedelta(days=1), now)
