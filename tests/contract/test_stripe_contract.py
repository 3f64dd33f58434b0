"""The Stripe adapter against raw wires (every row of the mapping table, one request a call) and the simulator."""

import asyncio
import contextlib
import dataclasses
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest
import stripe
from aiohttp import web

from shared.domain.declines import Category, Decline, NeutralCode
from tests.contract.processor_contract import SHORT_DEADLINE, OpenBench, ProcessorContract
from workers.processors.port import (
    Blame,
    ChargeOrder,
    Declined,
    Found,
    LookupFailed,
    LookupOrder,
    NotExecuted,
    NotFound,
    Processing,
    Processor,
    Seen,
    Settled,
    Unknown,
    VoidOrder,
)
from workers.processors.stripe import TIMING, StripeProcessor, StripeSettings
from workers.processors.stripe_codes import ADVICE, DECLINES, NETWORK_NEVER_AGAIN, decline
from workers.processors.stripe_transport import InterruptedSendError, Transport, TransportLimits
from workers.simulators.behaviour import Behaviour
from workers.simulators.core import Core
from workers.simulators.launch import serve
from workers.simulators.stripe import CORE, build
from workers.simulators.vault import Method

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
API_KEY = "sk_test_contract"
QUICK = dataclasses.replace(TIMING, total_deadline=SHORT_DEADLINE)

Play = Callable[[asyncio.StreamReader, asyncio.StreamWriter, bytes], Awaitable[None]]


def order_of(number: int = 1, **changes: Any) -> ChargeOrder:
    return dataclasses.replace(ORDER, reference=f"test-{PAYMENT}-{number}", attempt_number=number, **changes)


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


# --- A raw wire: what comes in is kept, what goes out is up to the test -----------------------------------------------


class RawWire:
    def __init__(self, play: Play) -> None:
        self.requests: list[bytes] = []
        self.arrived = asyncio.Event()
        self.url = ""
        self._play = play
        self._talks: set[asyncio.Task[None]] = set()

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._talks.add(asyncio.create_task(self._talk(reader, writer)))

    async def end(self) -> None:
        for talk in self._talks:
            talk.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while not writer.is_closing():
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(
                    (
                        int(line.split(b":")[1])
                        for line in head.split(b"\r\n")
                        if line.lower().startswith(b"content-le")
                    ),
                    0,
                )
                request = head + await reader.readexactly(length)
                self.requests.append(request)
                self.arrived.set()
                await self._play(reader, writer, request)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.transport.abort() if not writer.is_closing() else writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


@contextlib.asynccontextmanager
async def raw_wire(play: Play) -> AsyncIterator[RawWire]:
    wire = RawWire(play)
    server = await asyncio.start_server(wire.accept, "127.0.0.1", 0)
    wire.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield wire
    finally:
        server.close()
        await wire.end()


@contextlib.asynccontextmanager
async def adapter(url: str, api_key: str = API_KEY) -> AsyncIterator[StripeProcessor]:
    processor = StripeProcessor(StripeSettings(api_key=api_key, api_base=url, timing=QUICK))
    try:
        yield processor
    finally:
        await processor.close()


def answer(status: int, body: bytes, *headers: str) -> bytes:
    lines = [
        f"HTTP/1.1 {status} Whatever",
        f"Content-Length: {len(body)}",
        "Content-Type: application/json",
        "Date: Mon, 05 Jan 2026 10:00:00 GMT",
        "Request-Id: req_1",
        "Stripe-Notice: upgrade your pinned version",
        *headers,
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def saying(data: bytes, *, close: bool = False) -> Play:
    async def play(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _request: bytes) -> None:
        writer.write(data)
        await writer.drain()
        if close:
            writer.close()

    return play


async def silence(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter, _request: bytes) -> None:
    await reader.read()


async def slam(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _request: bytes) -> None:
    writer.close()


async def abort(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _request: bytes) -> None:
    writer.transport.abort()


async def drip(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _request: bytes) -> None:
    writer.write(answer(200, b" " * 1000)[:-1000])
    while not writer.is_closing():
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.05)


def charge_against(play: Play) -> tuple[Any, list[bytes]]:
    async def scenario() -> tuple[Any, list[bytes]]:
        async with raw_wire(play) as wire, adapter(wire.url) as processor:
            return await processor.charge(processor.freeze_charge(ORDER)), wire.requests

    return asyncio.run(scenario())


def charge_answered(status: int, body: Any, *headers: str) -> Any:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    given, requests = charge_against(saying(answer(status, data, *headers)))
    assert len(requests) == 1
    return given


# --- The mapping table ------------------------------------------------------------------------------------------------


def card_error(**fields: Any) -> dict[str, Any]:
    intent = {"id": "pi_1", "object": "payment_intent", "status": "requires_payment_method"}
    return {"error": {"type": "card_error", "code": "card_declined", "payment_intent": intent, **fields}}


def refusal(error_type: str, code: str, **fields: Any) -> dict[str, Any]:
    return {"error": {"type": error_type, "code": code, "message": "why", **fields}}


INVALID = "invalid_request_error"


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


@pytest.mark.parametrize(
    ("play", "code"),
    [
        (silence, "timeout"),
        (drip, "timeout"),
        (slam, "connection_broken"),
        (abort, "connection_broken"),
        (saying(answer(200, json.dumps(INTENT).encode())[:-20], close=True), "connection_broken"),
        (saying(b"SSH-2.0-OpenSSH_9.6\r\n", close=True), "connection_broken"),
        (saying(answer(200, b" " * (9 * 1024 * 1024))), "answer_too_long"),
    ],
)
def test_a_broken_answer_is_unknown_after_one_request(play: Play, code: str) -> None:
    given, requests = charge_against(play)
    assert isinstance(given, Unknown)
    assert given.code == code
    assert len(requests) == 1


def test_a_refused_connection_did_not_execute() -> None:
    async def scenario() -> object:
        async with raw_wire(silence) as wire:
            url = wire.url
        async with adapter(url) as processor:
            return await processor.charge(processor.freeze_charge(ORDER))

    given = asyncio.run(scenario())
    assert isinstance(given, NotExecuted)
    assert (given.code, given.blame) == ("not_connected", Blame.NOTHING)


def test_cancelling_a_charge_is_not_swallowed() -> None:
    async def scenario() -> None:
        async with raw_wire(silence) as wire, adapter(wire.url) as processor:
            task = asyncio.create_task(processor.charge(processor.freeze_charge(ORDER)))
            await wire.arrived.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(scenario())


# --- One request a call -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", [slam, abort])
@pytest.mark.parametrize("operation", ["charge", "lookup", "retrieve"])
def test_no_call_is_resent_on_a_cold_or_a_warm_connection(end: Play, operation: str) -> None:
    async def scenario() -> None:
        served = 0

        async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> None:
            nonlocal served
            served += 1
            await (end if served != 2 else saying(answer(200, json.dumps(INTENT).encode())))(reader, writer, request)

        async def call(processor: Processor) -> object:
            if operation == "charge":
                return await processor.charge(processor.freeze_charge(ORDER))
            return await processor.lookup(look_for(ORDER, "pi_1" if operation == "retrieve" else None))

        async with raw_wire(play) as wire, adapter(wire.url) as processor:
            assert isinstance(await call(processor), Unknown | LookupFailed)
            assert len(wire.requests) == 1
            assert isinstance(await processor.charge(processor.freeze_charge(ORDER)), Settled)
            assert isinstance(await call(processor), Unknown | LookupFailed)
            assert len(wire.requests) == 3

    asyncio.run(scenario())


@pytest.mark.parametrize("method", ["GET", "PUT", "POST"])
def test_the_transport_sends_methods_once_that_aiohttp_would_repeat(method: str) -> None:
    async def scenario() -> None:
        async with raw_wire(slam) as wire:
            limits = TransportLimits(connections=1, total=SHORT_DEADLINE, read=SHORT_DEADLINE, connect=SHORT_DEADLINE)
            transport = Transport(limits, tls=None)
            with pytest.raises(InterruptedSendError):
                await transport.request(method, f"{wire.url}/v1/anything", {}, None)
            await transport.close()
            assert len(wire.requests) == 1

    asyncio.run(scenario())


def test_a_void_sends_nothing() -> None:
    async def scenario() -> None:
        async with raw_wire(silence) as wire, adapter(wire.url) as processor:
            order = VoidOrder(
                reference=f"test-{PAYMENT}-2",
                account="acct_harbor",
                charge_reference=ORDER.reference,
                charge_processor_ref="pi_1",
                charge_history_ref=None,
            )
            given = await processor.void(processor.freeze_void(order))
            assert isinstance(given, NotExecuted)
            assert given.blame is Blame.US
            assert wire.requests == []
            assert await processor.day_report("acct_harbor", datetime.now(UTC).date()) is None

    asyncio.run(scenario())


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
    "X-Stripe-Client-User-Agent",
]


def test_two_sends_of_one_frozen_charge_are_byte_identical_and_as_agreed() -> None:
    async def scenario() -> list[bytes]:
        async with raw_wire(saying(answer(200, json.dumps(INTENT).encode()))) as wire:
            for _ in range(2):
                async with adapter(wire.url) as processor:
                    assert processor.freeze_charge(ORDER) == GOLDEN_TEXT
                    await processor.charge(GOLDEN_TEXT)
            return wire.requests

    first, second = asyncio.run(scenario())
    assert first == second
    head, _, body = first.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"POST /v1/payment_intents HTTP/1.1"
    assert body == GOLDEN_BODY
    names = sorted(line.split(b":")[0].decode() for line in lines[1:])
    assert names == HEADERS
    assert b"Stripe-Account: acct_harbor" in lines
    assert f"Idempotency-Key: {ORDER.reference}".encode() in lines
    assert b"Authorization: Bearer sk_test_contract" in lines
    assert b"platform" not in head


def test_a_bank_account_is_charged_with_its_own_type() -> None:
    processor = StripeProcessor(StripeSettings(api_key="sk_test_contract"))
    frozen = json.loads(processor.freeze_charge(dataclasses.replace(ORDER, method_type="us_bank_account")))
    assert frozen["params"]["payment_method_types"] == ["us_bank_account"]


def test_the_key_does_not_show_in_the_settings() -> None:
    assert "sk_live_1" not in repr(StripeSettings(api_key="sk_live_1"))


# --- Lookups on a raw wire --------------------------------------------------------------------------------------------


def look_answered(status: int, body: Any, processor_ref: str | None = None, *, data: bytes | None = None) -> Any:
    async def scenario() -> object:
        play = saying(data if data is not None else answer(status, json.dumps(body).encode()))
        async with raw_wire(play) as wire, adapter(wire.url) as processor:
            return await processor.lookup(look_for(ORDER, processor_ref))

    return asyncio.run(scenario())


def charge_of(**changes: Any) -> dict[str, Any]:
    return {"object": "charge", "amount": 12345, "amount_refunded": 0, "disputed": False, **changes}


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
    body = {"object": "list", "data": [intent], "has_more": False, "url": "/"} if listed else intent
    given = look_answered(200, body, None if listed else "pi_1")
    assert isinstance(given, Found)
    sighting = given.sighting
    assert (sighting.seen, sighting.decline, sighting.detail) == (seen, reason, detail)
    assert (sighting.reference, sighting.processor_ref, sighting.amount_minor) == (ORDER.reference, "pi_1", 12345)


def test_of_two_payment_intents_under_one_reference_the_one_with_money_is_told() -> None:
    paid = INTENT | {"latest_charge": charge_of()}
    refused = INTENT | {"id": "pi_2", "status": "requires_payment_method", "last_payment_error": FUNDS}
    given = look_answered(200, {"object": "list", "data": [refused, paid], "has_more": False, "url": "/"})
    assert isinstance(given, Found)
    assert (given.sighting.processor_ref, given.sighting.seen) == ("pi_1", Seen.SETTLED)
    assert given.sighting.detail == "2 payment intents carry this reference: pi_2, pi_1"


def test_absence_carries_stripes_own_clock() -> None:
    other = INTENT | {"metadata": {"reference": "test-other-1"}}
    given = look_answered(200, {"object": "list", "data": [other], "has_more": False, "url": "/"})
    assert given == NotFound(as_of=datetime(2026, 1, 5, 10, tzinfo=UTC))


@pytest.mark.parametrize(
    ("status", "body", "ref"),
    [
        (200, {"object": "list", "data": [], "has_more": True, "url": "/"}, None),
        (200, {"object": "list", "data": None, "has_more": False, "url": "/"}, None),
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
    body = b'{"object": "list", "data": [], "has_more": false, "url": "/"}'
    data = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    assert look_answered(200, None, data=data) == LookupFailed(
        code="no_date", detail="Stripe's answer has no Date header"
    )


def test_a_lookup_that_hangs_ends_with_the_deadline() -> None:
    async def scenario() -> object:
        async with raw_wire(silence) as wire, adapter(wire.url) as processor:
            return await processor.lookup(look_for(ORDER))

    assert isinstance(asyncio.run(scenario()), LookupFailed)


# --- Against the simulator --------------------------------------------------------------------------------------------


class Bench:
    """Also what the contract of all processors asks for."""

    processor: Processor
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
        order = dataclasses.replace(self.unstored(), amount_minor=amount_minor, currency="usd")
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

    def aimed_at(self, url: str) -> StripeProcessor:
        settings = StripeSettings(api_key=API_KEY, api_base=url, timing=QUICK)
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


@contextlib.asynccontextmanager
async def simulated() -> AsyncIterator[Bench]:
    app = build()
    runner, url = await serve(app)
    bench = Bench(url, app[CORE])
    try:
        yield bench
    finally:
        for processor in bench.opened:
            await processor.close()
        await runner.cleanup()


class TestStripe(ProcessorContract):
    @pytest.fixture
    def open_bench(self) -> OpenBench:
        return simulated


@pytest.mark.parametrize(
    ("behaviour", "lost", "executions"),
    [
        ("hang_before_execute", "timeout", 0),
        ("hang_after_execute", "timeout", 1),
        ("reset_before_execute", "connection_broken", 0),
        ("reset_after_execute", "connection_broken", 1),
        ("http_500_before", "http_500", 0),
        ("http_500_after", "http_500", 1),
        ("truncated_after_execute", "connection_broken", 1),
        ("garbled_after_execute", "http_200", 1),
        ("html_after_execute", "http_200", 1),
    ],
)
def test_a_lost_answer_is_unknown_and_found_by_lookup_if_it_executed(
    behaviour: str, lost: str, executions: int
) -> None:
    async def scenario() -> None:
        async with simulated() as bench:
            await bench.script(behaviour)
            given = await bench.charge()
            assert isinstance(given, Unknown)
            assert given.code == lost
            assert await bench.executions() == executions
            found = await bench.processor.lookup(look_for(ORDER))
            assert isinstance(found, Found if executions else NotFound)
            again = await bench.charge()
            # A 500 is what the key keeps; everything else is resolved by the same key.
            assert isinstance(again, Unknown if lost == "http_500" else Settled)
            assert await bench.executions() == (0 if behaviour == "http_500_before" else 1)

    asyncio.run(scenario())


def test_a_late_execution_is_seen_after_not_found() -> None:
    async def scenario() -> None:
        async with simulated() as bench:
            await bench.script("execute_late:3600")
            assert isinstance(await bench.charge(), Unknown)
            assert isinstance(await bench.processor.lookup(look_for(ORDER)), NotFound)
            again = await bench.charge()
            assert isinstance(again, Unknown)
            assert again.code == "idempotency_key_in_use"
            await bench.control("POST", "clock", {"advance_s": 3601})
            found = await bench.processor.lookup(look_for(ORDER))
            assert isinstance(found, Found)
            assert found.sighting.seen is Seen.SETTLED
            assert await bench.executions() == 1

    asyncio.run(scenario())


def test_a_bank_debit_is_processing_until_its_day_comes() -> None:
    async def scenario() -> None:
        async with simulated() as bench:
            good = order_of(1, method_type="us_bank_account", token="pm_usBankAccount_success")
            bad = order_of(2, method_type="us_bank_account", token="pm_usBankAccount_accountClosed")
            refs = {}
            for order in (good, bad):
                given = await bench.charge(order)
                assert isinstance(given, Processing)
                refs[order] = given.processor_ref
            await bench.control("POST", "clock", {"advance_s": 5 * 86400})
            paid, refused = [await bench.processor.lookup(look_for(each, refs[each])) for each in (good, bad)]
            assert isinstance(paid, Found)
            assert paid.sighting.seen is Seen.SETTLED
            assert isinstance(refused, Found)
            assert refused.sighting.decline == Decline(code=NeutralCode.ACCOUNT_CLOSED, raw_code="account_closed")

    asyncio.run(scenario())


def test_refunds_disputes_and_cancels_outside_are_seen() -> None:
    async def scenario() -> None:
        async with simulated() as bench:
            seen = {}
            for number, (event, more) in enumerate([("refund", {}), ("refund", {"amount_minor": 45}), ("dispute", {})]):
                order = order_of(number)
                assert isinstance(await bench.charge(order), Settled)
                await bench.control(
                    "POST", "faults", {"event": event, "account": ORDER.account, "reference": order.reference, **more}
                )
                found = await bench.processor.lookup(look_for(order))
                assert isinstance(found, Found)
                seen[number] = (found.sighting.seen, found.sighting.detail)
            assert seen == {
                0: (Seen.REFUNDED, ""),
                1: (Seen.SETTLED, "refunded in part: 45 of 12345"),
                2: (Seen.SETTLED, "disputed"),
            }

    asyncio.run(scenario())


def test_a_lookup_reads_all_pages_of_a_busy_customer() -> None:
    async def scenario() -> None:
        async with simulated() as bench:
            first = order_of(0)
            await bench.charge(first)
            for number in range(1, 102):
                assert isinstance(await bench.charge(order_of(number)), Settled)
            found = await bench.processor.lookup(look_for(first))
            assert isinstance(found, Found)
            assert found.sighting.reference == first.reference

    asyncio.run(scenario())


def test_a_practice_that_revoked_our_access_stops_its_queue() -> None:
    async def scenario() -> None:
        async with simulated() as bench:
            await bench.control("POST", "faults", {"event": "deauthorize", "account": ORDER.account})
            given = await bench.charge()
            assert isinstance(given, NotExecuted)
            assert (given.code, given.blame) == ("account_invalid", Blame.MERCHANT)
            async with adapter(bench.url, api_key="pk_wrong") as stranger:
                refused = await stranger.charge(stranger.freeze_charge(ORDER))
            assert isinstance(refused, NotExecuted)
            assert refused.blame is Blame.MERCHANT

    asyncio.run(scenario())


def test_webhooks_carry_a_signature_that_the_sdk_accepts() -> None:
    async def scenario() -> None:
        received: asyncio.Queue[tuple[bytes, str]] = asyncio.Queue()
        answers: Iterator[int] = iter([500])

        async def receive(request: web.Request) -> web.Response:
            await received.put((await request.read(), request.headers["Stripe-Signature"]))
            return web.Response(status=next(answers, 200))

        app = web.Application()
        app.router.add_post("/hook", receive)
        receiver, receiver_url = await serve(app)
        async with simulated() as bench:
            await bench.control(
                "POST", "faults", {"event": "webhooks", "url": f"{receiver_url}/hook", "secret": "whsec_1"}
            )
            await bench.charge()
            events = []
            for _ in range(2):
                payload, signature = await asyncio.wait_for(received.get(), 5)
                events.append(stripe.Webhook.construct_event(payload, signature, "whsec_1"))
                with pytest.raises(stripe.SignatureVerificationError):
                    stripe.Webhook.construct_event(payload, signature, "whsec_2")
            assert events[0].id == events[1].id
            assert (events[1].type, events[1].account) == ("payment_intent.succeeded", ORDER.account)
            assert events[1].data.object["metadata"]["reference"] == ORDER.reference
        await receiver.cleanup()

    asyncio.run(scenario())
