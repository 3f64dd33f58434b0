"""Every row of Stripe's table of answers, replayed on a raw wire."""

from datetime import timedelta
from typing import Any

import pytest

from shared.domain.declines import Category, Decline, NeutralCode
from tests.contract.stripe.bench import INTENT, INVALID, charge_answered, refusal
from workers.processors.port import Blame, Declined, NotExecuted, Processing, Settled, Unknown
from workers.processors.stripe.codes import ADVICE, DECLINES, NETWORK_NEVER_AGAIN, decline


def card_error(**fields: Any) -> dict[str, Any]:
    intent = {"id": "pi_1", "object": "payment_intent", "status": "requires_payment_method"}
    return {"error": {"type": "card_error", "code": "card_declined", "payment_intent": intent, **fields}}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, Settled(processor_ref="pi_1")),
        ({"status": "processing", "amount_received": 0}, Processing(processor_ref="pi_1")),
        (
            {"status": "requires_action", "amount_received": 0, "next_action": {"type": "use_stripe_sdk"}},
            Declined(
                decline=Decline(code=NeutralCode.CLIENT_MUST_CONFIRM, raw_code="requires_action"), processor_ref="pi_1"
            ),
        ),
    ],
)
def test_a_payment_intent_that_is_ours_means_what_its_status_says(changes: dict[str, Any], expected: object) -> None:
    assert charge_answered(200, INTENT | changes) == expected


@pytest.mark.parametrize(
    "changes",
    [
        {"amount": 12346},
        {"amount_received": 100},
        {"currency": "cad"},
        {"metadata": {"reference": "test-other-1"}},
        {"metadata": None},
        {"object": "charge"},
        {"id": ""},
        {"id": None},
        {"status": "requires_capture"},
        {"status": "canceled"},
        {"status": "requires_payment_method"},
        {"status": "a_word_of_next_year"},
        {"status": None},
        {"status": "requires_action", "next_action": {"type": "verify_with_microdeposits"}},
    ],
)
def test_a_success_that_is_not_exactly_ours_is_unknown(changes: dict[str, Any]) -> None:
    assert isinstance(charge_answered(200, INTENT | changes), Unknown)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"null", b'"pi_1"', b"{}", b"<html>fine</html>", b'{"id": "pi_', b"\xff\xfe"]
)
@pytest.mark.parametrize("status", [200, 402, 400, 401, 429, 500])
def test_a_body_that_is_not_stripes_is_unknown_whatever_the_status(status: int, body: bytes) -> None:
    assert isinstance(charge_answered(status, body), Unknown)


@pytest.mark.parametrize("code", DECLINES)
def test_every_decline_code_of_the_table_is_a_definite_decline(code: str) -> None:
    given = decline({"code": "card_declined", "decline_code": code})
    assert given == Decline(code=DECLINES[code], raw_code=code)


@pytest.mark.parametrize("error", [{}, {"code": ""}, {"code": 7, "decline_code": {"stolen_card": True}}])
def test_a_decline_without_a_code_refuses_softly(error: dict[str, Any]) -> None:
    assert decline(error) == Decline(code=NeutralCode.DECLINED, raw_code="unknown")


@pytest.mark.parametrize(
    ("fields", "code", "category"),
    [
        ({"decline_code": "insufficient_funds"}, NeutralCode.INSUFFICIENT_FUNDS, Category.SOFT),
        ({"decline_code": "stolen_card"}, NeutralCode.REFUSED_FOR_GOOD, Category.HARD),
        ({"code": "expired_card", "decline_code": "expired_card"}, NeutralCode.EXPIRED, Category.DATA),
        ({"code": "authentication_required"}, NeutralCode.CLIENT_MUST_CONFIRM, Category.CLIENT),
        ({"decline_code": "a_code_of_next_year"}, NeutralCode.DECLINED, Category.SOFT),
        (
            {"decline_code": "generic_decline", "advice_code": "do_not_try_again"},
            NeutralCode.REFUSED_FOR_GOOD,
            Category.HARD,
        ),
        ({"decline_code": "generic_decline", "advice_code": "confirm_card_data"}, NeutralCode.CARD_DATA, Category.DATA),
        (
            {"decline_code": "generic_decline", "advice_code": "try_again_later"},
            NeutralCode.DO_NOT_HONOR,
            Category.SOFT,
        ),
        ({"decline_code": "expired_card", "advice_code": "do_not_try_again"}, NeutralCode.EXPIRED, Category.DATA),
        ({"decline_code": "do_not_honor", "network_advice_code": "03"}, NeutralCode.REFUSED_FOR_GOOD, Category.HARD),
        ({"decline_code": "do_not_honor", "network_decline_code": "R0"}, NeutralCode.REVOKED_BY_CLIENT, Category.HARD),
    ],
)
def test_a_402_is_a_decline_with_the_category_of_code_and_advice(
    fields: dict[str, str], code: NeutralCode, category: Category
) -> None:
    given = charge_answered(402, card_error(**fields))
    assert isinstance(given, Declined)
    assert (given.decline.code, given.decline.category, given.processor_ref) == (code, category, "pi_1")
    assert given.decline.raw_code == fields.get("decline_code", fields.get("code"))


def test_every_advice_and_network_code_takes_the_card_out_of_retry() -> None:
    for code in (*ADVICE.values(), *NETWORK_NEVER_AGAIN.values()):
        assert Decline(code=code, raw_code="x").category is not Category.SOFT


@pytest.mark.parametrize("status", ["succeeded", "processing", "requires_capture"])
def test_a_402_that_shows_money_contradicts_itself_and_is_unknown(status: str) -> None:
    assert isinstance(charge_answered(402, card_error(payment_intent={"id": "pi_1", "status": status})), Unknown)


@pytest.mark.parametrize(
    ("status", "body", "blame"),
    [
        (429, refusal(INVALID, "rate_limit"), Blame.NOTHING),
        (429, refusal(INVALID, "lock_timeout"), Blame.NOTHING),
        (400, refusal(INVALID, "rate_limit"), Blame.NOTHING),
        (400, refusal(INVALID, "parameter_missing", param="amount"), Blame.US),
        (400, refusal(INVALID, "amount_too_small", param="amount"), Blame.US),
        (400, refusal(INVALID, "a_code_of_next_year"), Blame.US),
        (404, refusal(INVALID, "resource_missing", param="account"), Blame.US),
        (404, refusal(INVALID, "resource_missing", param="payment_method"), Blame.METHOD),
        (400, refusal(INVALID, "resource_missing", param="payment_method"), Blame.METHOD),
        (400, refusal(INVALID, "resource_missing", param="customer"), Blame.METHOD),
        (400, refusal(INVALID, "payment_method_unactivated"), Blame.METHOD),
        (400, refusal(INVALID, "account_invalid"), Blame.MERCHANT),
        (401, refusal(INVALID, "api_key_expired"), Blame.MERCHANT),
        (403, refusal(INVALID, "account_invalid"), Blame.MERCHANT),
    ],
)
def test_a_refusal_did_not_execute_and_says_whose_trouble_it_is(
    status: int, body: dict[str, Any], blame: Blame
) -> None:
    given = charge_answered(status, body)
    assert isinstance(given, NotExecuted)
    assert (given.code, given.blame) == (body["error"]["code"], blame)
    assert given.detail == "why req_1"


@pytest.mark.parametrize(("header", "seconds"), [("7", 7), ("99999", 600), ("soon", None), ("-1", None)])
def test_a_rate_limit_says_when_to_come_back(header: str, seconds: int | None) -> None:
    given = charge_answered(429, refusal(INVALID, "rate_limit"), f"Retry-After: {header}")
    assert isinstance(given, NotExecuted)
    assert given.retry_after == timedelta(seconds=1 if seconds is None else seconds)


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (409, refusal(INVALID, "idempotency_key_in_use"), "idempotency_key_in_use"),
        (409, refusal("idempotency_error", "idempotency_key_in_use"), "idempotency_key_in_use"),
        (400, {"error": {"type": "idempotency_error", "message": "differs"}}, "idempotency_error"),
        (500, refusal("api_error", "whatever"), "http_500"),
        (502, refusal("api_error", "whatever"), "http_502"),
        (418, refusal(INVALID, "whatever"), "http_418"),
        (302, refusal(INVALID, "whatever"), "http_302"),
        (402, refusal(INVALID, "whatever"), "http_402"),
    ],
)
def test_what_may_have_executed_is_unknown(status: int, body: dict[str, Any], code: str) -> None:
    given = charge_answered(status, body, "Location: http://127.0.0.1:1/elsewhere")
    assert isinstance(given, Unknown)
    assert given.code == code
