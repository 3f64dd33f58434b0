"""Sorted, paged lists in a URL: the URL is the whole view, so that back, reload and bookmarks work."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeVar
from urllib.parse import urlencode

from starlette.exceptions import HTTPException

from shared.store.paging import BadCursorError, Cursor, Order, read_cursor, write_cursor


class Row(Protocol):
    @property
    def cursor(self) -> Cursor: ...


R = TypeVar("R", bound=Row)

# How an order begins and ends, upwards and downwards.
_TEXTS: Final = ("A to Z", "Z to A")
_TIMES: Final = ("oldest first", "newest first")
_NUMBERS: Final = ("smallest first", "largest first")
_OF_TIME: Final = frozenset({"service_date", "finished"})
_OF_NUMBER: Final = frozenset({"amount", "sessions"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A list's place in its order. `filters` are the query parameters that keep their value from page to page.

    A page begins `after` a row or ends `before` one; `page` only tells the reader which one it is.
    """

    path: str
    sort: str
    descending: bool
    size: int
    page: int = 1
    after: str | None = None
    before: str | None = None
    default: str = ""
    # Where rows can be read in one direction only, "previous" leads to the first page.
    both_ways: bool = True
    filters: dict[str, Any] = field(default_factory=dict)

    @property
    def made_for(self) -> str:
        return f"{self.sort} {'desc' if self.descending else 'asc'}"

    def order(self) -> Order:
        """Read one row more than a page has; upwards the order is turned round. Raises 404 for a bad cursor."""
        text = (self.before if self.both_ways else None) or self.after
        try:
            cursor = read_cursor(text, sort=self.made_for) if text else None
        except BadCursorError as error:
            raise HTTPException(404) from error
        descending = not self.descending if self.before else self.descending
        return Order(sort=self.sort, descending=descending, limit=self.size + 1, after=cursor)

    def cut(self, rows: Sequence[R]) -> tuple[list[R], str | None, str | None]:
        """The rows of this page in their order, and the URLs of the pages before and after it."""
        more, shown = len(rows) > self.size, list(rows[: self.size])
        if self.before:
            shown.reverse()
        previous = (more if self.before else self.after is not None) and bool(shown)
        following = (True if self.before else more) and bool(shown)
        return (
            shown,
            self._page(before=shown[0].cursor) if previous else None,
            self._page(after=shown[-1].cursor) if following else None,
        )

    def url(self, **changes: Any) -> str:
        """This view with other filters, from its first page."""
        kept = self._shown({**self.filters, "sort": self.sort_text} | changes)
        return f"{self.path}?{urlencode(kept)}" if kept else self.path

    def kept(self) -> list[tuple[str, Any]]:
        """What a form that sorts this view has to send along."""
        return list(self._shown(self.filters).items())

    def _shown(self, values: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in values.items() if value not in {None, "", "all", self.default}}

    def sorted_by(self, column: str, *, descending: bool = False) -> str:
        """The view sorted by this column; the other way round if it is already."""
        down = not self.descending if column == self.sort else descending
        return self.url(sort=f"-{column}" if down else column)

    def aria_sort(self, column: str) -> str | None:
        if column != self.sort:
            return None
        return "descending" if self.descending else "ascending"

    @property
    def sorted(self) -> str:
        """In words: `client, A to Z`."""
        ends = _TIMES if self.sort in _OF_TIME else _NUMBERS if self.sort in _OF_NUMBER else _TEXTS
        return f"{self.sort.replace('_', ' ')}, {ends[self.descending]}"

    @property
    def sort_text(self) -> str:
        return f"-{self.sort}" if self.descending else self.sort

    def _page(self, *, after: Cursor | None = None, before: Cursor | None = None) -> str:
        if after is not None:
            return self.url(after=write_cursor(after, sort=self.made_for), page=self.page + 1)
        assert before is not None
        if self.page == 2 or not self.both_ways:
            return self.url()
        return self.url(before=write_cursor(before, sort=self.made_for), page=max(1, self.page - 1))


def read_sort(text: str, allowed: Sequence[str], default: str) -> tuple[str, bool]:
    """Column and direction of `-amount`; the default's for anything else."""
    for choice in (text, default):
        if choice.removeprefix("-") in allowed:
            return choice.removeprefix("-"), choice.startswith("-")
    raise AssertionError(default)
