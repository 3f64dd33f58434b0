"""Refunds on the real processes: story 5 of the domain rules, and what stands in a refund's way."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.error import HTTPError

import pytest

from shared.domain.words import ProcessorName
from tests.journeys.journey import Journey, control, days_pass, look_now
from tests.waiting import eventually

Start = Callable[[ProcessorName], Journey]
VANTAGE, STRIPE = ProcessorName.VANTAGE, ProcessorName.STRIPE
both = pytest.mark.parametrize("processor", list(ProcessorName))


@contextmanager
def settled(practice: Journey, clients: int = 1) -> Iterator[dict[str, Any]]:
    """A batch of settled payments, while days have passed at the processors."""
    for _ in range(clients):
        practice.export.client()
    practice.push()
    batch = practice.submit()
    practice.until(batch, {"approved" if practice.export.processor is VANTAGE else "settled": clients})
    with days_pass(practice.box):
        practice.until(batch, {"settled": clients})
        yield batch


def next_refund(practice: Journey, behaviour: str) -> None:
    """What the processor does with the next refund of this practice."""
    script = {"behaviour": behaviour, "operation": "refund", "account": practice.export.account}
    practice.box.control(practice.export.processor, "script", [script])


def refunds_sent(practice: Journey) -> int:
    requests = practice.box.control(practice.export.processor, "requests")
    if practice.export.processor is VANTAGE:
        return sum("/RefundTransaction" in one["path"] and practice.export.account in one["body"] for one in requests)
    return sum(
        one["method"] == "POST" and one["path"] == "/v1/refunds" and practice.export.account in str(one["headers"])
        for one in requests
    )


@both
def test_a_settled_payment_is_refunded_in_full_and_its_invoice_is_open_again(
    journey: Start, processor: ProcessorName
) -> None:
    practice = journey(processor)
    with settled(practice) as batch:
        (payment,) = practice.report(batch).values()
        assert payment["can_refund"] is True
        assert practice.refund_payment(payment) == "refunding"
        practice.until(batch, {"refunded": 1})
        assert practice.moved_back("refund") == [payment["amount_minor"]]
        eventually(lambda: practice.batch(batch)["returned"]["count"] == 1, what="the batch follows")
        (invoice,) = practice.api("invoices")["items"]
        assert (invoice["invoice"], invoice["reopened"]) == (payment["invoice"], True)


@both
def test_a_batch_is_refunded_payment_by_payment_and_twice_changes_nothing(
    journey: Start, processor: ProcessorName
) -> None:
    practice = journey(processor)
    with settled(practice, clients=3) as batch:
        assert practice.refund(batch) == {"refunding": 3}
        assert set(practice.refund(batch)) <= {"already_asked", "already_refunded"}
        practice.until(batch, {"refunded": 3})
        assert len(practice.moved_back("refund")) == 3
        assert practice.refund(batch) == {"already_refunded": 3}


# --- 5: a refund marked failed by a timer and then repeated -----------------------------------------------------------


@both
@pytest.mark.parametrize("answer", ["reset_after_execute", "truncated_after_execute", "http_500_after"])
def test_5_a_refund_whose_answer_was_lost_is_found_by_a_look_and_made_once(
    journey: Start, processor: ProcessorName, answer: str
) -> None:
    practice = journey(processor)
    with settled(practice) as batch:
        next_refund(practice, answer)
        (payment,) = practice.report(batch).values()
        practice.refund_payment(payment)
        practice.until(batch, {"refunded": 1})
        assert practice.moved_back("refund") == [payment["amount_minor"]]
        assert refunds_sent(practice) == 1


def test_5_a_refund_without_key_is_sent_once_and_given_up_when_its_reports_are_out(journey: Start) -> None:
    practice = journey(VANTAGE)
    with settled(practice) as batch:
        next_refund(practice, "reset_before_execute")
        (payment,) = practice.report(batch).values()
        practice.refund_payment(payment)
        # The reports of today and tomorrow are out at the processor, whose clock is days ahead.
        eventually(lambda: reason(practice, batch) == "refund_not_executed", within_s=30, what="the absence is final")
        assert refunds_sent(practice) == 1
        assert practice.refund_payment(payment) == "refunding"
        practice.until(batch, {"refunded": 1})
        assert practice.moved_back("refund") == [payment["amount_minor"]]


def test_5_a_refund_under_a_living_key_is_sent_again_and_made_once(journey: Start) -> None:
    practice = journey(STRIPE)
    with settled(practice) as batch:
        next_refund(practice, "reset_before_execute")
        (payment,) = practice.report(batch).values()
        practice.refund_payment(payment)
        practice.until(batch, {"refunded": 1})
        assert practice.moved_back("refund") == [payment["amount_minor"]]
        kinds = [attempt["kind"] for attempt in practice.timeline(payment)["attempts"]]
        assert kinds == ["charge", "refund"]
        assert refunds_sent(practice) == 2


# --- What stands in the way -------------------------------------------------------------------------------------------


@both
def test_trace_13_what_was_refunded_in_the_dashboard_is_not_refunded_again(
    journey: Start, processor: ProcessorName
) -> None:
    practice = journey(processor)
    with settled(practice) as batch:
        (payment,) = practice.report(batch).values()
        reference = practice.timeline(payment)["attempts"][0]["reference"]
        happen(practice, "refund", reference)
        practice.refund_payment(payment)
        practice.until(batch, {"refunded": 1})
        assert practice.moved_back("refund") == [payment["amount_minor"]]
        assert refunds_sent(practice) == 0
        assert practice.rows("SELECT kind FROM finding WHERE payment_id = %s", payment["id"]) == [("outside_refund",)]


@both
def test_a_refund_that_the_balance_does_not_cover_is_refused_and_can_be_asked_again(
    journey: Start, processor: ProcessorName
) -> None:
    practice = journey(processor)
    with settled(practice) as batch:
        control(practice.box, processor, "faults", funds(practice, -200_000), method="POST")
        (payment,) = practice.report(batch).values()
        practice.refund_payment(payment)
        eventually(lambda: reason(practice, batch) == "refund_funds_short", what="the refusal")
        assert practice.moved_back("refund") == []
        control(practice.box, processor, "faults", funds(practice, 200_000), method="POST")
        practice.refund_payment(payment)
        practice.until(batch, {"refunded": 1})
        assert practice.moved_back("refund") == [payment["amount_minor"]]


def test_a_payment_that_is_not_settled_is_voided_and_not_refunded(journey: Start) -> None:
    practice = journey(VANTAGE)
    practice.export.client()
    practice.push()
    batch = practice.submit()
    practice.until(batch, {"approved": 1})
    (payment,) = practice.report(batch).values()
    assert (payment["can_refund"], payment["cannot_refund"]["code"]) == (False, "not_settled")
    with pytest.raises(HTTPError) as refused:
        practice.refund_payment(payment)
    with refused.value as answer:
        assert answer.code == 409
    assert practice.void_payment(payment) == {"voiding": 1}
    practice.until(batch, {"voided": 1})


def happen(practice: Journey, event: str, reference: str) -> None:
    """Somebody does something to a charge at the processor, and tells nobody."""
    told = {"event": event, "account": practice.export.account, "reference": reference}
    control(practice.box, practice.export.processor, "faults", told, method="POST")


def funds(practice: Journey, amount_minor: int) -> dict[str, Any]:
    return {"event": "funds", "account": practice.export.account, "amount_minor": amount_minor}


def reason(practice: Journey, batch: dict[str, Any]) -> str | None:
    look_now(practice.box)
    (payment,) = practice.report(batch).values()
    return payment["reason"]["code"] if payment["reason"] else None
