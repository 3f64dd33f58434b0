"""Vantage's day as books: what is money, what is a chargeback, and what spoils the whole day."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pytest

from shared.domain.books import BooksAnswer, DayBooks, Dispute, Line, Move, Standing
from tests.contract.vantage.bench import ACCOUNT, DAY, ORDER, report_of, report_row
from workers.processors.connection import Answer, Trouble
from workers.processors.port import LookupFailed
from workers.processors.vantage.books import judge_books

LATE = "Thu, 05 Mar 2026 12:00:00 GMT"
CHARGE = report_row(NetAmount="120.59")


def read(rows: Sequence[Any], *, at: str = LATE) -> BooksAnswer:
    answer = Answer(200, {"date": at}, json.dumps(report_of(*rows)).encode())
    return judge_books(answer, ACCOUNT, DAY)


def test_a_charge_its_void_its_refund_and_its_chargeback() -> None:
    back = {"ParentTransactionId": "529", "NetAmount": "-125.00", "GrossAmount": "-125.00"}
    rows = [
        CHARGE,
        report_row(TransactionDescription="+CC Void", ParentTransactionId="529"),
        report_row(TransactionDescription="-CC", TransactionId="600", **back),
        report_row(TransactionDescription="-CC Chargeback", TransactionId="601", **back),
    ]
    books = read(rows)
    assert isinstance(books, DayBooks)
    assert books.complete
    common = {"reference": ORDER.reference, "charge_ref": "529", "amount_minor": 12_500}
    assert books.lines == [
        Line(move=Move.CHARGE, own_ref="529", fee_minor=441, **common),
        Line(move=Move.VOID, own_ref="529", **common),
        Line(move=Move.REFUND, own_ref="600", **common),
    ]
    assert books.disputes == [
        Dispute(processor_ref="601", charge_ref="529", amount_minor=12_500, standing=Standing.OPEN)
    ]


def test_what_did_not_go_well_and_what_is_not_ours_is_no_money() -> None:
    books = read([report_row(ReturnCode="51"), report_row(MerchantId="77", TransactionDescription="+Cash")])
    assert isinstance(books, DayBooks)
    assert (books.lines, books.disputes) == ([], [])


def test_an_unread_net_amount_is_an_unknown_fee() -> None:
    books = read([report_row(NetAmount="about 120")])
    assert isinstance(books, DayBooks)
    assert books.lines[0].fee_minor is None


def test_a_row_of_an_unknown_kind_may_be_money_and_spoils_the_day() -> None:
    assert read([CHARGE, report_row(TransactionDescription="+CC Re")]) == LookupFailed(
        code="report_row", detail="rows of unknown kinds: +CC Re"
    )


def test_a_report_that_came_too_early_is_not_complete() -> None:
    books = read([CHARGE], at="Thu, 05 Mar 2026 09:59:59 GMT")
    assert isinstance(books, DayBooks)
    assert not books.complete
    assert books.as_of == datetime.fromisoformat("2026-03-05T09:59:59+00:00")


@pytest.mark.parametrize("answer", [Trouble(sent=True, code="reset", detail=""), Answer(503, {"date": LATE}, b"")])
def test_no_report_is_no_books(answer: Answer | Trouble) -> None:
    assert isinstance(judge_books(answer, ACCOUNT, DAY), LookupFailed)
