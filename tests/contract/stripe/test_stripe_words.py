"""What people read of an answer of Stripe's that decides nothing, whole."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.domain.declines import Decline, NeutralCode
from tests.contract.stripe.bench import CHARGE, INTENT, ORDER, PAID, REFUND, REFUNDED, refusal
from workers.processors.port import (
    Blame,
    Declined,
    NotExecuted,
    Processing,
    RefundRefused,
    Seen,
    Settled,
    Sighting,
    Unknown,
)
from workers.processors.stripe.answers import (
    answered_at,
    of_intent,
    of_refund,
    of_refund_refusal,
    of_refusal,
    sighting_of,
)

REQUEST = {
    "idempotency_key": REFUND.reference,
    "params": {"amount": REFUND.amount_minor, "payment_intent": REFUND.charge_processor_ref},
}
NAMED = {"request-id": "req_1"}


CHARGE_REQUEST = {
    "idempotency_key": ORDER.reference,
    "params": {"amount": ORDER.amount_minor, "currency": "usd"},
}
ANOTHER_CHARGE = Unknown(code="answer_for_another_charge", detail="pi_1: amount, currency or reference differ")


@pytest.mark.parametrize(
    ("intent", "whole"),
    [
        (INTENT, Settled(processor_ref="pi_1")),
        (INTENT | {"status": "processing"}, Processing(processor_ref="pi_1")),
        (None, Unknown(code="not_a_payment_intent", detail="None")),
        ({"object": "x"}, Unknown(code="not_a_payment_intent", detail="{'object': 'x'}")),
        ({"object": "m" * 400}, Unknown(code="not_a_payment_intent", detail="{'object': '" + "m" * 288)),
        (INTENT | {"amount": 1}, ANOTHER_CHARGE),
        (INTENT | {"currency": "cad"}, ANOTHER_CHARGE),
        (INTENT | {"metadata": {}}, ANOTHER_CHARGE),
        (
            INTENT | {"id": None},
            Unknown(code="answer_for_another_charge", detail=": amount, currency or reference differ"),
        ),
        (
            INTENT | {"status": "requires_action"},
            Declined(
                decline=Decline(code=NeutralCode.CLIENT_MUST_CONFIRM, raw_code="requires_action"), processor_ref="pi_1"
            ),
        ),
        (INTENT | {"amount_received": 1}, Unknown(code="status_succeeded", detail="pi_1")),
        (INTENT | {"status": None}, Unknown(code="status_", detail="pi_1")),
    ],
)
def test_a_success(intent: Any, whole: object) -> None:
    assert of_intent(intent, CHARGE_REQUEST) == whole


@pytest.mark.parametrize(
    ("status", "body", "whole"),
    [
        (502, None, Unknown(code="http_502", detail="no error object in the answer")),
        (500, refusal("api_error", ""), Unknown(code="http_500", detail="why req_1")),
        (409, refusal("invalid_request_error", "in_use"), Unknown(code="in_use", detail="why req_1")),
        (402, refusal("api_error", "x"), Unknown(code="http_402", detail="why req_1")),
        (
            402,
            refusal("card_error", "card_declined", payment_intent={"status": "succeeded"}),
            Unknown(code="http_402", detail="why req_1"),
        ),
        (
            402,
            refusal("card_error", "expired_card"),
            Declined(decline=Decline(code=NeutralCode.EXPIRED, raw_code="expired_card")),
        ),
        (
            400,
            refusal("idempotency_error", "idempotency_error"),
            Unknown(code="idempotency_error", detail="why req_1", review=True),
        ),
        (401, refusal("x", "key"), NotExecuted(code="key", blame=Blame.MERCHANT, detail="why req_1")),
    ],
)
def test_a_refusal(status: int, body: Any, whole: object) -> None:
    assert of_refusal(status, body, NAMED) == whole


def test_a_refusal_without_a_request_id_has_none() -> None:
    assert of_refusal(500, refusal("api_error", ""), {}) == Unknown(code="http_500", detail="why")


@pytest.mark.parametrize(
    ("refund", "whole"),
    [
        ({"object": "x"}, Unknown(code="not_a_refund", detail="{'object': 'x'}")),
        (
            REFUNDED | {"amount": 1},
            Unknown(code="answer_for_another_refund", detail="re_1: amount, charge or reference differ"),
        ),
        (REFUNDED | {"status": "failed"}, RefundRefused(code="status_failed", detail="re_1")),
        (REFUNDED | {"status": "requires_action"}, Unknown(code="status_requires_action", detail="re_1")),
    ],
)
def test_a_refund(refund: Any, whole: object) -> None:
    assert of_refund(refund, REQUEST) == whole


@pytest.mark.parametrize(
    ("status", "body", "whole"),
    [
        (502, None, Unknown(code="http_502", detail="no error object in the answer")),
        (402, refusal("card_error", "card_declined"), Unknown(code="http_402", detail="no answer to a refund")),
    ],
)
def test_a_refused_refund(status: int, body: Any, whole: object) -> None:
    assert of_refund_refusal(status, body, {}) == whole


@pytest.mark.parametrize(
    ("asked", "wait"),
    [
        (None, timedelta(seconds=1)),
        ("soon", timedelta(seconds=1)),
        ("7", timedelta(seconds=7)),
        ("601", timedelta(minutes=10)),
        ("9" * 40, timedelta(minutes=10)),
    ],
)
def test_how_long_a_rate_limit_lasts(asked: str | None, wait: timedelta) -> None:
    answer = of_refusal(429, refusal("x", "rate_limit"), {} if asked is None else {"retry-after": asked})
    assert answer == NotExecuted(code="rate_limit", blame=Blame.NOTHING, detail="why", retry_after=wait)


def test_stripes_clock_is_read_whatever_its_zone() -> None:
    noon = datetime(2026, 1, 5, 12, tzinfo=UTC)
    assert answered_at({"date": "Mon, 05 Jan 2026 12:00:00 GMT"}) == noon
    assert answered_at({"date": "Mon, 05 Jan 2026 07:00:00 -0500"}) == noon
    assert answered_at({"date": "Mon, 05 Jan 2026 12:00:00 -0000"}) == noon
    assert answered_at({}) is None


DISPUTED = CHARGE | {"amount_refunded": 45, "disputed": True}
SHOWN = Sighting(
    seen=Seen.SETTLED, reference=ORDER.reference, processor_ref="pi_1", history_ref=None, amount_minor=12345
)
NO_AMOUNTS = replace(SHOWN, seen=Seen.OTHER, detail="its charge shows no amounts")


@pytest.mark.parametrize(
    ("intent", "detail", "whole"),
    [
        (PAID, "", SHOWN),
        (PAID, "one of two", replace(SHOWN, detail="one of two")),
        (
            PAID | {"latest_charge": DISPUTED},
            "one of two",
            replace(SHOWN, detail="refunded in part: 45 of 12345; disputed; one of two"),
        ),
        (PAID | {"amount": "12345"}, "", replace(SHOWN, amount_minor=0)),
        (PAID | {"metadata": {"reference": 7}, "id": None}, "", replace(SHOWN, reference="", processor_ref="")),
        (PAID | {"metadata": None}, "", replace(SHOWN, reference="")),
        (PAID | {"latest_charge": CHARGE | {"amount": True}}, "", NO_AMOUNTS),
        (PAID | {"latest_charge": CHARGE | {"amount_refunded": None}}, "", NO_AMOUNTS),
        (
            PAID | {"latest_charge": CHARGE | {"amount_refunded": 12346, "disputed": True}},
            "",
            replace(SHOWN, seen=Seen.REFUNDED, detail="disputed"),
        ),
        (PAID | {"latest_charge": CHARGE | {"disputed": "yes"}}, "", SHOWN),
    ],
)
def test_a_payment_intent(intent: Any, detail: str, whole: Sighting) -> None:
    assert sighting_of(intent, detail) == whole


def test_a_canceled_charge_says_why() -> None:
    shown = {"status": "canceled", "metadata": {"reference": ORDER.reference}, "id": "pi_1"}
    assert sighting_of(shown) == replace(
        SHOWN,
        seen=Seen.DECLINED,
        amount_minor=0,
        decline=Decline(code=NeutralCode.DECLINED, raw_code="canceled:unknown"),
        detail="canceled at Stripe",
    )
