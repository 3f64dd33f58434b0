"""What asking for a refund does to a payment in each state."""

import pytest

from shared.domain import refund_requests
from shared.domain.payment import State
from shared.domain.reasons import Reason
from shared.domain.refund_requests import RefundResult
from tests.snapshots import NOW, a_payment


@pytest.mark.parametrize(
    ("state", "result"),
    [
        (State.SETTLED, RefundResult.REFUNDING),
        (State.SURPLUS, RefundResult.REFUNDING),
        (State.REFUNDING, RefundResult.ALREADY_ASKED),
        (State.QUEUED, RefundResult.NOT_SETTLED),
        (State.SENDING, RefundResult.NOT_SETTLED),
        (State.UNKNOWN, RefundResult.NOT_SETTLED),
        (State.PROCESSING, RefundResult.NOT_SETTLED),
        (State.APPROVED, RefundResult.NOT_SETTLED),
        (State.VOIDING, RefundResult.NOT_SETTLED),
        (State.DECLINED, RefundResult.NOTHING_TO_REFUND),
        (State.FAILED, RefundResult.NOTHING_TO_REFUND),
        (State.SKIPPED, RefundResult.NOTHING_TO_REFUND),
        (State.CANCELED, RefundResult.NOTHING_TO_REFUND),
        (State.VOIDED, RefundResult.NOTHING_TO_REFUND),
        (State.REFUNDED, RefundResult.ALREADY_REFUNDED),
    ],
)
def test_only_what_is_settled_is_refunded(state: State, result: RefundResult) -> None:
    told, step = refund_requests.ask(a_payment(state), disputed=False, now=NOW)
    assert told is result
    assert (step.after.state if step else None) == (State.REFUNDING if result is RefundResult.REFUNDING else None)


@pytest.mark.parametrize("state", [State.SETTLED, State.SURPLUS])
def test_a_disputed_payment_is_not_refunded(state: State) -> None:
    assert refund_requests.ask(a_payment(state), disputed=True, now=NOW) == (RefundResult.DISPUTED, None)


def test_asking_again_forgets_why_the_last_refund_was_refused() -> None:
    payment = a_payment(State.SETTLED, reason_code=Reason.REFUND_FUNDS_SHORT.value, reason_raw_code="563")
    _, step = refund_requests.ask(payment, disputed=False, now=NOW)
    assert step
    assert (step.after.reason_code, step.after.reason_raw_code) == (None, None)


def test_every_result_has_words() -> None:
    assert all(refund_requests.words(result).what and refund_requests.words(result).fix for result in RefundResult)
