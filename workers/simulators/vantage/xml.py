"""The simulated ProPay XML interface: transType 34, the search by our own reference."""

from collections.abc import Callable, Mapping
from datetime import datetime
from types import MappingProxyType
from xml.etree import ElementTree as ET

from aiohttp import web

from workers.simulators import faults
from workers.simulators.behaviour import Behaviour, Kind
from workers.simulators.ledger import Entry, Move
from workers.simulators.vantage.answers import fee_minor
from workers.simulators.vantage.book import CHARGED_BACK, DECLINED, VOIDED, Book
from workers.simulators.vantage.calendar import Standing
from workers.simulators.vantage.perform import HTML
from workers.simulators.vantage.tables import Credentials, message
from workers.simulators.vault import Method

_BAD_CREDENTIALS, _MISSING, _UNAUTHORISED, _EMPTY = "59", "65", "67", "77"
# Answers carry a payer's name; a made-up one proves that the adapter never lets it through.
PAYER_NAME = "Erika Mustermann"
_STATUS = MappingProxyType(
    {
        Standing.PENDING: "CCDebitPending",
        Standing.SUBMITTED: "CCDebitPending",
        Standing.SETTLED: "CCDebitSettled",
        Standing.FUNDED: "CCDebitFunded",
    }
)
_CLOSED = MappingProxyType({DECLINED: "CCDebitDeclined", VOIDED: "CCDebitVoided", CHARGED_BACK: "CCDebitChargedBack"})


class Xml:
    def __init__(self, book: Book, credentials: Credentials) -> None:
        self._book = book
        self._cert_string = credentials.cert_string

    async def handle(self, request: web.Request, body: bytes) -> web.StreamResponse:
        try:
            root = ET.fromstring(body)  # noqa: S314 - a simulator that only our own tests reach
        except ET.ParseError:
            return _answer(_status(_MISSING))
        behaviour = self._book.core.vault.take("lookup", Method(_text(root, ".//accountNum"), "", ""))
        if behaviour.kind is Kind.HANG_BEFORE_EXECUTE:
            return await faults.hang(request)
        if behaviour.kind is Kind.RESET_BEFORE_EXECUTE:
            return faults.reset(request)
        return _scripted(behaviour) or _answer(self._search(root))

    def _search(self, root: ET.Element) -> ET.Element:
        if _text(root, "certStr") != self._cert_string:
            return _status(_BAD_CREDENTIALS)
        transaction = root.find("XMLTrans")
        if transaction is None or _text(transaction, "transType") != "34":
            return _status(_UNAUTHORISED)
        account = _text(transaction, "accountNum")
        wanted = {name: _text(transaction, name) for name in _CRITERIA}
        if not account or not any(wanted.values()):
            return _status(_MISSING)
        found = self._matching(account, wanted)
        return self._hits(found) if found else self._no_hit()

    def _matching(self, account: str, wanted: Mapping[str, str]) -> list[Entry]:
        """A transaction number wins over everything else; the rest must all match."""
        if wanted["transNum"]:
            wanted = {"transNum": wanted["transNum"]}
        if wanted.get("invNum"):
            candidates = self._book.core.ledger.by_reference(account, wanted["invNum"])
        else:
            candidates = [entry for entry in self._book.core.ledger if entry.account == account]
        return [
            entry
            for entry in candidates
            if entry.kind in {Move.CHARGE, Move.REFUND}
            and all(_CRITERIA[name](entry) == value for name, value in wanted.items() if value)
        ]

    def _no_hit(self) -> ET.Element:
        """Which of the two forms is real is not documented."""
        if self._book.switches.no_hit == "status_77":
            return _status(_EMPTY)
        root = ET.Element("XMLResponse")
        _fill(ET.SubElement(root, "XMLTransactions"), {"initialTransactionResult": "Not_Found", "status": "00"})
        return root

    def _hits(self, entries: list[Entry]) -> ET.Element:
        root = ET.Element("XMLResponse")
        transactions = ET.SubElement(root, "XMLTransactions")
        now = self._book.core.clock.now()
        for entry in entries:
            _fill(transactions, self._shown(entry, now))
        return root

    def _shown(self, entry: Entry, now: datetime) -> dict[str, str]:
        code = entry.details.get("code", 0)
        return {
            "transType": "34",
            "transNum": entry.processor_ref,
            "authCode": "A11111" if code == 0 else "",
            "AVS": "T",
            "CVV2Resp": "",
            "ccNumLastFour": "4747",
            "amount": str(entry.amount_minor),
            "authAmount": str(entry.amount_minor),
            "authCurrencyCode": entry.currency,
            "currencyCode": entry.currency,
            "currencyConversionRate": "1",
            "invNum": entry.reference,
            "netAmount": str(entry.amount_minor - fee_minor(entry.amount_minor)),
            "txnStatus": self._status_of(entry, now),
            "txnType": "CCDebit" if entry.kind is Move.CHARGE else "CCCredit",
            "payerName": PAYER_NAME,
            "returnCode": str(code),
            "returnCodeDescription": message(code) if code else "Success",
            "initialTransactionResult": "SUCCESS" if code == 0 else "FAILURE",
            "status": "00",
        }

    def _status_of(self, entry: Entry, now: datetime) -> str:
        if entry.kind is Move.REFUND:
            return "CCCreditSettled"
        return _CLOSED.get(entry.state) or _STATUS[self._book.standing(entry, now)]


_CRITERIA: Mapping[str, Callable[[Entry], str]] = MappingProxyType(
    {
        "transNum": lambda entry: entry.processor_ref,
        "invNum": lambda entry: entry.reference,
        "amount": lambda entry: str(entry.amount_minor),
    }
)


def _text(element: ET.Element, path: str) -> str:
    return (element.findtext(path) or "").strip()


def _fill(parent: ET.Element, values: Mapping[str, str]) -> None:
    transaction = ET.SubElement(parent, "XMLTrans")
    for name, value in values.items():
        ET.SubElement(transaction, name).text = value


def _status(code: str) -> ET.Element:
    root = ET.Element("XMLResponse")
    _fill(root, {"transType": "34", "status": code})
    return root


def _answer(root: ET.Element) -> web.Response:
    body = b'<?xml version="1.0"?>' + ET.tostring(root)
    return web.Response(body=body, headers={"Content-Type": "text/xml; charset=utf-8"})


def _scripted(behaviour: Behaviour) -> web.Response | None:
    match behaviour.kind:
        case Kind.HTTP_500_BEFORE | Kind.HTTP_500_AFTER:
            return web.Response(status=500, text="<html></html>", headers={"Content-Type": HTML})
        case Kind.GARBLED_AFTER_EXECUTE:
            return web.Response(body=b"<XMLResponse><XMLTrans>", headers={"Content-Type": "text/xml; charset=utf-8"})
        case Kind.DECLINE:
            return _answer(_status(behaviour.argument))
        case _:
            return None
