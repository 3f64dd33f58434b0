"""Stripe's day as books: every page of every list, or nothing."""

import asyncio
import json
from collections.abc import Mapping
from datetime import date
from typing import Any

import pytest

from shared.domain.books import BooksAnswer, DayBooks, Dispute, Line, Move, Standing
from tests.contract.stripe.bench import INTENT, ORDER
from workers.processors.connection import Answer, Trouble
from workers.processors.port import LookupFailed
from workers.processors.stripe.books import read_books, read_disputes

DAY = date(2026, 3, 17)
LATE = "Wed, 18 Mar 2026 00:10:00 GMT"
CHARGE = INTENT | {"latest_charge": {"object": "charge", "balance_transaction": {"fee": 388}}}
REFUND = {"id": "re_1", "payment_intent": "pi_1", "amount": 500, "status": "succeeded"}
DISPUTE = {"id": "dp_1", "payment_intent": "pi_1", "amount": 12345, "status": "needs_response"}


class Lists:
    """Stripe's lists, a row to a page. `spoilt` replaces the last answer."""

    def __init__(self, spoilt: Answer | Trouble | None = None, **rows: list[dict[str, Any]]) -> None:
        self.rows, self.spoilt = rows, spoilt
        self.asked: list[tuple[str, Mapping[str, Any]]] = []

    async def get(self, path: str, params: Mapping[str, Any]) -> Answer | Trouble:
        self.asked.append((path, params))
        kind = path.rpartition("/")[2]
        if self.spoilt and kind == "disputes":
            return self.spoilt
        rows = self.rows.get(kind, [])
        after = [place for place, row in enumerate(rows, 1) if row["id"] == params.get("starting_after")]
        rest = rows[after[0] if after else 0 :]
        return answered({"data": rest[:1], "has_more": len(rest) > 1})


def answered(page: Any, *, status: int = 200, at: str = LATE) -> Answer:
    return Answer(status, {"date": at} if at else {}, json.dumps(page).encode())


def read(lists: Lists) -> BooksAnswer:
    return asyncio.run(read_books(lists.get, DAY))


def test_charges_refunds_and_disputes_of_all_pages() -> None:
    second = CHARGE | {"id": "pi_2", "latest_charge": None}
    refused = CHARGE | {"id": "pi_3", "status": "requires_payment_method"}
    failed = REFUND | {"id": "re_2", "status": "failed"}
    lists = Lists(payment_intents=[CHARGE, refused, second], refunds=[REFUND, failed], disputes=[DISPUTE])
    books = read(lists)
    assert isinstance(books, DayBooks)
    assert books.complete
    common = {"move": Move.CHARGE, "reference": ORDER.reference, "amount_minor": 12345}
    assert books.lines == [
        Line(charge_ref="pi_1", own_ref="pi_1", fee_minor=388, **common),
        Line(charge_ref="pi_2", own_ref="pi_2", **common),
        Line(move=Move.REFUND, reference="", charge_ref="pi_1", own_ref="re_1", amount_minor=500),
    ]
    assert [one.processor_ref for one in books.disputes] == ["dp_1"]
    assert lists.asked[0][1]["created"] == {"gte": 1773705600, "lt": 1773792000}


@pytest.mark.parametrize(
    ("status", "standing"),
    [
        ("warning_needs_response", Standing.OPEN),
        ("under_review", Standing.OPEN),
        ("what is this", Standing.OPEN),
        ("won", Standing.WON),
        ("warning_closed", Standing.WON),
        ("lost", Standing.LOST),
    ],
)
def test_how_a_dispute_stands(status: str, standing: Standing) -> None:
    lists = Lists(disputes=[DISPUTE | {"status": status}])
    assert asyncio.run(read_disputes(lists.get, "pi_1")) == [
        Dispute(processor_ref="dp_1", charge_ref="pi_1", amount_minor=12345, standing=standing)
    ]
    assert lists.asked[0][1]["payment_intent"] == "pi_1"


@pytest.mark.parametrize(
    "spoilt",
    [
        Trouble(sent=True, code="reset", detail=""),
        answered({}, status=500),
        answered({"data": None}),
        answered({"data": ["row"]}),
        answered({"data": [], "has_more": True}),
        answered({"data": [DISPUTE | {"amount": True}], "has_more": False}),
        answered({"data": [DISPUTE | {"payment_intent": None}], "has_more": False}),
        answered({"data": [], "has_more": False}, at=""),
        Answer(200, {"date": LATE}, b"{"),
    ],
)
def test_one_unreadable_page_spoils_the_day(spoilt: Answer | Trouble) -> None:
    lists = Lists(spoilt, payment_intents=[CHARGE])
    assert isinstance(read(lists), LookupFailed)


def test_books_read_before_the_end_of_the_day_are_not_complete() -> None:
    early = answered({"data": [], "has_more": False}, at="Wed, 18 Mar 2026 00:09:59 GMT")

    async def get(_path: str, _params: Mapping[str, Any]) -> Answer:
        return early

    books = asyncio.run(read_books(get, DAY))
    assert isinstance(books, DayBooks)
    assert not books.complete
