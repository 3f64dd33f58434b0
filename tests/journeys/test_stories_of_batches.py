"""Stories 1, 6, 7, 8, 10 and 11 from the field: what a batch charges, and what it leaves alone; on the real processes.

After every story its fixture lets days pass, and compares and checks every invariant (see conftest.py).
"""

import secrets
from collections.abc import Callable
from datetime import datetime
from urllib.error import HTTPError

import pytest

from shared.domain.words import ProcessorName
from tests.journeys.journey import Journey
from tests.journeys.pausing import paused

Start = Callable[[ProcessorName], Journey]
VANTAGE, STRIPE = ProcessorName.VANTAGE, ProcessorName.STRIPE
both = pytest.mark.parametrize("processor", list(ProcessorName))


# --- 1: the client pays in the portal while the batch is charging the same invoice ------------------------------------


@both
def test_1_an_invoice_paid_in_the_portal_before_its_claim_is_skipped(journey: Start, processor: ProcessorName) -> None:
    practice = journey(processor)
    client = practice.export.client()
    practice.push()
    with paused(practice.box, "relay"):
        batch = practice.submit()
        practice.export.change("invoice", client.invoices[0], amount_due_minor=0, status="closed")
        practice.push()
    practice.until(batch, {"skipped": 1})
    assert practice.report(batch)[client.invoices[0]]["reason"]["code"] == "invoice_closed"
    assert practice.charges_sent() == 0


@both
def test_1_an_invoice_paid_in_the_portal_after_its_claim_is_charged_and_recorded(
    journey: Start, processor: ProcessorName
) -> None:
    practice = journey(processor)
    client = practice.export.client("slow:3500")
    practice.push()
    batch = practice.submit()
    practice.some(batch, "sending")
    practice.export.change("invoice", client.invoices[0], amount_due_minor=0, status="closed")
    practice.push()
    assert practice.executed() == [], "the push came after the charge"
    practice.some(batch, "approved", "settled")
    assert len(practice.executed()) == 1


# --- 6: two siblings with the same copay on the same card in the same minute ------------------------------------------


@both
def test_6_two_siblings_with_one_copay_on_one_card_are_both_charged_one_after_the_other(
    journey: Start, processor: ProcessorName
) -> None:
    practice = journey(processor)
    practice.export.client("slow:600", due_minor=[2500, 2500])
    practice.push()
    batch = practice.submit()
    practice.until(batch, {"approved" if processor is VANTAGE else "settled": 2})
    one, other = practice.executed()
    assert (one["amount_minor"], other["amount_minor"]) == (2500, 2500)
    assert apart_s(one, other) >= 0.6, "the second was sent while the first was on the wire"


@both
def test_6_two_siblings_whose_clients_share_a_stored_card_are_charged_one_after_the_other(
    journey: Start, processor: ProcessorName
) -> None:
    practice = journey(processor)
    first = practice.export.client("slow:600")
    practice.export.client("slow:600", sharing=first)
    practice.push()
    batch = practice.submit()
    practice.until(batch, {"approved" if processor is VANTAGE else "settled": 2})
    one, other = practice.executed()
    assert apart_s(one, other) >= 0.6, "the second was sent while the first was on the wire"


def apart_s(one: dict[str, str], other: dict[str, str]) -> float:
    """Seconds between two executions. A slow token executes at the end of its delay."""
    first, second = (datetime.fromisoformat(fact["executed_at"]) for fact in (one, other))
    return abs((second - first).total_seconds())


# --- 7: a batch with three invoices on one bad card -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("processor", "behaviour", "states", "reason"),
    [
        (VANTAGE, "decline:14", {"declined": 1, "skipped": 2}, "card_declined"),
        (STRIPE, "decline:stolen_card", {"declined": 1, "skipped": 2}, "card_declined"),
        (VANTAGE, "decline:51", {"declined": 2, "skipped": 1}, "card_on_hold"),
        (STRIPE, "decline:insufficient_funds", {"declined": 2, "skipped": 1}, "card_on_hold"),
    ],
)
def test_7_a_bad_card_is_spared(
    journey: Start, processor: ProcessorName, behaviour: str, states: dict[str, int], reason: str
) -> None:
    practice = journey(processor)
    practice.export.client(behaviour, due_minor=[2500, 2600, 2700])
    practice.push()
    batch = practice.submit()
    practice.until(batch, states)
    skipped = [row for row in practice.report(batch).values() if row["state"] == "skipped"]
    assert {row["reason"]["code"] for row in skipped} == {reason}
    assert practice.charges_sent() == states["declined"]
    assert practice.executed() == []


# --- 8: a user types one payment number for 200 payments --------------------------------------------------------------


@both
def test_8_one_typed_number_for_200_payments_charges_all_and_never_leaves(
    journey: Start, processor: ProcessorName
) -> None:
    practice = journey(processor)
    for _ in range(200):
        practice.export.client()
    practice.push()
    number = f"COPAY {secrets.token_hex(4)}"
    batch = practice.submit(number=number)
    practice.until(batch, {"approved" if processor is VANTAGE else "settled": 200})
    assert {row["number"] for row in practice.report(batch).values()} == {number}
    assert len({fact["reference"] for fact in practice.executed()}) == 200
    assert not [request for request in practice.box.control(processor, "requests") if number in str(request)]


# --- 10: the default method changes between preview and charge --------------------------------------------------------


@both
def test_10_a_default_method_that_changes_before_the_charge_is_skipped(
    journey: Start, processor: ProcessorName
) -> None:
    practice = journey(processor)
    client = practice.export.client()
    practice.push()
    with paused(practice.box, "relay"):
        batch = practice.submit()
        practice.export.change("payment_method", client.card, is_default=False)
        practice.export.card(client, f"{client.id}-m2", is_default=True)
        practice.push()
    practice.until(batch, {"skipped": 1})
    assert practice.report(batch)[client.invoices[0]]["reason"]["code"] == "method_changed"
    assert practice.charges_sent() == 0


@both
def test_10_a_default_method_that_is_gone_at_submit_is_refused(journey: Start, processor: ProcessorName) -> None:
    practice = journey(processor)
    client = practice.export.client()
    practice.push()
    confirmed = practice.preview(client.invoices)
    practice.export.change("payment_method", client.card, is_default=False)
    practice.push()
    with pytest.raises(HTTPError) as refused:
        practice.api("batches", confirmed, key="once")
    with refused.value as answer:
        assert answer.code == 422
    assert practice.charges_sent() == 0


# --- 11: a clinician with own clients opens a batch that holds others' clients ----------------------------------------


def test_11_a_clinician_sees_and_sums_only_the_own_clients_of_a_batch(journey: Start) -> None:
    practice = journey(VANTAGE)
    own = practice.export.client(due_minor=[2500], clinician=1)
    practice.export.client(due_minor=[9900], clinician=2)
    practice.push()
    batch = practice.submit()
    practice.until(batch, {"approved": 2})
    seen = practice.api(f"batches/{batch['id']}", clinician=1)
    assert seen["own_rows_only"] is True
    assert seen["total"] == {"count": 1, "amount_minor": 2500}
    shown = practice.api(f"batches/{batch['id']}/payments", clinician=1)["items"]
    assert [row["invoice"] for row in shown] == own.invoices
