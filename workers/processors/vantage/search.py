"""ProPay's XML search (transType 34): the request by our own reference, and how a charge stands by its answer."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from xml.etree import ElementTree as ET

from shared.domain.declines import Decline, NeutralCode
from workers.processors.connection import Answer, Trouble
from workers.processors.port import Found, LookupAnswer, LookupFailed, LookupOrder, NotFound, Seen, Sighting
from workers.processors.vantage.codes import (
    CREDIT_STATUS,
    DEBIT_STATUS,
    DECLINES,
    PSEUDO_APPROVALS,
    XML_FOUND,
    XML_NOT_FOUND_WORD,
    XML_NOTHING_FOUND,
    account_number,
    whole_number,
)

# A document that declares entities could make the parser expand them without end; no answer needs one.
_REFUSED_MARKUP = ("<!doctype", "<!entity")
# If several charges bear one reference, the one that took money is the truth that matters.
_PREFERENCE = (Seen.APPROVED, Seen.SETTLED, Seen.OTHER, Seen.REFUNDED, Seen.VOIDED, Seen.DECLINED)


def search_request(order: LookupOrder, cert_string: str) -> bytes:
    """Search by Invoice: unique per attempt, and it shows money back beside its charge, which transNum would not."""
    root = ET.Element("XMLRequest")
    ET.SubElement(root, "certStr").text = cert_string
    ET.SubElement(root, "class").text = "partner"
    transaction = ET.SubElement(root, "XMLTrans")
    ET.SubElement(transaction, "transType").text = "34"
    ET.SubElement(transaction, "accountNum").text = account_number(order.account)
    ET.SubElement(transaction, "invNum").text = order.reference
    return b"<?xml version='1.0'?>" + ET.tostring(root)


def judge_search(answer: Answer | Trouble, order: LookupOrder) -> LookupAnswer:
    if isinstance(answer, Trouble):
        return LookupFailed(code=answer.code, detail=answer.detail)
    if answer.status != 200 or answer.as_of is None:
        return LookupFailed(code=f"http_{answer.status}", detail="not a dated 200 answer")
    rows = _rows(answer.body)
    if rows is None:
        return LookupFailed(code="not_xml", detail="the answer is not the XML of a search")
    status = {whole_number(_text(row, "status")) for row in rows}
    if status == {XML_NOTHING_FOUND} or any(_is_not_found(row) for row in rows):
        return NotFound(as_of=answer.as_of)
    if status != {XML_FOUND}:
        return LookupFailed(code=f"xml_{_first_status(rows)}", detail="the search was refused")
    return _choose(rows, order)


def _choose(rows: Sequence[ET.Element], order: LookupOrder) -> LookupAnswer:
    shown = [_shown(row) for row in rows]
    if any(each is None or each.reference != order.reference for each in shown):
        return LookupFailed(code="shape", detail="a row without number, amount or our reference")
    known = [each for each in shown if each is not None]
    credits_minor = sum(each.amount_minor for each in known if each.is_credit)
    charges = [_sighting(each, credits_minor) for each in known if not each.is_credit]
    if not charges:
        return LookupFailed(code="shape", detail="money back without its charge")
    charges.sort(key=lambda sighting: (_PREFERENCE.index(sighting.seen), sighting.processor_ref != order.processor_ref))
    took = [sighting for sighting in charges if sighting.seen in {Seen.APPROVED, Seen.SETTLED}]
    if len(took) > 1:
        numbers = ", ".join(sighting.processor_ref for sighting in took)
        return Found(sighting=replace(took[0], detail=f"several charges took money: {numbers}"))
    return Found(sighting=charges[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    is_credit: bool
    reference: str
    number: str
    amount_minor: int
    status: str
    return_code: int | None
    raw_code: str
    approval_code: str
    succeeded: bool


def _shown(row: ET.Element) -> _Row | None:
    number, amount = _text(row, "transNum"), whole_number(_text(row, "amount"))
    if not whole_number(number) or not amount:
        return None
    raw_code = _text(row, "returnCode")
    return _Row(
        is_credit=_text(row, "txnStatus") in CREDIT_STATUS,
        reference=_text(row, "invNum"),
        number=number,
        amount_minor=amount,
        status=_text(row, "txnStatus"),
        return_code=whole_number(raw_code),
        raw_code=raw_code,
        approval_code=_text(row, "authCode"),
        succeeded=_text(row, "initialTransactionResult").lower() == "success",
    )


def _sighting(row: _Row, credits_minor: int) -> Sighting:
    seen = DEBIT_STATUS.get(row.status, Seen.OTHER)
    decline = _decline(row) if seen is Seen.DECLINED else None
    contradicts = decline is None if seen is Seen.DECLINED else not (row.succeeded and row.return_code == 0)
    if contradicts:
        seen = Seen.OTHER
    if seen is Seen.SETTLED and credits_minor:
        seen = Seen.REFUNDED if credits_minor == row.amount_minor else Seen.OTHER
    return Sighting(
        seen=seen,
        reference=row.reference,
        processor_ref=row.number,
        history_ref=None,
        amount_minor=row.amount_minor,
        decline=decline,
        approval_code=row.approval_code or None,
        detail=f"{row.status}, code {row.raw_code or 'none'}, money back {credits_minor}",
    )


def _decline(row: _Row) -> Decline | None:
    """A pseudo-approval that a search shows declined is one: it never settles."""
    if row.succeeded or row.return_code is None:
        return None
    if row.return_code in PSEUDO_APPROVALS:
        return Decline(code=NeutralCode.NOT_FULLY_APPROVED, raw_code=row.raw_code)
    code = DECLINES.get(row.return_code)
    return None if code is None else Decline(code=code, raw_code=row.raw_code)


def _rows(body: bytes) -> list[ET.Element] | None:
    try:
        # Text, not bytes: a declared encoding could hide the refused markup from the search for it.
        text = body.decode()
        if any(markup in text.lower() for markup in _REFUSED_MARKUP):
            return None
        root = ET.fromstring(text)  # noqa: S314 - entity declarations are refused above, the size by the transport
    except (ET.ParseError, ValueError):
        return None
    return list(root.iter("XMLTrans")) or None


def _is_not_found(row: ET.Element) -> bool:
    return _text(row, "initialTransactionResult").lower() == XML_NOT_FOUND_WORD


def _first_status(rows: Sequence[ET.Element]) -> str:
    return next((text for row in rows if (text := _text(row, "status")) not in {"", "00"}), "missing")


def _text(row: ET.Element, name: str) -> str:
    return (row.findtext(name) or "").strip()
