"""The day's card transactions (CTDR) as sightings. Keys and payers of the answer are read by nothing here."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from workers.processors.connection import Answer, Trouble
from workers.processors.port import DayReport, LookupFailed, ReportAnswer, Seen, Sighting
from workers.processors.vantage.codes import (
    REPORT_OK,
    ROW_CHARGE,
    ROW_CHARGEBACK,
    ROW_REFUND,
    ROW_VOID,
    SUCCESS,
    whole_number,
)

_AMOUNT = re.compile(r"-?\d{1,12}\.\d\d", re.ASCII)


def judge_report(answer: Answer | Trouble, account: str, day: date) -> ReportAnswer:
    """A report proves absence, so one row that cannot be read spoils all of it."""
    read = read_report(answer, account, day)
    if isinstance(read, LookupFailed):
        return read
    return DayReport(day=day, as_of=read.as_of, sightings=tuple(_sightings(read.rows)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row of a merchant; amounts are negative where money went back."""

    account: str
    reference: str
    number: str
    parent: str
    kind: str
    amount_minor: int
    net_minor: int | None
    return_code: str

    @property
    def went_well(self) -> bool:
        return whole_number(self.return_code) == SUCCESS


@dataclass(frozen=True, slots=True)
class Report:
    """A merchant's rows, each once."""

    as_of: datetime
    rows: tuple[Row, ...]


def read_report(answer: Answer | Trouble, account: str, day: date) -> Report | LookupFailed:
    if isinstance(answer, Trouble):
        return LookupFailed(code=answer.code, detail=answer.detail)
    if answer.status != 200 or answer.as_of is None:
        return LookupFailed(code=f"http_{answer.status}", detail="not a dated 200 answer")
    try:
        content = json.loads(answer.body)
    except (ValueError, RecursionError):
        return LookupFailed(code="not_json", detail="the report is not JSON")
    trouble = _refusal(content, day)
    if trouble is not None:
        return trouble
    rows = [_row(row) for row in content["Transactions"]]
    known = [row for row in rows if row is not None]
    if len(known) != len(rows):
        return LookupFailed(code="report_row", detail="a row without merchant, number or amount")
    own = {(row.number, row.kind): row for row in known if row.account == account}
    return Report(answer.as_of, tuple(own.values()))


def _refusal(content: Any, day: date) -> LookupFailed | None:
    if not isinstance(content, dict) or not isinstance(content.get("Transactions"), list):
        return LookupFailed(code="shape", detail="no list of transactions")
    results = content.get("RequestResults")
    code = results.get("ResultCode") if isinstance(results, dict) else None
    if code != REPORT_OK:
        return LookupFailed(code=f"report_{code}", detail="the report was refused")
    asked = content.get("RequestParams")
    if not isinstance(asked, dict) or [asked.get("StartDate"), asked.get("EndDate")] != [day.isoformat()] * 2:
        return LookupFailed(code="shape", detail="the report is for another day")
    return None


def _row(row: Any) -> Row | None:
    if not isinstance(row, Mapping):
        return None
    texts = {name: row.get(name) for name in ("MerchantId", "InvoiceNumber", "TransactionId", "TransactionDescription")}
    if not all(isinstance(text, str) for text in texts.values()) or not texts["TransactionId"]:
        return None
    amount_minor = _minor(row.get("GrossAmount"))
    if amount_minor is None:
        return None
    return Row(
        account=str(texts["MerchantId"]).strip(),
        reference=str(texts["InvoiceNumber"]).strip(),
        number=str(texts["TransactionId"]).strip(),
        parent=str(row.get("ParentTransactionId") or "").strip(),
        kind=str(texts["TransactionDescription"]).strip(),
        amount_minor=amount_minor,
        net_minor=_minor(row.get("NetAmount")),
        return_code=str(row.get("ReturnCode") or "").strip(),
    )


def _sightings(rows: Iterable[Row]) -> Iterable[Sighting]:
    """Charges with money back folded in, then money back for charges of other days."""
    rows = list(rows)
    charges = {row.number for row in rows if row.kind == ROW_CHARGE}
    for row in rows:
        if row.kind == ROW_CHARGE:
            yield _charge(row, [other for other in rows if other.parent == row.number])
        elif row.parent not in charges:
            yield _orphan(row)


def _charge(row: Row, children: list[Row]) -> Sighting:
    refunded_minor = -sum(child.amount_minor for child in children if child.kind == ROW_REFUND)
    # A chargeback takes back what was settled: a flag of the charge, which the books tell.
    others = [child.kind for child in children if child.kind not in {ROW_REFUND, ROW_VOID, ROW_CHARGEBACK}]
    if others or not row.went_well:
        seen = Seen.OTHER
    elif any(child.kind == ROW_VOID for child in children):
        seen = Seen.VOIDED
    elif refunded_minor:
        seen = Seen.REFUNDED if refunded_minor == row.amount_minor else Seen.OTHER
    else:
        seen = Seen.SETTLED
    return _sighting(row, seen, row.number, row.amount_minor, others)


def _orphan(row: Row) -> Sighting:
    """Money back whose charge is in an earlier day's report: the amount is that of this row."""
    seen = {ROW_REFUND: Seen.REFUNDED, ROW_VOID: Seen.VOIDED}.get(row.kind, Seen.OTHER)
    return _sighting(row, seen, row.parent or row.number, abs(row.amount_minor), [row.kind])


def _sighting(row: Row, seen: Seen, number: str, amount_minor: int, words: list[str]) -> Sighting:
    return Sighting(
        seen=seen,
        reference=row.reference,
        processor_ref=number,
        history_ref=None,
        amount_minor=amount_minor,
        detail=", ".join(words),
    )


def _minor(text: Any) -> int | None:
    """Cents of an amount like "-1.04"; None for anything that is not written exactly so."""
    if not isinstance(text, str) or _AMOUNT.fullmatch(text.strip()) is None:
        return None
    return int(text.strip().replace(".", ""))
