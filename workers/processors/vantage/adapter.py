"""Vantage: charges, voids and refunds over ProtectPay REST, lookups over ProPay XML, reports over Vantage reporting.

A frozen text is the wire body itself, byte for byte; the payer in the URL of a charge is read from it.
"""

import base64
import re
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any
from urllib.parse import quote

import orjson

from shared.domain.books import BooksAnswer, DisputesAnswer
from shared.domain.words import ProcessorName
from workers.processors.connection import Answer, Trouble
from workers.processors.departure import AT_ONCE, Departure
from workers.processors.http import HttpClient, Limits
from workers.processors.port import (
    Blame,
    ChargeAnswer,
    ChargeOrder,
    LookupAnswer,
    LookupFailed,
    LookupOrder,
    NotExecuted,
    RefundAnswer,
    ReportAnswer,
    ReturnOrder,
    Timing,
    VoidAnswer,
)
from workers.processors.vantage.answers import judge_charge, judge_refund, judge_void
from workers.processors.vantage.books import judge_books
from workers.processors.vantage.report import judge_report
from workers.processors.vantage.search import judge_search, search_request

# ProtectPay answers by itself after 60 s; 15 s more for the way. A shorter deadline would make Unknowns.
TIMING = Timing(
    send_budget=timedelta(seconds=5),
    total_deadline=timedelta(seconds=75),
    record_margin=timedelta(seconds=20),
    key_lifetime=None,
)
# A real answer has about 1 KB; a megabyte is somebody else's page.
_ANSWER_LIMIT_BYTES = 1024 * 1024
# About 600 bytes per row: enough for 100,000 charges of one affiliate on one day.
_REPORT_LIMIT_BYTES = 64 * 1024 * 1024
# What tells an answer from another request's: a success, whose number is unique, our reference in a row found, the days
# of a report. A refusal has the number 0, or one that nothing is compared with.
_SUCCESS = re.compile(rb'"TransactionResult"\s*:\s*"Success"')
_OUR_REFERENCE = re.compile(rb"<invNum>[^<]")
_DAY = re.compile(rb'"StartDate"')


@dataclass(frozen=True, slots=True, kw_only=True)
class VantageSettings:
    """`rest_url` ends before /ProtectPay, `xml_url` is the whole address, `report_url` ends before /api."""

    rest_url: str
    xml_url: str
    report_url: str
    biller_account_id: str
    authentication_token: str = field(repr=False)
    cert_string: str = field(repr=False)
    report_key: str = field(repr=False)
    affiliate_id: str
    connections: int = 20
    timing: Timing = TIMING


class VantageProcessor:
    """Satisfies `Processor`."""

    name = ProcessorName.VANTAGE

    def __init__(self, settings: VantageSettings) -> None:
        self.timing = settings.timing
        self._settings = settings
        limits = Limits(
            connections=settings.connections,
            total=settings.timing.total_deadline,
            connect=settings.timing.send_budget,
        )
        self._rest = HttpClient(settings.rest_url, limits, named_by=_SUCCESS)
        self._xml = HttpClient(settings.xml_url, limits, named_by=_OUR_REFERENCE)
        self._reports = HttpClient(settings.report_url, limits, named_by=_DAY)
        pair = f"{settings.biller_account_id}:{settings.authentication_token}"
        self._headers = {
            "Authorization": "Basic " + base64.b64encode(pair.encode()).decode(),
            "Content-Type": "application/json; charset=utf-8",
            "Accept": "application/json",
            "Accept-Encoding": "identity",
        }

    def freeze_charge(self, order: ChargeOrder) -> str:
        """Raises ValueError for an account that is not a MerchantProfileId."""
        return _canonical(
            {
                "Amount": order.amount_minor,
                "CurrencyCode": order.currency,
                "Invoice": order.reference,
                "IsRecurringPayment": False,
                "MerchantProfileId": _profile(order.account),
                "PayerAccountId": order.payer_id,
                "PaymentMethodId": order.token,
            }
        )

    async def charge(self, request_text: str, departure: Departure = AT_ONCE) -> ChargeAnswer:
        """Send the frozen charge once; never raises for anything that the wire does."""
        request = _thawed(request_text, "PayerAccountId", "Amount")
        if request is None:
            return _not_ours()
        payer = quote(str(request["PayerAccountId"]), safe="")
        path = f"/ProtectPay/Payers/{payer}/PaymentMethods/ProcessedTransactions/"
        answer = await self._put(path, request_text, departure)
        return judge_charge(answer, request["Amount"])

    def freeze_void(self, order: ReturnOrder) -> str:
        return _canonical({"MerchantProfileId": _profile(order.account), **_named(order)})

    async def void(self, request_text: str, departure: Departure = AT_ONCE) -> VoidAnswer:
        """Send the frozen void once; a success's own history id is 0 and is not kept."""
        request = _thawed(request_text, "MerchantProfileId")
        if request is None:
            return _not_ours()
        answer = await self._put("/ProtectPay/VoidedTransactions/", request_text, departure)
        return judge_void(answer, request.get("OriginalTransactionId"))

    def freeze_refund(self, order: ReturnOrder) -> str:
        return _canonical(
            {
                "Amount": order.amount_minor,
                "CurrencyCode": order.currency,
                "MerchantProfileId": _profile(order.account),
                **_named(order),
            }
        )

    async def refund(self, request_text: str, departure: Departure = AT_ONCE) -> RefundAnswer:
        """Send the frozen refund once. It bears no reference of ours: it is found by the charge that it belongs to."""
        request = _thawed(request_text, "MerchantProfileId", "Amount")
        if request is None:
            return _not_ours()
        answer = await self._put("/ProtectPay/RefundTransaction/", request_text, departure)
        return judge_refund(answer, request["Amount"])

    async def lookup(self, order: LookupOrder) -> LookupAnswer:
        answer = await self._xml.send(
            "POST",
            "",
            headers={"Content-Type": "application/x-www-form-urlencoded", "Accept-Encoding": "identity"},
            body=search_request(order, self._settings.cert_string),
            limit_bytes=_ANSWER_LIMIT_BYTES,
        )
        return judge_search(answer, order)

    async def day_report(self, account: str, day: date) -> ReportAnswer:
        return judge_report(await self._report(day), account, day)

    async def day_books(self, account: str, day: date) -> BooksAnswer:
        return judge_books(await self._report(day), account, day)

    async def disputes(self, account: str, charge_ref: str) -> DisputesAnswer:
        """Vantage shows chargebacks in its books only."""
        return LookupFailed(code="not_shown", detail=f"no disputes of {account} {charge_ref} are shown one by one")

    async def _report(self, day: date) -> Answer | Trouble:
        """The whole affiliate's report of a New York day, of which one account's rows are kept."""
        affiliate, key = (quote(text, safe="") for text in (self._settings.affiliate_id, self._settings.report_key))
        return await self._reports.send(
            "GET",
            f"/api/txreports/v1/CTDR/{affiliate}/{day.isoformat()}/{day.isoformat()}?key={key}",
            headers={"Accept": "application/json", "Accept-Encoding": "identity"},
            limit_bytes=_REPORT_LIMIT_BYTES,
        )

    async def close(self) -> None:
        for service in (self._rest, self._xml, self._reports):
            service.close()

    async def _put(self, path: str, body: str, departure: Departure) -> Answer | Trouble:
        return await self._rest.send(
            "PUT",
            path,
            headers=self._headers,
            body=body.encode(),
            limit_bytes=_ANSWER_LIMIT_BYTES,
            departure=departure,
        )


def _canonical(request: dict[str, Any]) -> str:
    return orjson.dumps(request, option=orjson.OPT_SORT_KEYS).decode()


def _named(order: ReturnOrder) -> dict[str, str]:
    """By the history id, which ProtectPay prefers; after a lost answer only the gateway's number is known."""
    if order.charge_history_ref:
        return {"TransactionHistoryId": order.charge_history_ref}
    return {"OriginalTransactionId": order.charge_processor_ref}


def _profile(account: str) -> int:
    if not (account.isascii() and account.isdigit()):
        raise ValueError(f"a Vantage account is a MerchantProfileId, all digits, got {account!r}")
    return int(account)


def _thawed(request_text: str, *needed: str) -> dict[str, Any] | None:
    try:
        request = orjson.loads(request_text)
    except ValueError:
        return None
    return request if isinstance(request, dict) and all(name in request for name in needed) else None


def _not_ours() -> NotExecuted:
    return NotExecuted(code="bad_frozen_request", blame=Blame.US, detail="the stored request is not one of ours")
