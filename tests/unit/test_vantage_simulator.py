"""The simulated Vantage over real HTTP: the fidelity checklist of design/vantage-wire.md, section 10."""

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import aiohttp
import pytest

from workers.simulators.behaviour import Behaviour, UnknownBehaviourError
from workers.simulators.journal import BadStateError
from workers.simulators.launch import serve
from workers.simulators.vantage.app import build_app
from workers.simulators.vantage.book import Book
from workers.simulators.vantage.tables import Credentials, Switches
from workers.simulators.vault import BadVaultError, Method

CREDENTIALS = Credentials()
ACCOUNT, PAYER, TOKEN = "891514", "4500490161538682", "da679f81-8a11-4b9e-96bc-17328f7b7676"
TWIN, BAD = "da679f81-0000-4b9e-96bc-000000000002", "da679f81-0000-4b9e-96bc-000000000003"
PAIR = f"{CREDENTIALS.biller_account_id}:{CREDENTIALS.authentication_token}"
BASIC = {"Authorization": "Basic " + base64.b64encode(PAIR.encode()).decode(), "Content-Type": "application/json"}
NOON = datetime(2026, 3, 4, 17, 0, tzinfo=UTC)  # 12:00 in New York, a Wednesday
HOLE = timedelta(hours=6)  # from noon into the dead zone
SETTLED = timedelta(hours=8)
CHARGES = f"/ProtectPay/Payers/{PAYER}/PaymentMethods/ProcessedTransactions/"
VOIDS, REFUNDS = "/ProtectPay/VoidedTransactions/", "/ProtectPay/RefundTransaction/"


class Client:
    def __init__(self, url: str, book: Book, session: aiohttp.ClientSession) -> None:
        self.url, self.book, self.session = url, book, session

    async def put(self, path: str, body: Any, headers: dict[str, str] | None = None) -> aiohttp.ClientResponse:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        response = await self.session.put(self.url + path, data=data, headers=headers or BASIC)
        await response.read()
        return response

    async def charge(self, invoice: str = "r", **changes: Any) -> Any:
        return await (await self.put(CHARGES, charge_body(invoice, **changes))).json()

    async def void(self, **named: Any) -> Any:
        return await (await self.put(VOIDS, {"MerchantProfileId": int(ACCOUNT), **named})).json()

    async def refund(self, **named: Any) -> Any:
        body = {"MerchantProfileId": int(ACCOUNT), "CurrencyCode": "USD", **named}
        return await (await self.put(REFUNDS, body)).json()

    async def control(self, method: str, name: str, body: Any = None) -> Any:
        async with self.session.request(method, f"{self.url}/_control/{name}", json=body) as response:
            answer = await response.json()
            assert response.status == 200, answer
            return answer

    async def search(self, **criteria: str) -> list[dict[str, str]]:
        wanted = "".join(f"<{name}>{value}</{name}>" for name, value in criteria.items())
        body = (
            f"<XMLRequest><certStr>{CREDENTIALS.cert_string}</certStr><class>partner</class><XMLTrans>"
            f"<transType>34</transType><accountNum>{ACCOUNT}</accountNum>{wanted}</XMLTrans></XMLRequest>"
        )
        async with self.session.post(self.url + "/API/PropayAPI.aspx", data=body) as response:
            assert response.headers["Content-Type"] == "text/xml; charset=utf-8"
            root = ET.fromstring(await response.text())  # noqa: S314 - our own simulator's answer
            return [{child.tag: child.text or "" for child in row} for row in root.iter("XMLTrans")]

    async def report(self, query: str) -> Any:
        url = f"{self.url}/api/txreports/v1/CTDR/{CREDENTIALS.affiliate_id}/2026-03-04/2026-03-04?{query}"
        async with self.session.get(aiohttp.client.URL(url, encoded=True)) as response:
            return await response.json()


Story = Callable[[Client], Awaitable[None]]


def play(story: Story, switches: Switches | None = None, state: Path | None = None) -> None:
    async def run() -> None:
        app, book = build_app(switches=switches, state=state)
        if not book.core.clock.offset:
            book.core.clock.set(NOON)
        for token in (TOKEN, TWIN):
            book.core.vault.put(Method(ACCOUNT, PAYER, token), Behaviour.parse("approve"))
        book.core.vault.put(Method(ACCOUNT, PAYER, BAD), Behaviour.parse("decline:51"))
        runner, url = await serve(app)
        try:
            async with aiohttp.ClientSession() as session:
                await story(Client(url, book, session))
        finally:
            await runner.cleanup()

    asyncio.run(run())


def charge_body(invoice: str = "r", **changes: Any) -> dict[str, Any]:
    return {
        "PaymentMethodId": TOKEN,
        "PayerAccountId": PAYER,
        "MerchantProfileId": int(ACCOUNT),
        "Amount": 12_500,
        "CurrencyCode": "USD",
        "IsRecurringPayment": False,
        "Invoice": invoice,
        **changes,
    }


def code_of(answer: Any, key: str = "Transaction") -> str:
    return str(answer[key]["ResultCode"]["ResultCode"])


# --- 1 to 6: transport, types, failures ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        CHARGES.lower(),
        CHARGES.rstrip("/"),
        CHARGES.replace("/Payers", "//Payers"),
        CHARGES + "?unknown=1",
        CHARGES.upper(),
    ],
)
def test_paths_match_in_any_case_with_or_without_slashes_and_unknown_queries(path: str) -> None:
    async def story(client: Client) -> None:
        assert code_of(await (await client.put(path, charge_body())).json()) == "00"

    play(story)


@pytest.mark.parametrize(
    "changed",
    [
        lambda body: {key.lower(): value for key, value in body.items()},
        lambda body: {key.upper(): value for key, value in body.items()},
        lambda body: {**body, "Amount": "12500", "MerchantProfileId": ACCOUNT},
        lambda body: {**body, "Comment1": None, "FraudDetector": None},
    ],
)
def test_keys_match_in_any_case_and_numbers_may_be_digit_strings(changed: Callable[[Any], Any]) -> None:
    async def story(client: Client) -> None:
        assert code_of(await (await client.put(CHARGES, changed(charge_body()))).json()) == "00"

    play(story)


def test_a_sale_answers_200_json_with_the_recorded_types_and_fees() -> None:
    async def story(client: Client) -> None:
        response = await client.put(CHARGES, charge_body(Amount=300))
        assert response.status == 200
        assert response.headers["Content-Type"] == "application/json; charset=utf-8"
        assert int(response.headers["Content-Length"]) > 0
        answer = await response.json()
        assert answer["RequestResult"] == {"ResultValue": "SUCCESS", "ResultCode": "00", "ResultMessage": ""}
        sale = answer["Transaction"]
        assert isinstance(sale["TransactionHistoryId"], str)
        assert isinstance(sale["TransactionId"], str)
        assert 7 <= len(sale["TransactionHistoryId"]) <= 9
        fees = ("GrossAmt", "PerTransFee", "Rate", "GrossAmtLessNetAmt", "NetAmt")
        assert [sale[name] for name in fees] == [300, 35, 3.25, 45, 255]
        assert (sale["AuthorizationCode"], sale["AVSCode"], sale["TransactionResult"]) == ("A11111", "T", "Success")

    play(story)


@pytest.mark.parametrize(("shape", "outer"), [("mirrored", "51"), ("split", "00")])
def test_an_issuers_decline_comes_in_both_shapes_and_keeps_every_key(shape: Any, outer: str) -> None:
    async def story(client: Client) -> None:
        sale = (await client.charge("a"))["Transaction"]
        answer = await client.charge("b", PaymentMethodId=BAD)
        declined = answer["Transaction"]
        assert set(declined) == set(sale)
        assert (code_of(answer), answer["RequestResult"]["ResultCode"]) == ("51", outer)
        assert (declined["TransactionResult"], declined["AuthorizationCode"]) == ("Declined", "")
        assert declined["GrossAmt"] is None
        assert int(declined["TransactionHistoryId"]) > int(sale["TransactionHistoryId"])

    play(story, Switches(decline_shape=shape))


def test_every_answer_carries_the_simulators_own_time() -> None:
    async def story(client: Client) -> None:
        await client.control("POST", "clock", {"set": "2030-01-02T03:04:05+00:00"})
        for path in ("/ProtectPay/nowhere", "/elsewhere", CHARGES):
            moment = parsedate_to_datetime((await client.put(path, {})).headers["Date"])
            assert abs(moment - datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)) < timedelta(seconds=5)

    play(story)


def test_the_ids_of_two_merchants_count_apart_and_history_ids_together() -> None:
    async def story(client: Client) -> None:
        client.book.core.vault.put(Method("541253", PAYER, TOKEN), Behaviour.parse("approve"))
        first = (await client.charge("a"))["Transaction"]
        second = (await client.charge("b", MerchantProfileId=541253))["Transaction"]
        assert first["TransactionId"] == second["TransactionId"]
        assert first["TransactionHistoryId"] != second["TransactionHistoryId"]

    play(story)


# --- 10: duplicates --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("invoice", ["r", ""])
@pytest.mark.parametrize("shown", [False, True])
def test_the_same_card_amount_and_invoice_within_a_minute_is_a_duplicate(invoice: str, *, shown: bool) -> None:
    async def story(client: Client) -> None:
        first = await client.charge(invoice)
        client.book.core.clock.advance(timedelta(seconds=58))
        second = await client.charge(invoice)
        assert code_of(second) == "223"
        assert (second["Transaction"]["TransactionId"] == first["Transaction"]["TransactionId"]) is shown
        assert code_of(await client.charge(invoice, Amount=12_501)) == "00"
        assert code_of(await client.charge(invoice, PaymentMethodId=TWIN)) == "00", "another card"
        client.book.core.clock.advance(timedelta(seconds=3))
        assert code_of(await client.charge(invoice)) == "00"

    play(story, Switches(duplicate_shows_original=shown))


async def _stored_card(client: Client, number: str) -> str:
    body = {"PayerAccountId": PAYER, "PaymentMethodType": "Visa", "AccountNumber": number, "Description": "seed"}
    answer = await (await client.put(f"/ProtectPay/Payers/{PAYER}/PaymentMethods/", body)).json()
    assert answer["RequestResult"]["ResultCode"] == "00"
    return str(answer["PaymentMethodId"])


def test_two_tokens_of_one_card_are_one_card_for_the_duplicate_check() -> None:
    async def story(client: Client) -> None:
        one, other = [await _stored_card(client, "4747474747474747") for _ in range(2)]
        assert code_of(await client.charge(PaymentMethodId=one)) == "00"
        assert code_of(await client.charge(PaymentMethodId=other)) == "223"

    play(story)


# --- 8, 9, 11 to 13: void and refund ---------------------------------------------------------------------------------


def test_a_void_answers_with_history_0_and_the_originals_number() -> None:
    async def story(client: Client) -> None:
        sale = (await client.charge())["Transaction"]
        answer = await client.void(TransactionHistoryId=sale["TransactionHistoryId"])
        voided = answer["Transaction"]
        assert (voided["TransactionHistoryId"], voided["TransactionId"]) == ("0", sale["TransactionId"])
        assert voided["AuthorizationCode"] is None
        assert voided["GrossAmt"] is None
        again = await client.void(OriginalTransactionId=int(sale["TransactionId"]))
        assert code_of(again) == "551"

    play(story)


def test_the_history_id_wins_over_the_original_number() -> None:
    async def story(client: Client) -> None:
        one, other = [(await client.charge(name))["Transaction"] for name in ("a", "b")]
        answer = await client.void(
            TransactionHistoryId=one["TransactionHistoryId"], OriginalTransactionId=other["TransactionId"]
        )
        assert answer["Transaction"]["TransactionId"] == one["TransactionId"]

    play(story)


def test_neither_void_nor_refund_works_in_the_dead_zone_or_for_unknown_numbers() -> None:
    async def story(client: Client) -> None:
        sale = (await client.charge())["Transaction"]
        named = {"TransactionHistoryId": sale["TransactionHistoryId"]}
        assert code_of(await client.refund(**named), "TransactionDetail") == "551", "pending sales are not refunded"
        assert code_of(await client.void(TransactionHistoryId=99)) == "551"
        client.book.core.clock.advance(HOLE)
        assert code_of(await client.void(**named)) == "551"
        assert code_of(await client.refund(**named), "TransactionDetail") == "551"
        client.book.core.clock.advance(SETTLED - HOLE)
        assert code_of(await client.void(**named)) == "551"
        assert code_of(await client.refund(**named), "TransactionDetail") == "00"

    play(story)


def test_a_pending_sale_can_be_voided_by_a_refund_where_the_switch_says_so() -> None:
    async def story(client: Client) -> None:
        sale = (await client.charge())["Transaction"]
        answer = await client.refund(TransactionHistoryId=sale["TransactionHistoryId"])
        assert answer["TransactionDetail"]["TransactionId"] == sale["TransactionId"]
        assert [fact["kind"] for fact in client.book.core.ledger.facts()] == ["charge", "void"]

    play(story, Switches(refund_pending="void"))


@pytest.mark.parametrize("path", [REFUNDS, "/ProtectPay/RefundedTransactions/"])
def test_refunds_whole_partial_too_much_and_twice(path: str) -> None:
    async def story(client: Client) -> None:
        whole, part = [(await client.charge(name))["Transaction"] for name in ("a", "b")]
        client.book.core.clock.advance(SETTLED)

        async def refund(sale: Any, **amount: int) -> Any:
            body = {"MerchantProfileId": ACCOUNT, "CurrencyCode": "USD"}
            body["TransactionHistoryId"] = sale["TransactionHistoryId"]
            return await (await client.put(path, {**body, **amount})).json()

        first = await refund(whole)
        assert int(first["TransactionDetail"]["TransactionHistoryId"]) > int(part["TransactionHistoryId"])
        assert first["TransactionDetail"]["TransactionId"] not in {whole["TransactionId"], part["TransactionId"]}
        assert code_of(await refund(whole, Amount=0), "TransactionDetail") == "590"
        assert code_of(await refund(part, Amount=12_501), "TransactionDetail") == "601"
        assert code_of(await refund(part, Amount=5_000), "TransactionDetail") == "00"
        assert code_of(await refund(part, Amount=7_501), "TransactionDetail") == "601"
        assert code_of(await refund(part, Amount=7_500), "TransactionDetail") == "00"
        given = [fact["amount_minor"] for fact in client.book.core.ledger.facts() if fact["kind"] == "refund"]
        assert given == [12_500, 5_000, 7_500]

    play(story)


def test_a_gateway_that_does_not_refuse_a_second_refund_can_be_had() -> None:
    async def story(client: Client) -> None:
        sale = (await client.charge())["Transaction"]
        client.book.core.clock.advance(SETTLED)
        for _ in range(2):
            answer = await client.refund(TransactionHistoryId=sale["TransactionHistoryId"])
            assert code_of(answer, "TransactionDetail") == "00"
        assert len(client.book.core.ledger.facts()) == 3

    play(story, Switches(refund_twice_refused=False))


def test_a_refund_beyond_the_merchants_funds_is_refused() -> None:
    async def story(client: Client) -> None:
        sale = (await client.charge(Amount=300_000))["Transaction"]
        client.book.core.clock.advance(SETTLED)
        await client.control("POST", "faults", {"event": "funds", "account": ACCOUNT, "amount_minor": 50_000})
        answer = await client.refund(TransactionHistoryId=sale["TransactionHistoryId"])
        assert code_of(answer, "TransactionDetail") == "563"

    play(story)


@pytest.mark.parametrize(
    ("executed", "cut_off"),
    [
        ("2026-03-06T21:59:59+00:00", "2026-03-06T22:00:00+00:00"),  # winter time, UTC-5
        ("2026-03-06T22:00:00+00:00", "2026-03-07T22:00:00+00:00"),  # at the cut-off itself: the next day
        ("2026-03-07T22:00:01+00:00", "2026-03-08T21:00:00+00:00"),  # over the change to summer time, UTC-4
        ("2026-10-31T21:30:00+00:00", "2026-11-01T22:00:00+00:00"),  # and back
    ],
)
def test_voids_end_at_17_new_york_on_both_sides_of_the_clock_change(executed: str, cut_off: str) -> None:
    async def story(client: Client) -> None:
        await client.control("POST", "clock", {"set": executed})
        early, late = [(await client.charge(name))["Transaction"]["TransactionHistoryId"] for name in ("a", "b")]
        clock = client.book.core.clock
        if datetime.fromisoformat(cut_off) - datetime.fromisoformat(executed) > timedelta(minutes=1):
            clock.set(datetime.fromisoformat(cut_off) - timedelta(seconds=30))
            assert code_of(await client.void(TransactionHistoryId=early)) == "00"
        clock.set(datetime.fromisoformat(cut_off))
        assert code_of(await client.void(TransactionHistoryId=late)) == "551"

    play(story)


def test_the_acquirer_may_submit_before_the_cut_off() -> None:
    async def story(client: Client) -> None:
        sale = (await client.charge())["Transaction"]
        await client.control("POST", "faults", {"event": "submit_early", "account": ACCOUNT, "reference": "r"})
        assert code_of(await client.void(TransactionHistoryId=sale["TransactionHistoryId"])) == "551"

    play(story)


# --- 14 to 17: refusals ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 401])
def test_wrong_credentials_are_300_at_the_switchs_http_status(status: Any) -> None:
    async def story(client: Client) -> None:
        response = await client.put(CHARGES, charge_body(), headers={"Authorization": "Basic eDp5"})
        assert response.status == status
        if status == 200:
            answer = await response.json()
            assert answer["Transaction"] is None
            assert answer["RequestResult"]["ResultCode"] == "300"

    play(story, Switches(bad_credentials_status=status))


@pytest.mark.parametrize(
    ("path", "changes", "code"),
    [
        (CHARGES.replace(PAYER, "1"), {"PayerAccountId": "1"}, "313"),
        (CHARGES, {"PayerAccountId": "1"}, "313"),
        (CHARGES, {"PaymentMethodId": "unknown"}, "700"),
        (CHARGES, {"CurrencyCode": "XXX"}, "310"),
        (CHARGES, {"Invoice": "x" * 51}, "302"),
    ],
)
def test_requests_that_cannot_be_submitted_have_no_transaction(path: str, changes: Any, code: str) -> None:
    async def story(client: Client) -> None:
        answer = await (await client.put(path, charge_body(**changes))).json()
        assert answer["Transaction"] is None
        assert answer["RequestResult"]["ResultCode"] == code
        assert client.book.core.ledger.facts() == []

    play(story)


def test_a_bad_argument_keeps_its_detail_in_the_transaction() -> None:
    async def story(client: Client) -> None:
        answer = await client.charge(Amount=0)
        assert code_of(answer) == "301"
        assert answer["Transaction"]["ResultCode"]["ResultMessage"]

    play(story)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"Amount":"1.25"}', b'{"Amount":12500}'])
def test_a_body_that_cannot_be_read_is_400_with_a_page(body: bytes) -> None:
    async def story(client: Client) -> None:
        response = await client.put(CHARGES, body)
        assert (response.status, response.content_type) == (400, "text/html")
        assert b"Request Error" in await response.read()

    play(story)


@pytest.mark.parametrize("executed", ["executed", "not_executed"])
def test_the_internal_timer_answers_303_whether_executed_or_not(executed: str) -> None:
    async def story(client: Client) -> None:
        await client.control("POST", "script", [{"behaviour": f"internal_timeout:{executed}"}])
        assert (await client.charge())["RequestResult"]["ResultCode"] == "303"
        assert len(client.book.core.ledger.facts()) == (executed == "executed")

    play(story, Switches(internal_timeout_s=0.05))


@pytest.mark.parametrize(
    ("number", "amount", "code"),
    [
        ("4747474747474747", 12_500, "00"),
        ("4404040404040404", 12_500, "14"),
        ("4909090909090909", 12_500, "19"),
        ("4828282828282828", 12_500, "17"),
        ("4616161616161616", 12_500, "51"),
        ("4535353535353535", 12_500, "15"),
        ("4111111111111111", 110, "14"),
        ("4111111111111111", 113, "51"),
        ("4111111111111111", 114, "58"),
    ],
)
def test_the_vendors_test_cards_and_amounts(number: str, amount: int, code: str) -> None:
    async def story(client: Client) -> None:
        token = await _stored_card(client, number)
        assert code_of(await client.charge(PaymentMethodId=token, Amount=amount)) == code

    play(story)


def test_limits_of_the_merchant_are_561_and_562() -> None:
    async def story(client: Client) -> None:
        assert code_of(await client.charge("a", Amount=20_001)) == "561"
        assert code_of(await client.charge("b", Amount=20_000)) == "00"
        assert code_of(await client.charge("c", Amount=20_000)) == "562"
        client.book.core.clock.advance(timedelta(days=31))
        assert code_of(await client.charge("d", Amount=20_000)) == "00"

    play(story, Switches(single_limit_minor=20_000, monthly_limit_minor=30_000))


def test_three_declines_in_ten_minutes_block_the_card_for_a_day() -> None:
    async def story(client: Client) -> None:
        codes = [code_of(await client.charge(name, PaymentMethodId=BAD)) for name in "abcd"]
        assert codes == ["51", "51", "51", "564"]
        client.book.core.clock.advance(timedelta(hours=23))
        assert code_of(await client.charge("e", PaymentMethodId=BAD)) == "564"
        client.book.core.clock.advance(timedelta(hours=2))
        assert code_of(await client.charge("f", PaymentMethodId=BAD)) == "51"

    play(story)


def test_a_pseudo_approval_says_success_and_moves_nothing() -> None:
    async def story(client: Client) -> None:
        await client.control("POST", "script", [{"behaviour": "pseudo_approval:08"}])
        answer = await client.charge()
        assert answer["RequestResult"]["ResultCode"] == "00"
        assert (code_of(answer), answer["Transaction"]["TransactionResult"]) == ("8", "Success")
        assert client.book.core.ledger.facts() == []

    play(story)


# --- 19, 20: search and report ---------------------------------------------------------------------------------------


def test_the_search_finds_a_sale_by_invoice_and_transnum_wins() -> None:
    async def story(client: Client) -> None:
        one, other = [(await client.charge(name))["Transaction"] for name in ("a", "b")]
        (found,) = await client.search(invNum="a")
        assert (found["transNum"], found["txnStatus"]) == (one["TransactionId"], "CCDebitPending")
        assert (found["amount"], found["initialTransactionResult"]) == ("12500", "SUCCESS")
        (found,) = await client.search(invNum="a", transNum=other["TransactionId"])
        assert found["invNum"] == "b"
        assert len(await client.search(amount="12500")) == 2
        assert await client.search(invNum="a", amount="1") == [{"transType": "34", "status": "77"}]
        assert await client.search() == [{"transType": "34", "status": "65"}]

    play(story)


def test_the_search_shows_how_a_charge_stands_now() -> None:
    async def story(client: Client) -> None:
        names = ("taken", "voided", "disputed", "refunded")
        sales = {name: (await client.charge(name))["Transaction"] for name in names}
        await client.charge("declined", PaymentMethodId=BAD)
        await client.void(TransactionHistoryId=sales["voided"]["TransactionHistoryId"])
        client.book.core.clock.advance(SETTLED)
        await client.control("POST", "faults", {"event": "chargeback", "account": ACCOUNT, "reference": "disputed"})
        await client.control("POST", "faults", {"event": "refund", "account": ACCOUNT, "reference": "refunded"})
        shown = {name: [row["txnStatus"] for row in await client.search(invNum=name)] for name in (*names, "declined")}
        assert shown == {
            "taken": ["CCDebitSettled"],
            "voided": ["CCDebitVoided"],
            "disputed": ["CCDebitChargedBack"],
            "refunded": ["CCDebitSettled", "CCCreditSettled"],
            "declined": ["CCDebitDeclined"],
        }
        client.book.core.clock.advance(timedelta(days=1))
        assert (await client.search(invNum="taken"))[0]["txnStatus"] == "CCDebitFunded"

    play(story)


def test_the_report_is_all_strings_with_padding_echo_and_both_spellings_of_plus() -> None:
    async def story(client: Client) -> None:
        await client.charge()
        early = await client.report(f"key={CREDENTIALS.report_key}")
        assert early["Transactions"] == [], "not out before its day has settled, plus the lag"
        client.book.core.clock.advance(timedelta(hours=9))
        for query in ("", "&txtypes=+CC,-CC", "&txtypes=%2BCC", "&txtypes=%20CC"):
            answer = await client.report(f"key={CREDENTIALS.report_key}{query}")
            (row,) = answer["Transactions"]
        assert all(isinstance(value, str) for value in row.values())
        assert row["ExternalID"] == " " * 20
        assert (row["GrossAmount"], row["InvoiceNumber"], row["MerchantId"]) == ("125.00", "r", ACCOUNT)
        assert row["TransactionDate"].startswith("2026-03-04 12:0")
        assert answer["RequestParams"]["OtherParams"]["key"] == CREDENTIALS.report_key
        assert answer["RequestResults"]["ResultCode"] == 200
        assert (await client.report(f"key={CREDENTIALS.report_key}&txtypes=-CC"))["Transactions"] == []
        assert (await client.report("key=wrong"))["RequestResults"]["ResultCode"] == 401

    play(story)


@pytest.mark.parametrize(
    ("edit", "amounts"),
    [
        ({"action": "drop"}, []),
        ({"action": "double"}, ["125.00", "125.00"]),
        ({"action": "amount", "amount_minor": 1}, ["0.01"]),
        ({"action": "none"}, ["125.00"]),
    ],
)
def test_a_report_can_disagree_with_the_truth(edit: Any, amounts: list[str]) -> None:
    async def story(client: Client) -> None:
        await client.charge()
        client.book.core.clock.advance(timedelta(hours=9))
        await client.control("POST", "faults", {"event": "report_row", "reference": "r", **edit})
        rows = (await client.report(f"key={CREDENTIALS.report_key}"))["Transactions"]
        assert [row["GrossAmount"] for row in rows] == amounts

    play(story)


# --- the control interface and the state file ------------------------------------------------------------------------


def test_the_control_interface_shows_truth_and_requests_without_credentials() -> None:
    async def story(client: Client) -> None:
        await client.charge("a")
        await client.search(invNum="a")
        await client.report(f"key={CREDENTIALS.report_key}")
        truth = await client.control("GET", f"ledger?account={ACCOUNT}&reference=a")
        assert truth["executions"] == {"a": 1}
        assert truth["entries"][0]["amount_minor"] == 12_500
        assert (await client.control("GET", "ledger?reference=b"))["entries"] == []
        requests = await client.control("GET", "requests")
        assert [each["method"] for each in requests] == ["PUT", "POST", "GET"]
        text = json.dumps(requests)
        assert TOKEN in text
        for secret in (CREDENTIALS.cert_string, CREDENTIALS.report_key, BASIC["Authorization"]):
            assert secret not in text
        await client.control("POST", "reset")
        assert (await client.control("GET", "health"))["requests"] == 0
        assert code_of(await client.charge("a")) == "00"

    play(story)


def test_one_shot_scripts_win_over_the_vault_and_are_used_up() -> None:
    async def story(client: Client) -> None:
        script = {"behaviour": "decline:41", "operation": "charge", "token": TOKEN, "times": 2}
        await client.control("POST", "script", [script])
        assert code_of(await client.charge("other", PaymentMethodId=TWIN)) == "00"
        assert [code_of(await client.charge(name)) for name in "abc"] == ["41", "41", "00"]

    play(story)


@pytest.mark.parametrize(
    ("method", "name", "body"),
    [
        ("PUT", "behaviours", [{"account": "1", "payer": "2", "token": "3", "behaviour": "fly"}]),
        ("POST", "script", [{"behaviour": "slow:fast"}]),
        ("POST", "faults", {"event": "earthquake"}),
        ("POST", "faults", {"event": "switch", "name": "no_such_switch", "value": 1}),
        ("POST", "clock", {"set": "2026-03-04T12:00:00"}),
    ],
)
def test_a_wrong_control_call_says_what_is_wrong(method: str, name: str, body: Any) -> None:
    async def story(client: Client) -> None:
        async with client.session.request(method, f"{client.url}/_control/{name}", json=body) as response:
            assert response.status == 400
            assert (await response.json())["error"]

    play(story)


def test_an_acknowledged_charge_survives_the_death_of_the_simulator(tmp_path: Path) -> None:
    state = tmp_path / "state.jsonl"
    numbers: dict[str, str] = {}

    async def before(client: Client) -> None:
        await client.control("POST", "clock", {"set": NOON.isoformat()})
        for name in ("kept", "voided"):
            numbers[name] = (await client.charge(name))["Transaction"]["TransactionHistoryId"]
        await client.void(TransactionHistoryId=numbers["voided"])
        for name in "xyz":
            await client.charge(name, PaymentMethodId=BAD)

    async def after(client: Client) -> None:
        assert abs(client.book.core.clock.now() - NOON) < timedelta(minutes=1)
        assert code_of(await client.charge("kept")) == "223", "the duplicate window is still known"
        assert code_of(await client.charge("q", PaymentMethodId=BAD)) == "564", "and the block of the card"
        assert code_of(await client.void(TransactionHistoryId=numbers["voided"])) == "551"
        fresh = (await client.charge("fresh"))["Transaction"]["TransactionHistoryId"]
        assert int(fresh) > max(int(number) for number in numbers.values())
        facts = client.book.core.ledger.facts()
        assert [(fact["kind"], fact["reference"], fact["state"]) for fact in facts] == [
            ("charge", "kept", "taken"),
            ("charge", "voided", "voided"),
            ("void", "voided", "done"),
            ("charge", "fresh", "taken"),
        ]

    play(before, state=state)
    with state.open("ab") as file:
        file.write(b'["entry",{"half":')
    play(after, state=state)


def test_a_state_file_of_something_else_is_refused_with_its_line(tmp_path: Path) -> None:
    state = tmp_path / "state.jsonl"
    state.write_text('["entry"]\n', encoding="utf-8")
    with pytest.raises(BadStateError, match=r"state\.jsonl:1"):
        build_app(state=state)


# --- the vault file --------------------------------------------------------------------------------------------------


def test_a_vault_file_is_read_for_its_processor_only(tmp_path: Path) -> None:
    vault = tmp_path / "vault.csv"
    vault.write_text(
        f"processor,account,payer_id,token,behaviour\nvantage,{ACCOUNT},{PAYER},{TOKEN},slow:2500\n"
        "stripe,acct_1,cus_1,pm_1,approve\n",
        encoding="utf-8",
    )
    _, book = build_app(vault=vault)
    assert book.core.vault.knows(Method(ACCOUNT, PAYER, TOKEN))
    assert not book.core.vault.knows(Method("acct_1", "cus_1", "pm_1"))
    assert book.core.vault.take("charge", Method(ACCOUNT, PAYER, TOKEN)).text == "slow:2500"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("processor,account,payer_id,token,behaviour\nvantage,1,2,3,fly\n", r"vault\.csv:2: behaviour 'fly'.*approve"),
        ("processor,account,token\n", "lacks payer_id, behaviour"),
    ],
)
def test_a_bad_vault_file_names_line_value_and_what_is_allowed(tmp_path: Path, content: str, message: str) -> None:
    vault = tmp_path / "vault.csv"
    vault.write_text(content, encoding="utf-8")
    with pytest.raises(BadVaultError, match=message):
        build_app(vault=vault)


@pytest.mark.parametrize(
    "text", ["", "fly", "slow", "slow:x", "slow:-1", "approve:1", "gateway:208", "decline:", "rate_limited:²"]
)
def test_a_behaviour_outside_the_closed_set_is_refused(text: str) -> None:
    with pytest.raises(UnknownBehaviourError, match="allowed: approve, decline:CODE"):
        Behaviour.parse(text)
