"""Signatures of Stripe's webhooks."""

from datetime import UTC, datetime, timedelta

import pytest

from workers.simulators.stripe.webhooks import signature
from workers.webhooks.stripe_event import read_event
from workers.webhooks.stripe_signature import is_signed

SECRET = "whsec_test"
BODY = b'{"id": "evt_1"}'
NOW = datetime(2026, 3, 17, 16, tzinfo=UTC)
AT = int(NOW.timestamp())
GOOD = signature(BODY, SECRET, AT)
DIGEST = GOOD.rpartition("=")[2]


def signed(header: str, *, body: bytes = BODY, now: datetime = NOW) -> bool:
    return is_signed(body, header, secret=SECRET, now=now)


def test_what_stripe_signed_is_believed_for_five_minutes() -> None:
    minutes = timedelta(minutes=5)
    assert [signed(GOOD, now=NOW + by) for by in (timedelta(0), minutes, -minutes)] == [True] * 3
    second = timedelta(seconds=1)
    assert [signed(GOOD, now=NOW + by) for by in (minutes + second, -minutes - second)] == [False] * 2


def test_while_the_secret_is_replaced_one_of_two_signatures_is_enough() -> None:
    assert signed(f"t={AT},v1={'0' * 64},v1={DIGEST},v0=abc")
    assert not signed(f"t={AT},v1={'0' * 64},v1={'1' * 64}")


@pytest.mark.parametrize(
    "header",
    [
        "",
        DIGEST,
        f"v1={DIGEST}",
        f"t={AT}",
        f"t={AT},v0={DIGEST}",
        f"t={AT},t={AT},v1={DIGEST}",
        f"t=,v1={DIGEST}",
        f"t=-{AT},v1={DIGEST}",
        f"t={AT + 1},v1={DIGEST}",
        f"t={'9' * 30},v1={DIGEST}",
        f"t={AT},v1={DIGEST.upper()}",
        f"t={AT},v1=ü",
        signature(BODY, "whsec_other", AT),
    ],
)
def test_everything_else_is_refused(header: str) -> None:
    assert not signed(header)


def test_one_changed_byte_of_the_body_is_refused() -> None:
    assert not signed(GOOD, body=BODY + b" ")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nothing",
        b"[]",
        b"{}",
        b'{"id": "evt_1", "type": "x", "account": "a"}',
        b'{"id": "evt_1", "type": "x", "data": {"object": {}}}',
        b'{"id": 1, "type": "x", "account": "a", "data": {"object": {}}}',
    ],
)
def test_what_is_no_event_of_an_account_is_not_read(body: bytes) -> None:
    assert read_event(body) is None
