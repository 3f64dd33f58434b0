"""How Stripe's payment intents are seen by a lookup, on a raw wire, and what proves nothing."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from shared.domain.declines import Decline, NeutralCode
from tests.contract.stripe.bench import (
    CHARGE,
    INTENT,
    INVALID,
    ORDER,
    list_of,
    look_answered,
    look_for,
    on_the_wire,
    refusal,
)
from tests.contract.wire_server import Reply
from workers.processors.port import Found, LookupFailed, NotFound, Seen


def charge_of(**changes: Any) -> dict[str, Any]:
    return CHARGE | changes


FUNDS = {"type": "card_error", "code": "card_declined", "decline_code": "insufficient_funds"}
CONFIRM = Decline(code=NeutralCode.CLIENT_MUST_CONFIRM, raw_code="requires_action")
SHORT = Decline(code=NeutralCode.INSUFFICIENT_FUNDS, raw_code="insufficient_funds")
CANCELED = Decline(code=NeutralCode.DECLINED, raw_code="canceled:abandoned")


@pytest.mark.parametrize(
    ("changes", "seen", "reason", "detail"),
    [
        ({"latest_charge": charge_of()}, Seen.SETTLED, None, ""),
        ({"latest_charge": charge_of(amount_refunded=12345)}, Seen.REFUNDED, None, ""),
        ({"latest_charge": charge_of(amount_refunded=45)}, Seen.SETTLED, None, "refunded in part: 45 of 12345"),
        ({"latest_charge": charge_of(disputed=True)}, Seen.SETTLED, None, "disputed"),
        ({"latest_charge": "ch_1"}, Seen.OTHER, None, "succeeded without its charge"),
        ({"latest_charge": {"object": "charge"}}, Seen.OTHER, None, "its charge shows no amounts"),
        ({"status": "processing"}, Seen.PROCESSING, None, ""),
        ({"status": "requires_payment_method", "last_payment_error": FUNDS}, Seen.DECLINED, SHORT, ""),
        ({"status": "requires_payment_method"}, Seen.OTHER, None, "status requires_payment_method"),
        ({"status": "requires_action", "next_action": {"type": "use_stripe_sdk"}}, Seen.DECLINED, CONFIRM, ""),
        (
            {"status": "requires_action", "next_action": {"type": "verify_with_microdeposits"}},
            Seen.OTHER,
            None,
            "status requires_action",
        ),
        (
            {"status": "canceled", "cancellation_reason": "abandoned"},
            Seen.DECLINED,
            CANCELED,
            "canceled at Stripe",
        ),
        ({"status": "canceled", "last_payment_error": FUNDS}, Seen.DECLINED, SHORT, "canceled at Stripe"),
        ({"status": "requires_capture"}, Seen.OTHER, None, "status requires_capture"),
        ({"status": None}, Seen.OTHER, None, "status missing"),
    ],
)
@pytest.mark.parametrize("listed", [False, True])
def test_a_payment_intent_is_seen_as_it_stands(
    changes: dict[str, Any], seen: Seen, reason: Decline | None, detail: str, *, listed: bool
) -> None:
    intent = INTENT | changes
    body = list_of(intent) if listed else intent
    given = look_answered(200, body, None if listed else "pi_1")
    assert isinstance(given, Found)
    sighting = given.sighting
    assert (sighting.seen, sighting.decline, sighting.detail) == (seen, reason, detail)
    assert (sighting.reference, sighting.processor_ref, sighting.amount_minor) == (ORDER.reference, "pi_1", 12345)


def test_of_two_payment_intents_under_one_reference_the_one_with_money_is_told() -> None:
    paid = INTENT | {"latest_charge": charge_of()}
    refused = INTENT | {"id": "pi_2", "status": "requires_payment_method", "last_payment_error": FUNDS}
    given = look_answered(200, list_of(refused, paid))
    assert isinstance(given, Found)
    assert (given.sighting.processor_ref, given.sighting.seen) == ("pi_1", Seen.SETTLED)
    assert given.sighting.detail == "2 payment intents carry this reference: pi_2, pi_1"


def test_absence_carries_stripes_own_clock() -> None:
    other = INTENT | {"metadata": {"reference": "test-other-1"}}
    given = look_answered(200, list_of(other))
    assert given == NotFound(as_of=datetime(2026, 1, 5, 10, tzinfo=UTC))


@pytest.mark.parametrize(
    ("status", "body", "ref"),
    [
        (200, list_of(has_more=True), None),
        (200, list_of(data=None), None),
        (200, {"object": "list", "data": [], "url": "/"}, None),
        (200, INTENT, None),
        (200, INTENT | {"metadata": {}}, "pi_1"),
        (404, refusal(INVALID, "resource_missing", param="intent"), "pi_1"),
        (429, refusal(INVALID, "rate_limit"), None),
        (403, refusal(INVALID, "account_invalid"), None),
        (500, refusal("api_error", ""), "pi_1"),
    ],
)
def test_what_cannot_be_read_is_a_failed_lookup_and_never_absence(status: int, body: Any, ref: str | None) -> None:
    assert isinstance(look_answered(status, body, ref), LookupFailed)


def test_absence_without_stripes_clock_is_a_failed_lookup() -> None:
    body = json.dumps(list_of()).encode()
    undated = Reply(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    given = on_the_wire(undated, lambda processor, _wire: processor.lookup(look_for(ORDER)))
    assert given == LookupFailed(code="no_date", detail="Stripe's answer has no Date header")


def test_a_charge_whose_amounts_are_no_numbers_shows_no_money() -> None:
    given = look_answered(200, INTENT | {"latest_charge": charge_of(amount_refunded=False)}, "pi_1")
    assert isinstance(given, Found)
    assert given.sighting.seen is Seen.OTHER
