"""The bytes that the Vantage adapter sends, and how it takes broken connections and answers."""

import json
from dataclasses import replace

import pytest

from tests.contract.bench import Bench, OpenBench, play
from tests.contract.departure_contract import DepartureContract
from tests.contract.http_contract import HttpContract
from tests.contract.vantage.bench import CALLS, CREDENTIALS, bench_with, given_reply, refused, return_order, settings
from tests.contract.wire_contract import WireContract
from tests.contract.wire_server import http, wire_server
from workers.processors.port import NotFound, Unknown
from workers.simulators.vantage.tables import Switches


@pytest.fixture
def open_bench() -> OpenBench:
    return bench_with(Switches())


@pytest.fixture(params=CALLS)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=[name for name, call in CALLS.items() if call.pays])
def paying(request: pytest.FixtureRequest) -> str:
    return request.param


class TestVantageConnections(WireContract):
    pass


class TestVantageDepartures(DepartureContract):
    pass


class TestVantageHttp(HttpContract):
    pass


def test_a_charge_on_the_wire_is_exactly_these_bytes(open_bench: OpenBench) -> None:
    async def story(bench: Bench) -> None:
        order = bench.unstored()
        async with wire_server(http(b"{}")) as wire:
            processor = bench.aimed_at(wire.url)
            await processor.charge(processor.freeze_charge(order))
        head, _, body = wire.requests[0].partition(b"\r\n\r\n")
        assert body == (
            b'{"Amount":12500,"CurrencyCode":"USD","Invoice":"test-0197f0a2-1-1","IsRecurringPayment":false,'
            b'"MerchantProfileId":891514,"PayerAccountId":"4500490161538682",'
            b'"PaymentMethodId":"da679f81-8a11-4b9e-96bc-000000000001"}'
        )
        lines = head.split(b"\r\n")
        assert lines[0] == b"PUT /ProtectPay/Payers/4500490161538682/PaymentMethods/ProcessedTransactions/ HTTP/1.1"
        assert b"Content-Type: application/json; charset=utf-8" in lines
        assert any(line.startswith(b"Authorization: Basic ") for line in lines)
        assert not any(line.lower().startswith((b"transfer-encoding", b"cookie")) for line in lines)

    play(open_bench, story)


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        ("7911897", b'{"MerchantProfileId":891514,"TransactionHistoryId":"7911897"}'),
        (None, b'{"MerchantProfileId":891514,"OriginalTransactionId":"528"}'),
    ],
)
def test_a_void_names_the_charge_by_history_or_after_a_lost_answer_by_number(
    open_bench: OpenBench, history: str | None, expected: bytes
) -> None:
    async def story(bench: Bench) -> None:
        async with wire_server(http(b"{}")) as wire:
            processor = bench.aimed_at(wire.url)
            assert isinstance(await processor.void(processor.freeze_void(return_order("528", history))), Unknown)
        assert wire.requests[0].startswith(b"PUT /ProtectPay/VoidedTransactions/ HTTP/1.1")
        assert wire.requests[0].endswith(expected)

    play(open_bench, story)


def test_an_approval_of_over_a_megabyte_is_unknown() -> None:
    assert isinstance(given_reply("charge", http(CALLS["charge"].answer + b" " * 2_000_000)), Unknown)


@pytest.mark.parametrize("number", ["0", "528"])
@pytest.mark.parametrize("code", ["05", "561", "999"])
def test_a_refusal_ends_its_connection_with_a_number_or_without(open_bench: OpenBench, code: str, number: str) -> None:
    async def story(bench: Bench) -> None:
        body = json.dumps(refused(code, TransactionId=number)).encode()
        async with wire_server(http(body)) as wire:
            processor = bench.aimed_at(wire.url)
            for _ in range(2):
                await processor.charge(processor.freeze_charge(bench.unstored()))
            assert (len(wire.requests), wire.connections) == (2, 2)

    play(open_bench, story)


def test_a_payer_id_cannot_leave_its_place_in_the_path(open_bench: OpenBench) -> None:
    async def story(bench: Bench) -> None:
        order = replace(bench.unstored(), payer_id="../../VoidedTransactions?x=")
        async with wire_server(http(b"{}")) as wire:
            processor = bench.aimed_at(wire.url)
            await processor.charge(processor.freeze_charge(order))
        assert wire.requests[0].split()[1].endswith(b"/PaymentMethods/ProcessedTransactions/")
        assert b"Payers/..%2F..%2FVoidedTransactions%3Fx%3D/" in wire.requests[0]

    play(open_bench, story)


def test_no_proxy_of_the_environment_is_asked(open_bench: OpenBench, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    async def story(bench: Bench) -> None:
        assert isinstance(await bench.processor.lookup(bench.lookup_of(bench.unstored())), NotFound)

    play(open_bench, story)


def test_an_account_that_is_no_profile_id_cannot_be_frozen(open_bench: OpenBench) -> None:
    async def story(bench: Bench) -> None:
        with pytest.raises(ValueError, match="MerchantProfileId"):
            bench.processor.freeze_charge(replace(bench.unstored(), account="acct_1"))

    play(open_bench, story)


def test_secrets_are_not_in_the_settings_repr() -> None:
    text = repr(settings("http://localhost"))
    for secret in (CREDENTIALS.authentication_token, CREDENTIALS.cert_string, CREDENTIALS.report_key):
        assert secret not in text
