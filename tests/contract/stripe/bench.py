"""Stripe for the contract: its simulator, raw wires with its answers, and its calls."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp

from shared.domain.declines import NeutralCode
from tests.contract.bench import PATIENT_DEADLINE, Call, looking, paying
from tests.contract.wire_server import Reply, WireServer, http, wire_server
from workers.processors.port import ChargeOrder, LookupOrder, Processor, ReturnOrder, Timing
from workers.processors.stripe.adapter import TIMING, StripeProcessor, StripeSettings
from workers.simulators.behaviour import Behaviour
from workers.simulators.core import Core
from workers.simulators.launch import serve
from workers.simulators.stripe.app import CORE, build
from workers.simulators.vault import Method

API_KEY = "sk_test_contract"
PAYMENT = "0195f7a2-6c1e-7000-8000-000000000001"
ORDER = ChargeOrder(
    reference=f"test-{PAYMENT}-1",
    payment_id=PAYMENT,
    attempt_number=1,
    invoice_id="0195f7a2-6c1e-7000-8000-00000000000a",
    account="acct_harbor",
    payer_id="cus_1",
    token="pm_card_visa",
    method_type="card",
    amount_minor=12345,
    currency="USD",
)
CHARGE: dict[str, Any] = {"object": "charge", "amount": 12345, "amount_refunded": 0, "disputed": False}
INTENT: dict[str, Any] = {
    "id": "pi_1",
    "object": "payment_intent",
    "amount": 12345,
    "amount_received": 12345,
    "currency": "usd",
    "metadata": {"reference": ORDER.reference},
    "next_action": None,
    "status": "succeeded",
}
REFUND = ReturnOrder(
    reference=f"test-{PAYMENT}-2",
    account=ORDER.account,
    charge_reference=ORDER.reference,
    charge_processor_ref="pi_1",
    charge_history_ref=None,
    amount_minor=ORDER.amount_minor,
    currency=ORDER.currency,
)
REFUNDED: dict[str, Any] = {
    "id": "re_1",
    "object": "refund",
    "amount": 12345,
    "metadata": {"reference": REFUND.reference},
    "payment_intent": "pi_1",
    "status": "succeeded",
}
PAID = INTENT | {"latest_charge": CHARGE}
INVALID = "invalid_request_error"


def order_of(number: int = 1, **changes: Any) -> ChargeOrder:
    return replace(ORDER, reference=f"test-{PAYMENT}-{number}", attempt_number=number, **changes)


def look_for(order: ChargeOrder, processor_ref: str | None = None) -> LookupOrder:
    now = datetime.now(UTC)
    return LookupOrder(
        reference=order.reference,
        account=order.account,
        payer_id=order.payer_id,
        processor_ref=processor_ref,
        first_send_at=now,
        last_send_at=now,
    )


def list_of(*intents: Any, **changes: Any) -> dict[str, Any]:
    return {"object": "list", "data": list(intents), "has_more": False, "url": "/v1/payment_intents"} | changes


def refusal(error_type: str, code: str, **fields: Any) -> dict[str, Any]:
    return {"error": {"type": error_type, "code": code, "message": "why", **fields}}


_LOOKED_AT = datetime(2026, 1, 5, 9, tzinfo=UTC)
_LOOK = replace(look_for(ORDER), first_send_at=_LOOKED_AT, last_send_at=_LOOKED_AT)
CALLS: Mapping[str, Call] = {
    "charge": paying(lambda it, leave: it.charge(it.freeze_charge(ORDER), leave), json.dumps(INTENT).encode()),
    "refund": paying(lambda it, leave: it.refund(it.freeze_refund(REFUND), leave), json.dumps(REFUNDED).encode()),
    "lookup": looking(lambda it: it.lookup(_LOOK), json.dumps(list_of(PAID)).encode()),
    "retrieve": looking(lambda it: it.lookup(replace(_LOOK, processor_ref="pi_1")), json.dumps(PAID).encode()),
}


# --- A raw wire -------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def adapter(url: str, api_key: str = API_KEY) -> AsyncIterator[StripeProcessor]:
    processor = StripeProcessor(StripeSettings(api_key=api_key, api_base=url))
    try:
        yield processor
    finally:
        await processor.close()


def told(status: int, body: Any, *headers: str) -> Reply:
    """Stripe's answer; `body` is bytes or what becomes JSON."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return http(data, "Stripe-Notice: upgrade your pinned version", *headers, status=f"{status} Whatever")


def on_the_wire(reply: Reply, story: Callable[[Processor, WireServer], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        async with wire_server(reply) as wire, adapter(wire.url) as processor:
            return await story(processor, wire)

    return asyncio.run(run())


def charge_answered(status: int, body: Any, *headers: str) -> Any:
    """What a charge becomes that Stripe answers so."""
    return on_the_wire(told(status, body, *headers), lambda processor, _wire: CALLS["charge"].make(processor))


def refund_answered(status: int, body: Any, *headers: str) -> Any:
    """What a refund becomes that Stripe answers so."""
    return on_the_wire(told(status, body, *headers), lambda processor, _wire: CALLS["refund"].make(processor))


def look_answered(status: int, body: Any, processor_ref: str | None = None) -> Any:
    """What a lookup becomes that Stripe answers so."""
    return on_the_wire(told(status, body), lambda processor, _wire: processor.lookup(look_for(ORDER, processor_ref)))


# --- The simulator ----------------------------------------------------------------------------------------------------


class StripeBench:
    calls = CALLS
    decline = ("decline:insufficient_funds", NeutralCode.INSUFFICIENT_FUNDS)
    secrets = (API_KEY,)
    voids = False

    def __init__(self, url: str, core: Core) -> None:
        self.url = url
        self.core = core
        self.numbers = itertools.count(1)
        self.opened: list[StripeProcessor] = []
        self.processor = self.aimed_at(url)

    def order(self, behaviour: str, *, amount_minor: int = 12_500) -> ChargeOrder:
        order = replace(self.unstored(), amount_minor=amount_minor, currency="usd")
        self.core.vault.put(Method(order.account, order.payer_id, order.token), Behaviour.parse(behaviour))
        return order

    def unstored(self) -> ChargeOrder:
        number = next(self.numbers)
        return order_of(number, payer_id=f"cus_{number}", token=f"pm_{number:024d}")

    def ledger(self, reference: str) -> list[dict[str, Any]]:
        self.core.clock.run_due()
        return self.core.ledger.facts(reference=reference)

    def lookup_of(self, order: ChargeOrder, *, processor_ref: str | None = None) -> LookupOrder:
        return look_for(order, processor_ref)

    async def advance(self, by: timedelta) -> None:
        self.core.clock.advance(by)

    def aimed_at(self, url: str, *, timing: Timing | None = None, connections: int = 20) -> StripeProcessor:
        timing = timing or replace(TIMING, total_deadline=PATIENT_DEADLINE)
        settings = StripeSettings(api_key=API_KEY, api_base=url, timing=timing, in_flight=connections)
        self.opened.append(StripeProcessor(settings))
        return self.opened[-1]

    async def control(self, method: str, name: str, body: Any = None) -> Any:
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, f"{self.url}/_control/{name}", json=body) as response,
        ):
            assert response.status == 200, await response.text()
            return await response.json()

    async def script(self, behaviour: str, operation: str = "charge") -> None:
        await self.control("POST", "script", [{"behaviour": behaviour, "operation": operation}])

    async def charge(self, order: ChargeOrder = ORDER) -> Any:
        return await self.processor.charge(self.processor.freeze_charge(order))

    async def executions(self, order: ChargeOrder = ORDER) -> int:
        return (await self.control("GET", "ledger"))["executions"].get(order.reference, 0)


@asynccontextmanager
async def simulated() -> AsyncIterator[StripeBench]:
    app = build()
    runner, url = await serve(app)
    bench = StripeBench(url, app[CORE])
    try:
        yield bench
    finally:
        for processor in bench.opened:
            await processor.close()
        await runner.cleanup()
