"""A connected account's day at Stripe: payment intents with their fees, refunds and disputes, by `created`."""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from shared.domain.books import BooksAnswer, DayBooks, Dispute, DisputesAnswer, Line, Move, Standing
from shared.domain.books_day import is_complete
from shared.domain.words import ProcessorName
from workers.processors.connection import Answer, Trouble
from workers.processors.port import LookupFailed
from workers.processors.stripe.answers import Json, is_object, reference_of

# A GET of this path with these parameters, on behalf of the account.
Get = Callable[[str, Mapping[str, object]], Awaitable[Answer | Trouble]]

PAGE_SIZE = 100
# Ten thousand of a kind: more than any practice has on a day.
MAX_PAGES = 100
# A refund in one of these gives no money back.
_NO_REFUND = frozenset({"failed", "canceled", "requires_action"})
_CLOSED: Mapping[str, Standing] = {
    "won": Standing.WON,
    # An inquiry that ended before any money was taken.
    "warning_closed": Standing.WON,
    "prevented": Standing.WON,
    "lost": Standing.LOST,
}


async def read_books(get: Get, day: date) -> BooksAnswer:
    """All lists of one day, or nothing: a list that ends early would show what is there as missing."""
    try:
        intents = await _list(get, "payment_intents", _made_on(day), expand="data.latest_charge.balance_transaction")
        refunds = await _list(get, "refunds", _made_on(day))
        disputes = await _list(get, "disputes", _made_on(day))
        return DayBooks(
            day=day,
            # What the first list shows is as old as its answer.
            as_of=intents.as_of,
            complete=is_complete(ProcessorName.STRIPE, day, intents.as_of),
            lines=[
                *(_charge(row) for row in intents.rows if row.get("status") == "succeeded"),
                *(_refund(row) for row in refunds.rows if row.get("status") not in _NO_REFUND),
            ],
            disputes=[_dispute(row) for row in disputes.rows],
        )
    except _UnreadableError as error:
        return error.failed


async def read_disputes(get: Get, charge_ref: str) -> DisputesAnswer:
    """The disputes of one payment intent as they stand."""
    try:
        found = await _list(get, "disputes", {"payment_intent": charge_ref})
        return [_dispute(row) for row in found.rows]
    except _UnreadableError as error:
        return error.failed


class _UnreadableError(Exception):
    """A list of which not every row can be read."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(code)
        self.failed = LookupFailed(code=code, detail=detail)


@dataclass(frozen=True, slots=True)
class _Listed:
    rows: list[Json]
    as_of: datetime


def _made_on(day: date) -> Mapping[str, object]:
    start = datetime.combine(day, time(), UTC)
    return {"created": {"gte": int(start.timestamp()), "lt": int((start + timedelta(days=1)).timestamp())}}


async def _list(get: Get, kind: str, which: Mapping[str, object], *, expand: str | None = None) -> _Listed:
    params = {**which, "limit": PAGE_SIZE, "expand": [expand] if expand else None}
    rows: list[Json] = []
    as_of: datetime | None = None
    for _ in range(MAX_PAGES):
        answer = await get(f"/v1/{kind}", params)
        page, more = _page(answer)
        as_of = as_of or (answer.as_of if isinstance(answer, Answer) else None)
        rows.extend(page)
        if not more:
            if as_of is None:
                raise _UnreadableError("no_date", "Stripe's answer has no Date header")
            return _Listed(rows, as_of)
        params = {**params, "starting_after": _text(page[-1], "id")}
    raise _UnreadableError("too_many", f"over {MAX_PAGES * PAGE_SIZE} {kind}")


def _page(answer: Answer | Trouble) -> tuple[list[Json], bool]:
    if isinstance(answer, Trouble):
        raise _UnreadableError(answer.code, answer.detail)
    if answer.status != 200:
        raise _UnreadableError(f"http_{answer.status}", "the list was refused")
    try:
        page = json.loads(answer.body)
    except (ValueError, RecursionError):
        raise _UnreadableError("not_json", "the list is not JSON") from None
    rows = page.get("data") if is_object(page) else None
    if not isinstance(rows, list) or not all(is_object(row) for row in rows):
        raise _UnreadableError("shape", "no list of objects")
    more = page.get("has_more") is not False
    if more and not rows:
        raise _UnreadableError("shape", "an empty page that claims to have a next one")
    return rows, more


def _charge(intent: Json) -> Line:
    ref = _text(intent, "id")
    return Line(
        move=Move.CHARGE,
        reference=reference_of(intent),
        charge_ref=ref,
        own_ref=ref,
        amount_minor=_minor(intent, "amount_received"),
        fee_minor=_fee(intent.get("latest_charge")),
    )


def _fee(charge: object) -> int | None:
    """Stripe's fee of a charge, which is known once its balance transaction is."""
    booked = charge.get("balance_transaction") if is_object(charge) else None
    fee = booked.get("fee") if is_object(booked) else None
    return fee if type(fee) is int else None


def _refund(refund: Json) -> Line:
    return Line(
        move=Move.REFUND,
        reference="",
        charge_ref=_text(refund, "payment_intent"),
        own_ref=_text(refund, "id"),
        amount_minor=_minor(refund, "amount"),
    )


def _dispute(dispute: Json) -> Dispute:
    return Dispute(
        processor_ref=_text(dispute, "id"),
        charge_ref=_text(dispute, "payment_intent"),
        amount_minor=_minor(dispute, "amount"),
        standing=_CLOSED.get(_text(dispute, "status"), Standing.OPEN),
    )


def _text(row: Json, name: str) -> str:
    value = row.get(name)
    if not isinstance(value, str):
        raise _UnreadableError("shape", f"a row without {name}")
    return value


def _minor(row: Json, name: str) -> int:
    value = row.get(name)
    if type(value) is not int:
        raise _UnreadableError("shape", f"a row without {name}")
    return value
