"""Vantage for the contract: its simulator, raw wires with its answers, and its calls."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal

from shared.domain.declines import NeutralCode
from tests.contract.bench import PATIENT_DEADLINE, Call, OpenBench, looking, paying
from tests.contract.wire_server import Reply, http, wire_server
from workers.processors.port import Approved, ChargeOrder, Found, LookupOrder, Processor, ReturnOrder, Timing
from workers.processors.vantage.adapter import TIMING, VantageProcessor, VantageSettings
from workers.simulators.behaviour import Behaviour
from workers.simulators.core import Core
from workers.simulators.launch import serve
from workers.simulators.vantage.app import build_app
from workers.simulators.vantage.book import Book
from workers.simulators.vantage.tables import Credentials, Switches
from workers.simulators.vault import Method

CREDENTIALS = Credentials()
ACCOUNT = "891514"
PAYER = "4500490161538682"
NOON = datetime(2026, 3, 4, 17, 0, tzinfo=UTC)  # 12:00 in New York, a Wednesday
DAY = date(2026, 3, 4)
ORDER = ChargeOrder(
    reference="test-0197f0a2-0-1",
    payment_id="0197f0a2-0",
    attempt_number=1,
    invoice_id="0197f0a3-0",
    account=ACCOUNT,
    payer_id=PAYER,
    token="da679f81-8a11-4b9e-96bc-000000000000",
    method_type="card",
    amount_minor=12_500,
    currency="USD",
)
LOOK = LookupOrder(
    reference=ORDER.reference,
    account=ACCOUNT,
    payer_id=PAYER,
    processor_ref=None,
    first_send_at=NOON,
    last_send_at=NOON,
)


PATIENT = replace(TIMING, total_deadline=PATIENT_DEADLINE)


def settings(url: str, *, timing: Timing = PATIENT, connections: int = 20) -> VantageSettings:
    return VantageSettings(
        rest_url=url,
        xml_url=f"{url}/API/PropayAPI.aspx",
        report_url=url,
        biller_account_id=CREDENTIALS.biller_account_id,
        authentication_token=CREDENTIALS.authentication_token,
        cert_string=CREDENTIALS.cert_string,
        report_key=CREDENTIALS.report_key,
        affiliate_id=CREDENTIALS.affiliate_id,
        timing=timing,
        connections=connections,
    )


# --- Answers as the manuals and recordings show them ------------------------------------------------------------------

SUCCESS = {"ResultValue": "SUCCESS", "ResultCode": "00", "ResultMessage": ""}
_TRANSACTION = {
    "AVSCode": "T",
    "AuthorizationCode": "A11111",
    "CurrencyConversionRate": 1,
    "CurrencyConvertedAmount": 12_500,
    "CurrencyConvertedCurrencyCode": "USD",
    "ResultCode": SUCCESS,
    "TransactionHistoryId": "7911897",
    "TransactionId": "528",
    "TransactionResult": "Success",
    "CVVResponseCode": "NotPresent",
    "GrossAmt": 12_500,
    "NetAmt": 12_059,
    "PerTransFee": 35,
    "Rate": 3.25,
    "GrossAmtLessNetAmt": 441,
}
_NO_FEES = dict.fromkeys(("GrossAmt", "NetAmt", "PerTransFee", "Rate", "GrossAmtLessNetAmt"))


def failure(code: str) -> dict[str, str]:
    return {"ResultValue": "FAILURE", "ResultCode": code, "ResultMessage": "text"}


def approval(*, transaction: Mapping[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """A charge's success; `transaction` changes the transaction, other words the whole answer."""
    return {"Transaction": {**_TRANSACTION, **(transaction or {})}, "RequestResult": SUCCESS, **changes}


def refused(code: str, shape: Literal["mirrored", "split"] = "mirrored", **changes: Any) -> dict[str, Any]:
    """A refusal in one of the two shapes that it may have."""
    transaction = {
        **_TRANSACTION,
        **_NO_FEES,
        "AVSCode": "NotPresent",
        "AuthorizationCode": "",
        "ResultCode": failure(code),
        "TransactionId": "0",
        "TransactionHistoryId": "8392043",
        "TransactionResult": "Declined",
        **changes,
    }
    return {"Transaction": transaction, "RequestResult": failure(code) if shape == "mirrored" else SUCCESS}


_REFUND = approval(transaction={**_NO_FEES, "TransactionId": "530", "TransactionHistoryId": "7911899"})
REFUNDED = {"TransactionDetail": _REFUND["Transaction"], "RequestResult": SUCCESS}
VOIDED = approval(transaction={**_NO_FEES, "TransactionHistoryId": "0", "AuthorizationCode": None})

_ROW = (
    "<XMLTrans><transType>34</transType><transNum>{number}</transNum><amount>{amount}</amount><invNum>{invoice}</invNum>"
    "<authCode>{approval}</authCode>"
    "<txnStatus>{status}</txnStatus><returnCode>{code}</returnCode>"
    "<initialTransactionResult>{first}</initialTransactionResult><status>00</status></XMLTrans>"
)


def search_row(**changes: str) -> str:
    usual = {"number": "529", "amount": "12500", "invoice": ORDER.reference, "status": "CCDebitSettled", "code": "0"}
    return _ROW.format(**{**usual, "first": "SUCCESS", "approval": "", **changes})


def search_of(*rows: str, prefix: str = "") -> bytes:
    return f"{prefix}<XMLResponse><XMLTransactions>{''.join(rows)}</XMLTransactions></XMLResponse>".encode()


def report_row(**changes: str) -> dict[str, str]:
    usual = {"MerchantId": ACCOUNT, "InvoiceNumber": ORDER.reference, "TransactionId": "529", "ParentTransactionId": ""}
    return {**usual, "TransactionDescription": "+CC", "GrossAmount": "125.00", "ReturnCode": "00", **changes}


def report_of(*rows: Any, **changes: Any) -> dict[str, Any]:
    return {
        "RequestParams": {"StartDate": DAY.isoformat(), "EndDate": DAY.isoformat()},
        "RequestResults": {"ResultCode": 200},
        "Transactions": list(rows),
        **changes,
    }


def return_order(number: str, history: str | None) -> ReturnOrder:
    return ReturnOrder(
        reference="v",
        account=ACCOUNT,
        charge_reference="r",
        charge_processor_ref=number,
        charge_history_ref=history,
        amount_minor=12_500,
        currency="USD",
    )


# --- Calls and raw wires ----------------------------------------------------------------------------------------------

CALLS: Mapping[str, Call] = {
    "charge": paying(lambda it, leave: it.charge(it.freeze_charge(ORDER), leave), json.dumps(approval()).encode()),
    "void": paying(
        lambda it, leave: it.void(it.freeze_void(return_order("528", None)), leave), json.dumps(VOIDED).encode()
    ),
    "refund": paying(
        lambda it, leave: it.refund(it.freeze_refund(return_order("528", None)), leave), json.dumps(REFUNDED).encode()
    ),
    "lookup": looking(lambda it: it.lookup(LOOK), search_of(search_row()), kind="text/xml; charset=utf-8"),
    "report": replace(
        looking(lambda it: it.day_report(ACCOUNT, DAY), json.dumps(report_of(report_row())).encode()),
        too_long_bytes=65 * 1024 * 1024,
    ),
}


def answered(name: str, body: Any, *, status: str = "200 OK", kind: str | None = None) -> Any:
    """What the call `name` becomes that Vantage answers so; `body` is bytes or what becomes JSON."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return given_reply(name, http(data, status=status, kind=kind or CALLS[name].kind))


def given_reply(name: str, reply: Reply) -> Any:
    async def run() -> Any:
        async with wire_server(reply) as wire:
            processor = VantageProcessor(settings(wire.url))
            try:
                return await CALLS[name].make(processor)
            finally:
                await processor.close()

    return asyncio.run(run())


# --- The simulator ----------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class VantageBench:
    book: Book
    processor: VantageProcessor
    url: str
    calls: Mapping[str, Call] = field(default_factory=lambda: CALLS)
    decline: tuple[str, NeutralCode] = ("decline:51", NeutralCode.INSUFFICIENT_FUNDS)
    secrets: tuple[str, ...] = (CREDENTIALS.authentication_token, CREDENTIALS.cert_string, CREDENTIALS.report_key)
    voids: bool = True
    others: list[Processor] = field(default_factory=list)
    numbers: Any = field(default_factory=lambda: itertools.count(1))

    def order(self, behaviour: str, *, amount_minor: int = 12_500) -> ChargeOrder:
        order = replace(self.unstored(), amount_minor=amount_minor)
        method = Method(order.account, order.payer_id, order.token)
        self.book.core.vault.put(method, Behaviour.parse(behaviour))
        return order

    def unstored(self) -> ChargeOrder:
        number = next(self.numbers)
        return replace(
            ORDER,
            reference=f"test-0197f0a2-{number}-1",
            payment_id=f"0197f0a2-{number}",
            invoice_id=f"0197f0a3-{number}",
            token=f"da679f81-8a11-4b9e-96bc-{number:012d}",
        )

    def ledger(self, reference: str) -> list[dict[str, Any]]:
        self.book.core.clock.run_due()
        return self.book.core.ledger.facts(reference=reference)

    def lookup_of(self, order: ChargeOrder, *, processor_ref: str | None = None) -> LookupOrder:
        now = self.book.core.clock.now()
        return replace(
            LOOK, reference=order.reference, processor_ref=processor_ref, first_send_at=now, last_send_at=now
        )

    @property
    def core(self) -> Core:
        return self.book.core

    async def advance(self, by: timedelta) -> None:
        self.book.core.clock.advance(by)

    def aimed_at(self, url: str, *, timing: Timing | None = None, connections: int = 20) -> VantageProcessor:
        processor = VantageProcessor(settings(url, timing=timing or self.processor.timing, connections=connections))
        self.others.append(processor)
        return processor

    async def charged(self, order: ChargeOrder) -> Approved:
        answer = await self.processor.charge(self.processor.freeze_charge(order))
        assert isinstance(answer, Approved), answer
        return answer

    async def seen(self, order: ChargeOrder, **known: Any) -> Any:
        found = await self.processor.lookup(self.lookup_of(order, **known))
        assert isinstance(found, Found), found
        return found.sighting


def bench_with(switches: Switches) -> OpenBench:
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
