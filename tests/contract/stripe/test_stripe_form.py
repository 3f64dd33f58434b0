"""The charge, which does not go through the SDK, is on the wire what the SDK would have sent."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import parse_qsl

import pytest
import stripe

from tests.contract.stripe.bench import API_KEY, INTENT, ORDER, adapter, order_of
from tests.contract.wire_server import http, wire_server
from workers.processors.stripe.form import encode

# What the SDK adds about itself; the charge names itself in User-Agent.
ITS_OWN = {"X-Stripe-Client-User-Agent", "User-Agent"}


class Catcher(stripe.HTTPClient):
    """Keeps what the SDK would send."""

    name: ClassVar[str] = "catcher"

    def __init__(self) -> None:
        super().__init__()
        self.body = ""
        self.headers: dict[str, str] = {}

    async def request_async(
        self, _method: str, _url: str, headers: Mapping[str, str], post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        self.body, self.headers = post_data, dict(headers)
        return json.dumps(INTENT).encode(), 200, {}


def sent_by_the_sdk(params: Mapping[str, Any]) -> Catcher:
    catcher = Catcher()
    client = stripe.StripeClient(API_KEY, max_network_retries=0, http_client=catcher)
    asyncio.run(
        client.raw_request_async(
            "post",
            "/v1/payment_intents",
            stripe_account=ORDER.account,
            idempotency_key=ORDER.reference,
            **params,
        )
    )
    return catcher


@pytest.mark.parametrize("order", [ORDER, order_of(2, payer_id="cus_ä ö&=+%", token="pm_~/:")])
def test_a_charge_is_byte_for_byte_what_the_sdk_would_send(order: Any) -> None:
    async def scenario() -> tuple[dict[str, str], bytes, Mapping[str, Any]]:
        async with wire_server(http(json.dumps(INTENT).encode())) as wire, adapter(wire.url) as processor:
            text = processor.freeze_charge(order)
            await processor.charge(text)
            (request,) = wire.requests
            head, _, body = request.partition(b"\r\n\r\n")
            lines = [line.split(": ", 1) for line in head.decode().split("\r\n")[1:]]
            return dict(lines), body, json.loads(text)

    headers, body, frozen = asyncio.run(scenario())
    sdk = sent_by_the_sdk(frozen["params"])
    assert body == sdk.body.encode()
    expected = {name: value for name, value in sdk.headers.items() if name not in ITS_OWN}
    assert {name: headers.get(name) for name in expected} == expected | {"Idempotency-Key": order.reference}


@pytest.mark.parametrize(
    "params",
    [
        {"a": None, "b": True, "c": False, "d": 0},
        {"list": ["x", {"y": "z"}, ["n"]], "nested": {"deep": {"deeper": "end"}}},
        {"brackets [and] more": "[value]", "empty": ""},
    ],
)
def test_nested_parameters_mean_what_the_sdk_makes_of_them(params: dict[str, Any]) -> None:
    ours = parse_qsl(encode(params).decode(), keep_blank_values=True)
    assert ours == parse_qsl(sent_by_the_sdk(params).body, keep_blank_values=True)
