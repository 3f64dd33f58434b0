"""Stripe's refunds: the contract of all processors, and every row of the table of answers on a raw wire."""

from typing import Any

import pytest

from shared.domain.answers import Denial
from tests.contract.bench import OpenBench
from tests.contract.refunds_contract import RefundContract
from tests.contract.stripe.bench import INVALID, REFUND, REFUNDED, refund_answered, refusal, simulated
from workers.processors.port import Blame, NotExecuted, RefundConfirmed, RefundDenied, RefundRefused, Unknown


class TestStripeRefunds(RefundContract):
    chargeback = "dispute"

    @pytest.fixture
    def open_bench(self) -> OpenBench:
        return simulated


@pytest.mark.parametrize("status", ["succeeded", "pending"])
def test_a_refund_that_is_ours_is_confirmed_when_stripe_accepted_it(status: str) -> None:
    assert refund_answered(200, REFUNDED | {"status": status}) == RefundConfirmed(processor_ref="re_1")


@pytest.mark.parametrize("status", ["failed", "canceled"])
def test_a_refund_that_failed_at_once_did_nothing(status: str) -> None:
    assert isinstance(refund_answered(200, REFUNDED | {"status": status}), RefundRefused)


@pytest.mark.parametrize(
    "changes",
    [
        {"amount": 1},
        {"payment_intent": "pi_2"},
        {"payment_intent": None},
        {"metadata": {"reference": f"{REFUND.reference}0"}},
        {"metadata": None},
        {"object": "charge"},
        {"id": ""},
        {"status": "requires_action"},
        {"status": "a_word_of_next_year"},
        {"status": None},
    ],
)
def test_a_success_that_is_not_exactly_ours_is_unknown(changes: dict[str, Any]) -> None:
    assert isinstance(refund_answered(200, REFUNDED | changes), Unknown)


@pytest.mark.parametrize(
    ("code", "denial"),
    [
        ("charge_disputed", Denial.DISPUTED),
        ("refund_disputed_payment", Denial.DISPUTED),
        ("balance_insufficient", Denial.FUNDS_SHORT),
        ("insufficient_funds", Denial.FUNDS_SHORT),
    ],
)
def test_what_only_people_can_remove_denies_the_refund(code: str, denial: Denial) -> None:
    assert refund_answered(400, refusal(INVALID, code)) == RefundDenied(code=code, denial=denial, detail="why req_1")


@pytest.mark.parametrize("code", ["charge_already_refunded", "charge_not_refundable"])
def test_what_may_mean_refunded_already_proves_nothing_about_the_charge(code: str) -> None:
    assert refund_answered(400, refusal(INVALID, code)) == RefundRefused(code=code, detail="why req_1")


@pytest.mark.parametrize(
    ("status", "body", "blame"),
    [
        (429, refusal(INVALID, "rate_limit"), Blame.NOTHING),
        (400, refusal(INVALID, "a_code_of_next_year"), Blame.US),
        (401, refusal(INVALID, "api_key_expired"), Blame.MERCHANT),
        (403, refusal(INVALID, "account_invalid"), Blame.MERCHANT),
        (404, refusal(INVALID, "resource_missing", param="payment_intent"), Blame.US),
    ],
)
def test_any_other_refusal_did_not_execute_and_says_whose_trouble_it_is(
    status: int, body: dict[str, Any], blame: Blame
) -> None:
    answer = refund_answered(status, body)
    assert isinstance(answer, NotExecuted)
    assert answer.blame is blame


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b"<html>"),
        (400, b"<html>"),
        (402, refusal("card_error", "card_declined")),
        (409, refusal(INVALID, "idempotency_key_in_use")),
        (400, refusal("idempotency_error", "")),
        (500, refusal("api_error", "")),
        (503, b""),
    ],
)
def test_whatever_else_stripe_says_is_unknown(status: int, body: Any) -> None:
    assert isinstance(refund_answered(status, body), Unknown)
