"""The bytes that the Stripe adapter sends, and how it takes broken connections and answers."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.contract.bench import Bench, OpenBench, play
from tests.contract.departure_contract import DepartureContract
from tests.contract.http_contract import HttpContract
from tests.contract.stripe.bench import CALLS, INTENT, ORDER, REFUND, on_the_wire, simulated, told
from tests.contract.wire_contract import WireContract
from tests.contract.wire_server import SILENCE, WireServer, http, wire_server
from workers.processors.port import Blame, NotExecuted, Processor
from workers.processors.stripe.adapter import StripeProcessor, StripeSettings


@pytest.fixture
def open_bench() -> OpenBench:
    return simulated


@pytest.fixture(params=CALLS)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=[name for name, call in CALLS.items() if call.pays])
def paying(request: pytest.FixtureRequest) -> str:
    return request.param


class TestStripeConnections(WireContract):
    pass


class TestStripeDepartures(DepartureContract):
    pass


class TestStripeHttp(HttpContract):
    pass


GOLDEN_TEXT = (
    '{"account":"acct_harbor","idempotency_key":"test-0195f7a2-6c1e-7000-8000-000000000001-1","params":{"amount":12345,'
    '"confirm":true,"currency":"usd","customer":"cus_1","metadata":{"attempt":"1",'
    '"invoice_id":"0195f7a2-6c1e-7000-8000-00000000000a","payment_id":"0195f7a2-6c1e-7000-8000-000000000001",'
    '"reference":"test-0195f7a2-6c1e-7000-8000-000000000001-1"},"off_session":true,"payment_method":"pm_card_visa",'
    '"payment_method_types":["card"]}}'
)
GOLDEN_BODY = (
    b"amount=12345&confirm=true&currency=usd&customer=cus_1&metadata[attempt]=1"
    b"&metadata[invoice_id]=0195f7a2-6c1e-7000-8000-00000000000a"
    b"&metadata[payment_id]=0195f7a2-6c1e-7000-8000-000000000001"
    b"&metadata[reference]=test-0195f7a2-6c1e-7000-8000-000000000001-1"
    b"&off_session=true&payment_method=pm_card_visa&payment_method_types[0]=card"
)
HEADERS = [
    "Authorization",
    "Content-Length",
    "Content-Type",
    "Host",
    "Idempotency-Key",
    "Stripe-Account",
    "Stripe-Version",
    "User-Agent",
]


@pytest.mark.parametrize("status", ["400 Bad Request", "402 Payment Required", "409 Conflict"])
def test_a_refusal_ends_its_connection_though_it_shows_what_it_is_about(status: str) -> None:
    async def story(bench: Bench) -> None:
        body = json.dumps({"error": {"type": "card_error", "code": "card_declined", "payment_intent": INTENT}}).encode()
        async with wire_server(http(body, status=status)) as wire:
            processor = bench.aimed_at(wire.url)
            for _ in range(2):
                await processor.charge(processor.freeze_charge(ORDER))
            assert (len(wire.requests), wire.connections) == (2, 2)

    play(simulated, story)


def test_a_charge_on_the_wire_is_exactly_as_agreed() -> None:
    async def story(processor: Processor, wire: WireServer) -> bytes:
        assert processor.freeze_charge(ORDER) == GOLDEN_TEXT
        await processor.charge(GOLDEN_TEXT)
        return wire.requests[0]

    head, _, body = on_the_wire(told(200, INTENT), story).partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"POST /v1/payment_intents HTTP/1.1"
    assert body == GOLDEN_BODY
    assert sorted(line.split(b":")[0].decode() for line in lines[1:]) == HEADERS
    assert b"Stripe-Account: acct_harbor" in lines
    assert f"Idempotency-Key: {ORDER.reference}".encode() in lines
    assert b"Authorization: Bearer sk_test_contract" in lines
    assert b"platform" not in head


def test_a_void_sends_nothing() -> None:
    async def story(processor: Processor, wire: WireServer) -> None:
        given = await processor.void(processor.freeze_void(REFUND))
        assert isinstance(given, NotExecuted)
        assert given.blame is Blame.US
        assert wire.requests == []
        assert await processor.day_report("acct_harbor", datetime.now(UTC).date()) is None

    on_the_wire(SILENCE, story)


def test_a_bank_account_is_charged_with_its_own_type() -> None:
    processor = StripeProcessor(StripeSettings(api_key="sk_test_contract"))
    frozen: Any = json.loads(processor.freeze_charge(replace(ORDER, method_type="us_bank_account")))
    assert frozen["params"]["payment_method_types"] == ["us_bank_account"]


def test_the_key_does_not_show_in_the_settings() -> None:
    assert "sk_live_1" not in repr(StripeSettings(api_key="sk_live_1"))
