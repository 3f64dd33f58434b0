"""May a queued payment be sent now?"""

from datetime import timedelta
from uuid import UUID

import pytest

from shared.domain import claiming
from shared.domain.claiming import NewAttempt, Recheck
from shared.domain.machine import IllegalTransitionError
from shared.domain.payment import State
from shared.domain.reasons import Reason
from tests.snapshots import NOW, a_payment

FINE = Recheck(
    invoice_open=True,
    amount_matches=True,
    method_present=True,
    method_is_default=True,
    method_expired=False,
    practice_enrolled=True,
    processor_same=True,
    card_busy=False,
    void_requested_by=None,
    held_until=None,
    paused=False,
)
NEW = NewAttempt(
    id=UUID(int=9), token=UUID(int=8), reference="test-1-3", request_text="{}", lease=timedelta(seconds=100)
)


def test_nothing_speaks_against_a_charge_whose_recheck_is_fine() -> None:
    assert FINE.skip_reason is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"practice_enrolled": False}, Reason.PRACTICE_NOT_ENROLLED),
        ({"processor_same": False}, Reason.PROCESSOR_CHANGED),
        ({"invoice_open": False}, Reason.INVOICE_CLOSED),
        ({"amount_matches": False}, Reason.AMOUNT_CHANGED),
        ({"method_present": False}, Reason.METHOD_REMOVED),
        ({"method_is_default": False}, Reason.METHOD_CHANGED),
        ({"method_expired": True}, Reason.METHOD_EXPIRED),
        ({"invoice_open": False, "amount_matches": False}, Reason.INVOICE_CLOSED),
        ({"card_busy": True}, None),
    ],
)
def test_a_charge_that_would_surprise_somebody_is_skipped(change: dict[str, bool], reason: Reason | None) -> None:
    assert FINE._replace(**change).skip_reason is reason  # type: ignore[arg-type]


def test_a_claim_commits_the_intent_before_the_first_byte() -> None:
    step = claiming.claim(a_payment(attempts=2), NEW, now=NOW)
    assert step.attempt
    assert (step.attempt.n, step.attempt.open_sends, step.attempt.sends) == (3, 1, 1)
    assert step.after.state is State.SENDING
    assert step.after.claim_token == NEW.token
    assert step.after.lease_until == NOW + NEW.lease
    assert step.after.on_wire
    assert step.after.current_attempt == NEW.id
    assert step.after.version == step.before.version + 1


@pytest.mark.parametrize("state", [state for state in State if state is not State.QUEUED])
def test_only_a_queued_payment_can_be_claimed_skipped_or_canceled(state: State) -> None:
    payment = a_payment(state)
    with pytest.raises(IllegalTransitionError):
        claiming.claim(payment, NEW, now=NOW)
    with pytest.raises(IllegalTransitionError):
        claiming.skip(payment, Reason.INVOICE_CLOSED, now=NOW)
    with pytest.raises(IllegalTransitionError):
        claiming.cancel(payment, by="user-1", now=NOW)


def test_a_canceled_payment_keeps_who_asked_first() -> None:
    asked = claiming.cancel(a_payment(void_requested_at=NOW, void_requested_by="first"), by="second", now=NOW)
    assert asked.after.void_requested_by == "first"
    assert claiming.cancel(a_payment(), by="second", now=NOW).after.void_requested_by == "second"
