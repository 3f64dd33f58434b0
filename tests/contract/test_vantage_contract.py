"""Vantage against the contract of all processors, and what only Vantage has."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal

import aiohttp
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from shared.domain.declines import Category, NeutralCode
from tests.contract.processor_contract import (
    PATIENT_DEADLINE,
    SHORT_DEADLINE,
    Bench,
    OpenBench,
    ProcessorContract,
    play,
)
from tests.contract.wire_server import Reply, http, wire_server
from workers.processors.port import (
    Approved,
    Blame,
    ChargeOrder,
    DayReport,
    Declined,
    Found,
    LookupFailed,
    LookupOrder,
    NotExecuted,
    NotFound,
    Seen,
    Unknown,
    VoidConfirmed,
    VoidOrder,
    VoidRefused,
)
from workers.processors.vantage import TIMING, VantageProcessor, VantageSettings
from workers.processors.vantage_answers import judge_charge, judge_void
from workers.processors.vantage_codes import DECLINES, DUPLICATES, NOT_EXECUTED, PSEUDO_APPROVALS
from workers.processors.vantage_report import judge_report
from workers.processors.vantage_search import judge_search
from workers.processors.vantage_transport import Answer
from workers.simulators.behaviour import Behaviour
from workers.simulators.launch import serve
from workers.simulators.vantage import build_app
from workers.simulators.vantage_book import Book
from workers.simulators.vantage_tables import Credentials, Switches
from workers.simulators.vantage_xml import PAYER_NAME
from workers.simulators.vault import Method, Script

CREDENTIALS = Credentials()
ACCOUNT = "891514"
PAYER = "4500490161538682"
NOON = datetime(2026, 3, 4, 17, 0, tzinfo=UTC)  # 12:00 in New York, a Wednesday


def settings(url: str, total_deadline: timedelta = PATIENT_DEADLINE) -> VantageSettings:
    return VantageSettings(
        rest_url=url,
        xml_url=f"{url}/API/PropayAPI.aspx",
        report_url=url,
        biller_account_id=CREDENTIALS.biller_account_id,
        authentication_token=CREDENTIALS.authentication_token,
        cert_string=CREDENTIALS.cert_string,
        report_key=CREDENTIALS.report_key,
        affiliate_id=CREDENTIALS.affiliate_id,
        timing=replace(TIMING, total_deadline=total_deadline),
    )


@dataclass(slots=True)
class VantageBench:
    book: Book
    processor: VantageProcessor
    url: str
    decline: tuple[str, NeutralCode] = ("decline:51", NeutralCode.INSUFFICIENT_FUNDS)
    secrets: tuple[str, ...] = (CREDENTIALS.authentication_token, CREDENTIALS.cert_string, CREDENTIALS.report_key)
    voids: bool = True
    others: list[VantageProcessor] = field(default_factory=list)
    numbers: Any = field(default_factory=lambda: itertools.count(1))

    def order(self, behaviour: str, *, amount_minor: int = 12_500) -> ChargeOrder:
        order = replace(self.unstored(), amount_minor=amount_minor)
        method = Method(order.account, order.payer_id, order.token)
        self.book.core.vault.put(method, Behaviour.parse(behaviour))
        return order

    def unstored(self) -> ChargeOrder:
        number = next(self.numbers)
        return ChargeOrder(
            reference=f"test-0197f0a2-{number}-1",
            payment_id=f"0197f0a2-{number}",
            attempt_number=1,
            invoice_id=f"0197f0a3-{number}",
            account=ACCOUNT,
            payer_id=PAYER,
            token=f"da679f81-8a11-4b9e-96bc-{number:012d}",
            method_type="card",
            amount_minor=12_500,
            currency="USD",
        )

    def ledger(self, reference: str) -> list[dict[str, Any]]:
        self.book.core.clock.run_due()
        return self.book.core.ledger.facts(reference=reference)

    def lookup_of(self, order: ChargeOrder, *, processor_ref: str | None = None) -> LookupOrder:
        now = self.book.core.clock.now()
        return LookupOrder(
            reference=order.reference,
            account=order.account,
            payer_id=order.payer_id,
            processor_ref=processor_ref,
            first_send_at=now,
            last_send_at=now,
        )

    async def advance(self, by: timedelta) -> None:
        self.book.core.clock.advance(by)

    def aimed_at(self, url: str) -> VantageProcessor:
        self.others.append(VantageProcessor(settings(url, SHORT_DEADLINE)))
        return self.others[-1]

    async def charged(self, order: ChargeOrder) -> Approved:
        answer = await self.processor.charge(self.processor.freeze_charge(order))
        assert isinstance(answer, Approved), answer
        return answer

    async def seen(self, order: ChargeOrder, **known: Any) -> Any:
        found = await self.processor.lookup(self.lookup_of(order, **known))
        assert isinstance(found, Found), found
        return found.sighting


def bench_with(switches: Switches) -> Any:
    @asynccontextmanager
    async def open_bench() -> AsyncIterator[VantageBench]:
        app, book = build_app(switches=switches)
        book.core.clock.set(NOON)
        runner, url = await serve(app)
        bench = VantageBench(book, VantageProcessor(settings(url)), url)
        bench.others.append(bench.processor)
        try:
            yield bench
        finally:
            for processor in bench.others:
                await processor.close()
            await runner.cleanup()

    return open_bench


@pytest.fixture
def open_bench() -> OpenBench:
    return bench_with(Switches())


@pytest.fixture(params=["mirrored", "split"])
def open_either_shape(request: pytest.FixtureRequest) -> OpenBench:
    return bench_with(Switches(decline_shape=request.param))


class TestVantage(ProcessorContract):
    @pytest.fixture(params=["mirrored", "split"])
    def open_bench(self, request: pytest.FixtureRequest) -> OpenBench:
        return bench_with(Switches(decline_shape=request.param))


# --- every row of the code tables ------------------------------------------------------------------------------------


def answered(code: str, shape: Literal["mirrored", "split"], **changes: Any) -> Answer:
    failure = {"ResultValue": "FAILURE", "ResultCode": code, "ResultMessage": "text"}
    success = {"ResultValue": "SUCCESS", "ResultCode": "00", "ResultMessage": ""}
    transaction = {"ResultCode": failure, "TransactionId": "0", "TransactionHistoryId": "8392043"}
    body = {
        "Transaction": {**transaction, "TransactionResult": "Declined", **changes},
        "RequestResult": failure if shape == "mirrored" else success,
    }
    return Answer(200, "application/json", json.dumps(body).encode(), None)


SHAPES = pytest.mark.parametrize("shape", ["mirrored", "split"])


@SHAPES
@pytest.mark.parametrize(("code", "neutral"), DECLINES.items())
def test_a_listed_decline_is_a_decline(code: int, neutral: NeutralCode, shape: Literal["mirrored", "split"]) -> None:
    answer = judge_charge(answered(f"{code:02d}", shape, TransactionId="528"), 12_500)
    assert isinstance(answer, Declined)
    assert answer.decline.code is neutral
    assert answer.decline.raw_code == f"{code:02d}"
    assert answer.processor_ref == "528"


@pytest.mark.parametrize(
    ("category", "codes"),
    [
        (Category.HARD, [4, 6, 7, 12, 14, 15, 41, 43, 46, 52, 57, 59, 62, 63, 78, 93]),
        (Category.SOFT, [5, 17, 19, 20, 22, 29, 51, 61, 65, 96, 99, 100, 199]),
        (Category.DATA, [24, 54, 80, 82, 101]),
        (Category.MERCHANT, [561, 562]),
    ],
)
def test_codes_have_the_category_that_the_rules_of_the_networks_give_them(category: Category, codes: list[int]) -> None:
    for code in codes:
        answer = judge_charge(answered(str(code), "mirrored"), 12_500)
        assert isinstance(answer, Declined)
        assert answer.decline.category is category, code


@SHAPES
@pytest.mark.parametrize(("code", "blame"), NOT_EXECUTED.items())
def test_a_listed_refusal_is_not_executed(code: int, blame: Blame, shape: Literal["mirrored", "split"]) -> None:
    answer = judge_charge(answered(str(code), shape), 12_500)
    assert isinstance(answer, NotExecuted)
    assert (answer.code, answer.blame) == (str(code), blame)


@pytest.mark.parametrize("code", [200, 204, 230, 300])
def test_authentication_and_account_errors_stop_the_practice(code: int) -> None:
    assert NOT_EXECUTED[code] is Blame.MERCHANT


LOOKED_UP = sorted({207, 303, 304 + 2, 307, 316, 345, 348, 349, 28, 542, 551, 563, 999} | DUPLICATES | PSEUDO_APPROVALS)


@SHAPES
@pytest.mark.parametrize("code", LOOKED_UP)
def test_every_other_code_is_unknown(code: int, shape: Literal["mirrored", "split"]) -> None:
    assert isinstance(judge_charge(answered(str(code), shape), 12_500), Unknown)


def test_no_code_stands_in_two_tables() -> None:
    tables = [set(DECLINES), set(NOT_EXECUTED), DUPLICATES, PSEUDO_APPROVALS]
    assert sum(len(table) for table in tables) == len(set().union(*tables))


def approval(**changes: Any) -> Answer:
    ok = {"ResultValue": "SUCCESS", "ResultCode": "00", "ResultMessage": ""}
    transaction = {
        "ResultCode": ok,
        "TransactionId": "528",
        "TransactionHistoryId": "7911897",
        "TransactionResult": "Success",
        "AuthorizationCode": "A11111",
        "GrossAmt": 12_500,
    }
    body = {"Transaction": {**transaction, **changes.pop("transaction", {})}, "RequestResult": ok, **changes}
    return Answer(changes.pop("status", 200), "application/json", json.dumps(body).encode(), None)


def test_two_zeros_and_a_whole_transaction_are_money() -> None:
    expected = Approved(processor_ref="528", history_ref="7911897", authorization_code="A11111")
    assert judge_charge(approval(), 12_500) == expected
    assert judge_charge(approval(transaction={"GrossAmt": None}), 12_500) == expected


FAILED = {"ResultValue": "FAILURE", "ResultCode": "51", "ResultMessage": ""}


@pytest.mark.parametrize(
    "changes",
    [
        {"Transaction": None},
        {"Transaction": []},
        {"RequestResult": FAILED},
        {"RequestResult": {"ResultValue": "SUCCESS", "ResultCode": "51"}},
        {"RequestResult": {"ResultValue": "FAILURE", "ResultCode": "00"}},
        {"RequestResult": {"ResultValue": "SUCCESS", "ResultCode": 0}},
        {"RequestResult": {"ResultValue": ["SUCCESS"], "ResultCode": "00"}},
        {"RequestResult": {"ResultValue": "SUCCESS", "ResultCode": "9" * 5_000}},
        {"transaction": {"ResultCode": FAILED}},
        {"transaction": {"ResultCode": None, "TransactionId": None}},
        {"transaction": {"ResultCode": "00"}},
        {"transaction": {"TransactionId": "0"}},
        {"transaction": {"TransactionId": 528}},
        {"transaction": {"TransactionHistoryId": "0"}},
        {"transaction": {"TransactionHistoryId": "x"}},
        {"transaction": {"TransactionResult": "Declined"}},
        {"transaction": {"GrossAmt": 1}},
        {"transaction": {"GrossAmt": [12_500]}},
    ],
    ids=str,
)
def test_an_answer_that_contradicts_itself_or_lacks_a_part_is_unknown(changes: dict[str, Any]) -> None:
    assert isinstance(judge_charge(approval(**changes), 12_500), Unknown)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Answer(400, "text/html", b"\xef\xbb\xbf<title>Request Error</title>", None), Blame.US),
        (Answer(401, "text/html", b"", None), Blame.MERCHANT),
        (Answer(403, "text/html", b"<html>", None), Blame.MERCHANT),
        (Answer(404, "text/html", b"<html>", None), Blame.US),
        (Answer(405, "text/html", b"<html>", None), Blame.US),
        (Answer(400, "application/json", b"Request Error", None), None),
        (Answer(400, "text/html", b"<html>", None), None),
        (Answer(409, "application/json", b'{"AccountNumber":1,"Status":"79"}', None), None),
        (Answer(429, "text/html", b"", None), None),
        (Answer(503, "text/html", b"<html>", None), None),
    ],
    ids=lambda value: f"{value.status}-{value.content_type}" if isinstance(value, Answer) else str(value),
)
def test_only_listed_rejections_without_a_result_object_are_not_executed(
    answer: Answer, expected: Blame | None
) -> None:
    judged = judge_charge(answer, 12_500)
    assert isinstance(judged, Unknown if expected is None else NotExecuted)
    assert not isinstance(judged, NotExecuted) or judged.blame is expected


@pytest.mark.parametrize("status", [200, 201, 400, 401, 409, 500])
def test_a_result_object_is_judged_by_its_codes_at_any_http_status(status: int) -> None:
    refused = answered("51", "mirrored")
    assert isinstance(judge_charge(replace(refused, status=status), 12_500), Declined)


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["00", "51", "SUCCESS"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(
                [
                    "Transaction",
                    "RequestResult",
                    "ResultCode",
                    "ResultValue",
                    "Transactions",
                    "RequestResults",
                    "RequestParams",
                    "GrossAmount",
                    "MerchantId",
                    "TransactionId",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@hypothesis_settings(max_examples=60, deadline=None)
@given(JSON_VALUES)
def test_no_json_makes_a_judge_raise_or_find_money(value: Any) -> None:
    answer = Answer(200, "application/json", json.dumps(value).encode(), NOON)
    assert isinstance(judge_charge(answer, 12_500), Unknown | Declined)
    judge_void(answer, None)
    assert isinstance(judge_report(answer, ACCOUNT, date(2026, 3, 4)), LookupFailed)


@hypothesis_settings(deadline=None)
@given(st.binary(max_size=60))
def test_no_bytes_make_a_judge_raise(body: bytes) -> None:
    order = LookupOrder(
        reference="r", account=ACCOUNT, payer_id=PAYER, processor_ref=None, first_send_at=NOON, last_send_at=NOON
    )
    answer = Answer(200, "text/xml", body, NOON)
    assert isinstance(judge_search(answer, order), LookupFailed)
    assert isinstance(judge_report(answer, ACCOUNT, date(2026, 3, 4)), LookupFailed)
    assert isinstance(judge_charge(answer, 1), Unknown)


# --- bytes on the wire -----------------------------------------------------------------------------------------------


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
            assert isinstance(await processor.void(processor.freeze_void(void_order("528", history))), Unknown)
        assert wire.requests[0].startswith(b"PUT /ProtectPay/VoidedTransactions/ HTTP/1.1")
        assert wire.requests[0].endswith(expected)

    play(open_bench, story)


def void_order(number: str, history: str | None) -> VoidOrder:
    return VoidOrder(
        reference="v", account=ACCOUNT, charge_reference="r", charge_processor_ref=number, charge_history_ref=history
    )


def test_an_approval_inside_an_answer_beyond_all_bounds_is_unknown(open_bench: OpenBench) -> None:
    async def story(bench: Bench) -> None:
        padded = http(approval().body + b" " * 2_000_000)
        async with wire_server(padded) as wire:
            processor = bench.aimed_at(wire.url)
            answer = await processor.charge(processor.freeze_charge(bench.unstored()))
        assert isinstance(answer, Unknown)
        assert answer.code == "answer_too_large"

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


def test_aiohttp_would_send_a_put_twice_on_a_warm_connection_without_our_guard() -> None:
    """Shows that the counting test can fail: it is the guard that keeps the second PUT from the wire."""

    async def story() -> int:
        async with wire_server(http(b"{}"), Reply(close=True)) as wire, aiohttp.ClientSession() as session:
            async with session.put(wire.url, data=b"1") as first:
                await first.read()
            with pytest.raises(aiohttp.ClientError):
                await session.put(wire.url, data=b"2")
            return len(wire.requests)

    assert asyncio.run(story()) == 3


# --- through the simulator -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("behaviour", "seen"), [("gateway:207_charged", Seen.APPROVED), ("gateway:207_not_charged", Seen.DECLINED)]
)
def test_207_is_unknown_and_only_a_lookup_tells(open_either_shape: OpenBench, behaviour: str, seen: Seen) -> None:
    async def story(bench: Any) -> None:
        order = bench.order(behaviour)
        answer = await bench.processor.charge(bench.processor.freeze_charge(order))
        assert answer == Unknown(code="result_207", detail="Gateway internal error")
        assert (await bench.seen(order)).seen is seen

    play(open_either_shape, story)


def test_a_pseudo_approval_is_unknown_and_a_lookup_shows_that_no_money_moved(open_either_shape: OpenBench) -> None:
    async def story(bench: Any) -> None:
        order = bench.order("pseudo_approval:08")
        answer = await bench.processor.charge(bench.processor.freeze_charge(order))
        assert isinstance(answer, Unknown)
        sighting = await bench.seen(order)
        assert sighting.seen is Seen.DECLINED
        assert sighting.decline.code is NeutralCode.NOT_FULLY_APPROVED

    play(open_either_shape, story)


def test_a_second_send_within_a_minute_is_unknown_and_a_lookup_shows_the_first(open_either_shape: OpenBench) -> None:
    async def story(bench: Any) -> None:
        order = bench.order("approve")
        first = await bench.charged(order)
        answer = await bench.processor.charge(bench.processor.freeze_charge(order))
        assert isinstance(answer, Unknown)
        assert answer.code == "duplicate_223"
        assert (await bench.seen(order)).processor_ref == first.processor_ref
        assert bench.book.core.ledger.executions(order.reference) == 1

    play(open_either_shape, story)


def test_a_double_charge_is_reported_by_the_lookup(open_bench: OpenBench) -> None:
    async def story(bench: Any) -> None:
        order = bench.order("approve")
        await bench.charged(order)
        await bench.advance(timedelta(seconds=61))
        second = await bench.charged(order)
        sighting = await bench.seen(order, processor_ref=second.processor_ref)
        assert sighting.processor_ref == second.processor_ref
        assert "several charges took money" in sighting.detail
        assert bench.book.core.ledger.executions(order.reference) == 2

    play(open_bench, story)


@pytest.mark.parametrize("executed", ["executed", "not_executed"])
def test_protectpays_own_timer_answers_303_which_is_unknown(executed: str) -> None:
    async def story(bench: Any) -> None:
        order = bench.order(f"internal_timeout:{executed}")
        answer = await bench.processor.charge(bench.processor.freeze_charge(order))
        assert isinstance(answer, Unknown)
        assert answer.code == "result_303"
        assert len(bench.ledger(order.reference)) == (executed == "executed")

    play(bench_with(Switches(internal_timeout_s=0.1)), story)


@pytest.mark.parametrize("status", [200, 401])
def test_wrong_credentials_stop_the_practice(status: Literal[200, 401]) -> None:
    async def story(bench: Any) -> None:
        wrong = replace(settings(bench.url), authentication_token="wrong", cert_string="wrong", report_key="wrong")
        processor = VantageProcessor(wrong)
        bench.others.append(processor)
        order = bench.order("approve")
        answer = await processor.charge(processor.freeze_charge(order))
        assert isinstance(answer, NotExecuted)
        assert answer.blame is Blame.MERCHANT
        assert isinstance(await processor.lookup(bench.lookup_of(order)), LookupFailed)
        report = await processor.day_report(ACCOUNT, date(2026, 3, 4))
        assert report == LookupFailed(code="report_401", detail="the report was refused")

    play(bench_with(Switches(bad_credentials_status=status)), story)


@pytest.mark.parametrize("no_hit", ["status_77", "not_found"])
def test_both_forms_of_an_empty_search_are_not_found(no_hit: Literal["status_77", "not_found"]) -> None:
    async def story(bench: Any) -> None:
        answer = await bench.processor.lookup(bench.lookup_of(bench.order("approve")))
        assert isinstance(answer, NotFound)
        assert abs(answer.as_of - NOON) < timedelta(minutes=1)

    play(bench_with(Switches(no_hit=no_hit)), story)


@pytest.mark.parametrize("code", ["59", "65", "67", "00x"])
def test_a_refused_search_proves_nothing(open_bench: OpenBench, code: str) -> None:
    async def story(bench: Any) -> None:
        bench.book.core.vault.script(Script(Behaviour.parse(f"decline:{code}"), operation="lookup"))
        assert isinstance(await bench.processor.lookup(bench.lookup_of(bench.order("approve"))), LookupFailed)

    play(open_bench, story)


@pytest.mark.parametrize(
    "behaviour", ["hang_before_execute", "reset_before_execute", "http_500_before", "garbled_after_execute"]
)
def test_a_search_that_breaks_proves_nothing(open_bench: OpenBench, behaviour: str) -> None:
    async def story(bench: Any) -> None:
        bench.book.core.vault.script(Script(Behaviour.parse(behaviour), operation="lookup"))
        processor = bench.aimed_at(bench.url)
        assert isinstance(await processor.lookup(bench.lookup_of(bench.order("approve"))), LookupFailed)

    play(open_bench, story)


ROW = (
    "<XMLTrans><transType>34</transType><transNum>{number}</transNum><amount>{amount}</amount><invNum>{invoice}</invNum>"
    "<txnStatus>{status}</txnStatus><returnCode>{code}</returnCode>"
    "<initialTransactionResult>{first}</initialTransactionResult><status>00</status></XMLTrans>"
)


def row(**changes: str) -> str:
    usual = {"number": "529", "amount": "12500", "invoice": "r", "status": "CCDebitSettled", "code": "0"}
    return ROW.format(**{**usual, "first": "SUCCESS", **changes})


def search(*rows: str, prefix: str = "") -> Any:
    body = f"{prefix}<XMLResponse><XMLTransactions>{''.join(rows)}</XMLTransactions></XMLResponse>".encode()
    order = LookupOrder(
        reference="r", account=ACCOUNT, payer_id=PAYER, processor_ref=None, first_send_at=NOON, last_send_at=NOON
    )
    return judge_search(Answer(200, "text/xml", body, NOON), order)


@pytest.mark.parametrize(
    ("changes", "seen"),
    [
        ({"status": "CCDebitPending"}, Seen.APPROVED),
        ({"status": "CCDebitSettled"}, Seen.SETTLED),
        ({"status": "CCDebitFunded"}, Seen.SETTLED),
        ({"status": "CCDebitVoided"}, Seen.VOIDED),
        ({"status": "CCDebitDeclined", "code": "51", "first": "Failure"}, Seen.DECLINED),
        ({"status": "CCDebitDeclined", "code": "777", "first": "Failure"}, Seen.OTHER),
        ({"status": "CCDebitDeclined", "code": "0"}, Seen.OTHER),
        ({"status": "CCDebitSettled", "code": "51", "first": "Failure"}, Seen.OTHER),
        ({"status": "CCDebitAuthorized"}, Seen.OTHER),
        ({"status": "CCDebitChargedBack"}, Seen.OTHER),
        ({"status": "CCDebitRepresented"}, Seen.OTHER),
        ({"status": "InvalidTransaction"}, Seen.OTHER),
        ({"status": "ACHInPending"}, Seen.OTHER),
        ({"status": ""}, Seen.OTHER),
    ],
    ids=str,
)
def test_a_search_row_stands_as_the_table_says(changes: dict[str, str], seen: Seen) -> None:
    found = search(row(**changes))
    assert isinstance(found, Found)
    assert found.sighting.seen is seen


def test_of_several_charges_the_one_that_took_money_is_shown() -> None:
    declined = row(number="530", status="CCDebitDeclined", code="51", first="Failure")
    found = search(declined, row(number="531"), row(number="532", status="CCDebitVoided"))
    assert isinstance(found, Found)
    assert found.sighting.processor_ref == "531"


def test_money_back_in_a_search_is_folded_into_its_charge() -> None:
    whole, part = (row(number="540", status="CCCreditSettled", amount=amount) for amount in ("12500", "100"))
    assert search(row(), whole).sighting.seen is Seen.REFUNDED
    assert search(row(), part).sighting.seen is Seen.OTHER


@pytest.mark.parametrize(
    "wrong",
    [
        search(row(invoice="another")),
        search(row(amount="")),
        search(row(amount="-5")),
        search(row(number="")),
        search(row(status="CCCreditSettled")),
        search(),
        search(row(), prefix='<!DOCTYPE x [<!ENTITY a "b">]>'),
        search(row(), prefix='<?xml version="1.0" encoding="cp037"?><!doctype x>'),
    ],
)
def test_a_search_answer_without_its_parts_proves_nothing(wrong: Any) -> None:
    assert isinstance(wrong, LookupFailed)


# --- void, settlement, report ----------------------------------------------------------------------------------------


def test_a_void_works_until_the_cut_off_and_is_refused_after_it(open_either_shape: OpenBench) -> None:
    async def story(bench: Any) -> None:
        early, late = bench.order("approve"), bench.order("approve")
        first, second = await bench.charged(early), await bench.charged(late)
        await bench.advance(timedelta(hours=4, minutes=59))
        voided = await bench.processor.void(
            bench.processor.freeze_void(void_order(first.processor_ref, first.history_ref))
        )
        assert voided == VoidConfirmed(processor_ref=first.processor_ref)
        await bench.advance(timedelta(minutes=2))
        text = bench.processor.freeze_void(void_order(second.processor_ref, None))
        refused = await bench.processor.void(text)
        assert isinstance(refused, VoidRefused)
        assert refused.code == "551"
        assert (await bench.seen(early)).seen is Seen.VOIDED
        assert (await bench.seen(late)).seen is Seen.APPROVED, "the dead zone looks like a pending charge"
        await bench.advance(timedelta(hours=3))
        assert (await bench.seen(late)).seen is Seen.SETTLED

    play(open_either_shape, story)


def test_a_void_whose_answer_is_lost_is_unknown_and_the_second_one_is_refused(open_bench: OpenBench) -> None:
    async def story(bench: Any) -> None:
        order = bench.order("approve")
        charged = await bench.charged(order)
        bench.book.core.vault.script(Script(Behaviour.parse("reset_after_execute"), operation="void"))
        text = bench.processor.freeze_void(void_order(charged.processor_ref, charged.history_ref))
        assert isinstance(await bench.processor.void(text), Unknown)
        assert isinstance(await bench.processor.void(text), VoidRefused)
        assert (await bench.seen(order)).seen is Seen.VOIDED
        assert [fact["kind"] for fact in bench.ledger(order.reference)] == ["charge", "void"]

    play(open_bench, story)


def test_the_report_of_a_day_shows_how_its_charges_stand_and_no_payer(open_bench: OpenBench) -> None:
    async def story(bench: Any) -> None:
        settled, voided, lost, declined = (bench.order(word) for word in ["approve"] * 3 + ["decline:51"])
        numbers = [await bench.charged(order) for order in (settled, voided, lost)]
        await bench.processor.charge(bench.processor.freeze_charge(declined))
        bench.book.void(bench.book.find(ACCOUNT, numbers[1].history_ref, ""), bench.book.core.clock.now())
        bench.book.report_edits[lost.reference] = {"action": "drop"}
        early = await bench.processor.day_report(ACCOUNT, date(2026, 3, 4))
        assert isinstance(early, DayReport)
        assert early.sightings == ()
        await bench.advance(timedelta(hours=9))
        report = await bench.processor.day_report(ACCOUNT, date(2026, 3, 4))
        assert isinstance(report, DayReport)
        assert {(each.reference, each.seen, each.processor_ref) for each in report.sightings} == {
            (settled.reference, Seen.SETTLED, numbers[0].processor_ref),
            (voided.reference, Seen.VOIDED, numbers[1].processor_ref),
        }
        assert {each.amount_minor for each in report.sightings} == {12_500}
        assert report.as_of - early.as_of >= timedelta(hours=9) - timedelta(seconds=1)
        assert PAYER_NAME not in repr(report)
        assert CREDENTIALS.report_key not in repr(report)

    play(open_bench, story)


def test_money_back_is_in_the_report_of_the_day_on_which_it_happened(open_bench: OpenBench) -> None:
    async def story(bench: Any) -> None:
        refunded, charged_back = bench.order("approve"), bench.order("approve", amount_minor=700)
        first, second = await bench.charged(refunded), await bench.charged(charged_back)
        await bench.advance(timedelta(hours=20))
        now = bench.book.core.clock.now()
        bench.book.refund(bench.book.find(ACCOUNT, first.history_ref, ""), 0, now)
        bench.book.charge_back(bench.book.find(ACCOUNT, second.history_ref, ""), now)
        await bench.advance(timedelta(hours=24))
        report = await bench.processor.day_report(ACCOUNT, date(2026, 3, 5))
        assert {(each.processor_ref, each.seen, each.amount_minor) for each in report.sightings} == {
            (first.processor_ref, Seen.REFUNDED, 12_500),
            (second.processor_ref, Seen.OTHER, 700),
        }
        assert (await bench.seen(refunded)).seen is Seen.REFUNDED

    play(open_bench, story)


def report_row(**changes: str) -> dict[str, str]:
    usual = {"MerchantId": ACCOUNT, "InvoiceNumber": "r", "TransactionId": "529", "ParentTransactionId": ""}
    return {**usual, "TransactionDescription": "+CC", "GrossAmount": "125.00", "ReturnCode": "00", **changes}


def report(*rows: Any, **changes: Any) -> Any:
    content = {
        "RequestParams": {"StartDate": "2026-03-04", "EndDate": "2026-03-04"},
        "RequestResults": {"ResultCode": 200},
        "Transactions": list(rows),
        **changes,
    }
    answer = Answer(200, "application/json", json.dumps(content).encode(), NOON)
    return judge_report(answer, ACCOUNT, date(2026, 3, 4))


@pytest.mark.parametrize(
    ("rows", "seen"),
    [
        ([report_row()], [Seen.SETTLED]),
        ([report_row(), report_row()], [Seen.SETTLED]),
        ([report_row(ReturnCode="51")], [Seen.OTHER]),
        ([report_row(MerchantId="541253")], []),
        (
            [
                report_row(),
                report_row(
                    TransactionId="9", ParentTransactionId="529", TransactionDescription="-CC", GrossAmount="-125.00"
                ),
            ],
            [Seen.REFUNDED],
        ),
        (
            [
                report_row(),
                report_row(
                    TransactionId="9", ParentTransactionId="529", TransactionDescription="-CC", GrossAmount="-1.00"
                ),
            ],
            [Seen.OTHER],
        ),
        ([report_row(TransactionDescription="something new")], [Seen.OTHER]),
    ],
)
def test_report_rows_are_folded_into_charges(rows: list[Any], seen: list[Seen]) -> None:
    assert [each.seen for each in report(*rows).sightings] == seen


@pytest.mark.parametrize(
    "wrong",
    [
        report(report_row(GrossAmount="a lot")),
        report(report_row(GrossAmount="1E+9")),
        report(report_row(TransactionId="")),
        report("text"),
        report(RequestResults={"ResultCode": 403}),
        report(RequestParams={"StartDate": "2026-03-03", "EndDate": "2026-03-04"}),
        report(Transactions=None),
    ],
)
def test_a_report_that_cannot_be_read_whole_proves_nothing(wrong: Any) -> None:
    assert isinstance(wrong, LookupFailed)
