"""Story 9 from the field: void at the cut-off, twice, while charging; on the real processes.

After every story its fixture lets days pass, and compares and checks every invariant (see conftest.py).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from shared.domain.settlement_day import cut_off, settlement_day
from shared.domain.words import ProcessorName
from tests.journeys.journey import Journey, days_pass, let_look, set_clock
from tests.waiting import eventually

Start = Callable[[ProcessorName], Journey]
VANTAGE, STRIPE = ProcessorName.VANTAGE, ProcessorName.STRIPE
both = pytest.mark.parametrize("processor", list(ProcessorName))


# --- 9: void pressed at the cut-off, pressed twice, pressed while charging --------------------------------------------


def test_9_void_pressed_twice_voids_once(journey: Start) -> None:
    practice = journey(VANTAGE)
    for _ in range(3):
        practice.export.client()
    practice.push()
    batch = practice.submit()
    practice.until(batch, {"approved": 3})
    assert practice.void(batch) == {"voiding": 3}
    again = practice.void(batch)
    assert set(again) <= {"already_asked", "nothing_to_void"}, again
    practice.until(batch, {"voided": 3})
    assert {fact["state"] for fact in practice.executed()} == {"voided"}


@both
def test_9_void_pressed_while_charging_reaches_every_payment(journey: Start, processor: ProcessorName) -> None:
    practice = journey(processor)
    slow = practice.export.client("slow:1200", due_minor=[2500, 2600])
    lost = practice.export.client("reset_after_execute")
    practice.push()
    batch = practice.submit()
    practice.some(batch, "sending")
    results = practice.void(batch)
    assert results.get("canceled", 0) >= 1, "the second invoice of the slow card was not sent yet"
    end = "voided" if processor is VANTAGE else "settled"
    practice.until(batch, {"canceled": 1, end: 2})
    report = practice.report(batch)
    assert report[slow.invoices[0]]["state"] == report[lost.invoices[0]]["state"] == end
    assert practice.charges_sent() == 2


@contextmanager
def cut_off_at(practice: Journey) -> Iterator[datetime]:
    """The cut-off of the settlement day in which this very moment lies; afterwards the clock is right again."""
    try:
        yield cut_off(settlement_day(datetime.now(UTC)))
    finally:
        set_clock(practice.box, VANTAGE, datetime.now(UTC))


@pytest.mark.parametrize(
    ("pressed_s", "ends"),
    [(-60, {"voided"}), (-1, {"voided", "settled"}), (1, {"settled"})],
    ids=["16:59:00", "16:59:59", "17:00:01"],
)
def test_9_void_pressed_around_the_cut_off_ends_as_the_processor_says(
    journey: Start, pressed_s: int, ends: set[str]
) -> None:
    practice = journey(VANTAGE)
    client = practice.export.client()
    practice.push()
    with cut_off_at(practice) as closing:
        set_clock(practice.box, VANTAGE, closing - timedelta(minutes=10))
        batch = practice.submit()
        practice.until(batch, {"approved": 1})
        set_clock(practice.box, VANTAGE, closing + timedelta(seconds=pressed_s))
        assert practice.void(batch) == {"voiding": 1}
        eventually(lambda: practice.charges_sent() == 1 and voids_sent(practice), what="the void was sent")
    with days_pass(practice.box):
        eventually(lambda: let_look(practice) and ended(practice, batch), within_s=30, what="the void is over")
    payment = practice.report(batch)[client.invoices[0]]
    assert payment["state"] in ends
    (fact,) = practice.executed()
    assert (fact["state"] == "voided") == (payment["state"] == "voided")
    if payment["state"] == "settled":
        assert payment["reason"]["code"] == "too_late_to_void"


def voids_sent(practice: Journey) -> int:
    requests = practice.box.control(VANTAGE, "requests")
    return sum("/VoidedTransactions" in each["path"] and practice.export.account in each["body"] for each in requests)


def ended(practice: Journey, batch: dict[str, str]) -> bool:
    return practice.batch(batch)["posting"] == "posted"
