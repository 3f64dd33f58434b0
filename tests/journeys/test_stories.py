"""The stories from the field (domain rules, last section) on the real processes, each checked against what moved.

After every story its fixture lets days pass, and compares and checks every invariant (see conftest.py).
"""

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from urllib.error import HTTPError

import pika
import pytest
from dramatiq import Message

from schemas.commands import CHARGE_ACTORS, CHARGE_QUEUES
from services.development.sandbox import Sandbox
from shared.domain.settlement_day import cut_off, settlement_day
from shared.domain.words import ProcessorName
from tests.journeys.journey import Journey, days_pass, let_wires_go, look_now, set_clock
from tests.journeys.pausing import paused
from tests.waiting import eventually

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


# --- 2: the processor's own retry plus ours; a scheduler that enqueues a job again ------------------------------------


@both
def test_2_a_hint_that_comes_ten_times_charges_once(journey: Start, processor: ProcessorName) -> None:
    practice = journey(processor)
    practice.export.client("slow:300")
    practice.push()
    with paused(practice.box, "relay"):
        batch = practice.submit()
        (payment,) = practice.report(batch).values()
        publish_hints(practice.box, processor, payment["id"], times=10)
        practice.some(batch, "approved", "settled")
    publish_hints(practice.box, processor, payment["id"], times=10)
    eventually(lambda: queue_is_empty(practice.box, processor), what="all hints taken")
    assert len(practice.timeline(payment)["attempts"]) == 1
    assert practice.charges_sent() == 1


def publish_hints(box: Sandbox, processor: ProcessorName, payment: str, *, times: int) -> None:
    queue = CHARGE_QUEUES[processor]
    hint: Message[None] = Message(
        queue_name=queue, actor_name=CHARGE_ACTORS[processor], args=(payment,), kwargs={}, options={}
    )
    with pika.BlockingConnection(pika.URLParameters(box.environment["BATCHPAY_AMQP_URL"])) as connection:
        channel = connection.channel()
        for _ in range(times):
            channel.basic_publish("", queue, hint.encode())


def queue_is_empty(box: Sandbox, processor: ProcessorName) -> bool:
    with pika.BlockingConnection(pika.URLParameters(box.environment["BATCHPAY_AMQP_URL"])) as connection:
        declared = connection.channel().queue_declare(CHARGE_QUEUES[processor], passive=True)
        return bool(declared.method.message_count == 0)


# --- 3: an idempotency key that the processor forgot after 24 h -------------------------------------------------------


def test_3_a_key_younger_than_twenty_hours_is_sent_again(journey: Start) -> None:
    practice = journey(STRIPE)
    practice.export.client("reset_before_execute")
    practice.push()
    batch = practice.submit()
    practice.some(batch, "unknown")
    practice.rows(
        "UPDATE attempt SET first_send_at = first_send_at - interval '19 hours', last_send_at = last_send_at"
        " - interval '19 hours' WHERE account = %s",
        practice.export.account,
    )
    (payment,) = practice.report(batch).values()
    reference = practice.timeline(payment)["attempts"][0]["reference"]
    eventually(lambda: looked(practice) and practice.charges_sent(reference) > 1, within_s=30, what="a second send")
    assert len(practice.timeline(payment)["attempts"]) == 1


def test_3_a_key_older_than_twenty_hours_is_never_sent_again(journey: Start) -> None:
    practice = journey(STRIPE)
    practice.export.client("reset_before_execute")
    practice.push()
    batch = practice.submit()
    practice.some(batch, "unknown")
    age(practice, hours=21)
    before = looks(practice)
    eventually(lambda: looked(practice) and looks(practice) >= before + 3, what="three looks")
    assert practice.states(batch) == {"unknown": 1}
    assert practice.charges_sent() == 1
    age(practice, hours=4)
    practice.until(batch, {"failed": 1})
    assert practice.charges_sent() == 1


def age(practice: Journey, *, hours: int) -> None:
    """Move the sends of the practice's attempts into the past."""
    practice.rows(
        "UPDATE attempt SET first_send_at = first_send_at - %s, last_send_at = last_send_at - %s,"
        " last_claimed_at = last_claimed_at - %s WHERE account = %s",
        *[timedelta(hours=hours)] * 3,
        practice.export.account,
    )


def looked(practice: Journey) -> bool:
    look_now(practice.box)
    let_wires_go(practice.box)
    return True


def looks(practice: Journey) -> int:
    return int(practice.rows("SELECT max(lookups) FROM attempt WHERE account = %s", practice.export.account)[0][0])


# --- 4: the connection dropped but the charge went through ------------------------------------------------------------


@both
@pytest.mark.parametrize("answer", ["reset_after_execute", "truncated_after_execute", "http_500_after"])
def test_4_a_charge_whose_answer_was_lost_is_found_by_lookup_and_taken_once(
    journey: Start, processor: ProcessorName, answer: str
) -> None:
    practice = journey(processor)
    practice.export.client(answer)
    practice.push()
    batch = practice.submit()
    practice.until(batch, {"approved" if processor is VANTAGE else "settled": 1})
    assert len(practice.executed()) == 1
    (payment,) = practice.report(batch).values()
    assert "lose_track" in [step["event"] for step in practice.timeline(payment)["steps"]]
    assert practice.charges_sent() == 1


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
        eventually(lambda: looked(practice) and ended(practice, batch), within_s=30, what="the void is over")
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
