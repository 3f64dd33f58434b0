"""The simulated Vantage reporting interface: CTDR, the day's card transactions.

ASSUMED: CTDR has the columns that are documented for ARDR; a row that gives money back repeats the charge's invoice;
a charge is in the report of its settlement day, money back in that of the day on which it happened.
"""

from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from aiohttp import web

from workers.simulators.ledger import Entry, Move
from workers.simulators.vantage.answers import encode, fee_minor
from workers.simulators.vantage.book import Book
from workers.simulators.vantage.calendar import funding_day, report_out_at, settlement_day
from workers.simulators.vantage.perform import not_found
from workers.simulators.vantage.tables import ZONE, Credentials
from workers.simulators.vantage.xml import PAYER_NAME

_TYPES = MappingProxyType(
    {Move.CHARGE: "+CC", Move.VOID: "+CC Void", Move.REFUND: "-CC", Move.CHARGEBACK: "-CC Chargeback"}
)


class Report:
    def __init__(self, book: Book, credentials: Credentials) -> None:
        self._book = book
        self._credentials = credentials

    async def handle(self, request: web.Request, _body: bytes) -> web.StreamResponse:
        parts = [part for part in request.path.split("/") if part][3:]
        try:
            kind, affiliate, start, end = parts
            first, last = date.fromisoformat(start), date.fromisoformat(end)
        except ValueError:
            return not_found()
        key = request.query.get("key", "")
        if key != self._credentials.report_key or affiliate != self._credentials.affiliate_id:
            return self._answer(kind, affiliate, (start, end), key, refused=True)
        types = _types(request.query.get("txtypes", ""))
        rows = [row for row in self._rows(first, last) if not types or row["TransactionDescription"][:3] in types]
        return self._answer(kind, affiliate, (start, end), key, rows=rows)

    def _answer(
        self,
        kind: str,
        affiliate: str,
        span: tuple[str, str],
        key: str,
        *,
        rows: list[dict[str, str]] | None = None,
        refused: bool = False,
    ) -> web.Response:
        results: dict[str, Any] = {"ResultCode": 200, "ResultValue": "SUCCESS", "ResultMessage": ""}
        if refused:
            results = {"ResultCode": 401, "ResultValue": "FAILURE", "ResultMessage": "Unauthorized"}
        body = encode(
            {
                "RequestParams": {
                    "ReportType": kind,
                    "ReportName": "Card Transaction Detail Report",
                    "AffiliateId": affiliate,
                    "StartDate": span[0],
                    "EndDate": span[1],
                    "OtherParams": {"key": key},
                },
                "RequestResults": results,
                "Transactions": rows or [],
            }
        )
        return web.Response(body=body, content_type="application/json")

    def _rows(self, first: date, last: date) -> Iterator[dict[str, str]]:
        now = self._book.core.clock.now()
        for entry in self._book.core.ledger:
            if not entry.moved:
                continue
            day = settlement_day(entry.executed_at)
            if first <= day <= last and now >= report_out_at(day, self._book.switches):
                yield from self._edited(entry, self._row(entry, day))

    def _edited(self, entry: Entry, row: dict[str, str]) -> Iterator[dict[str, str]]:
        """A report may disagree with the truth: rows lost, doubled or with another amount."""
        edit: Mapping[str, Any] = self._book.report_edits.get(entry.reference, {})
        if edit.get("action") == "drop":
            return
        if edit.get("action") == "amount":
            row = {**row, "GrossAmount": _money(int(edit["amount_minor"]))}
        yield row
        if edit.get("action") == "double":
            yield row

    def _row(self, entry: Entry, day: date) -> dict[str, str]:
        sign = -1 if entry.kind in {Move.REFUND, Move.CHARGEBACK} else 1
        fee = fee_minor(entry.amount_minor) if entry.kind is Move.CHARGE else 0
        return {
            "id": str(entry.number + 1),
            "GatewayId": entry.history_ref or "0",
            "MerchantId": entry.account,
            "ExternalID": " " * 20,
            "InvoiceNumber": entry.reference,
            "TransactionId": entry.processor_ref,
            "ParentTransactionId": entry.parent_ref,
            "TransactionDate": entry.executed_at.astimezone(ZONE).strftime("%Y-%m-%d %H:%M:%S"),
            "TransactionDescription": _TYPES[entry.kind],
            "GrossAmount": _money(sign * entry.amount_minor),
            "NetAmount": _money(sign * entry.amount_minor - fee),
            "FundDate": funding_day(day).isoformat(),
            "ReturnCode": "00",
            "ReturnCodeDescription": "",
            "PayerName": PAYER_NAME,
            "PayerEmail": "erika@example.invalid",
            "PayerLast4": "4747",
            "ReportDate": (day + timedelta(days=1)).isoformat(),
        }


def _types(text: str) -> frozenset[str]:
    """`+CC`, `%2BCC` and a blank where the plus was lost are all the same wish."""
    return frozenset(f"+{word[1:]}" if word[:1] == " " else word for word in text.split(",") if word)


def _money(minor: int) -> str:
    return str(Decimal(minor).scaleb(-2))
