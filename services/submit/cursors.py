"""Pages over HTTP: one row more than asked for tells whether there is a next page."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from schemas import http
from services.submit.problems import ProblemError
from shared.store.paging import BadCursorError, Cursor, Order, read_cursor, write_cursor

Query = http.BatchQuery | http.InvoiceQuery | http.PaymentQuery | http.WebhookQuery | http.DeliveryQuery
# Lists with one order only.
_MADE_FOR: Final[Mapping[type, str]] = MappingProxyType(
    {http.PaymentQuery: "payments", http.WebhookQuery: "webhooks", http.DeliveryQuery: "deliveries"}
)


def order_of(query: Query) -> Order:
    """The order that the query asks for. Raises the problem 422 for a cursor that is not of this list and order."""
    try:
        after = read_cursor(query.cursor, sort=_made_for(query)) if query.cursor else None
    except BadCursorError as error:
        raise ProblemError(
            422,
            "bad_cursor",
            f"The cursor is refused: {error}.",
            errors=[
                http.Fault(
                    field="cursor",
                    value=query.cursor,
                    code="bad_cursor",
                    message=f"The cursor is refused: {error}.",
                    fix="Begin with the first page: leave out `cursor`.",
                )
            ],
        ) from error
    if isinstance(query, http.BatchQuery | http.InvoiceQuery):
        return Order(sort=query.sort, descending=query.order == "desc", limit=query.limit + 1, after=after)
    return Order(sort="", descending=False, limit=query.limit + 1, after=after)


def next_cursor(cursors: Sequence[Cursor], query: Query) -> str | None:
    """The cursor after this page; None on the last one. `cursors` are those of all rows read, one too many included."""
    if len(cursors) <= query.limit:
        return None
    return write_cursor(cursors[query.limit - 1], sort=_made_for(query))


def _made_for(query: Query) -> str:
    if isinstance(query, http.BatchQuery | http.InvoiceQuery):
        return f"{query.sort} {query.order}"
    return _MADE_FOR[type(query)]
