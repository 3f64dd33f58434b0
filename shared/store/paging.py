"""Keyset paging: a page begins after the last row of the page before, so nothing is skipped or shown twice when rows
come and go, and a late page costs no more than the first.
"""

import base64
import json
from dataclasses import dataclass
from typing import Any
from uuid import UUID


class BadCursorError(ValueError):
    """This text is not a cursor that we gave out for this order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """A row's place in its order."""

    text: str
    number: int
    id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """By which column, which way, after which row, how many."""

    sort: str
    descending: bool
    limit: int
    after: Cursor | None = None

    def parameters(self) -> dict[str, Any]:
        return {
            "sort": self.sort,
            "descending": self.descending,
            "limit": self.limit,
            "after_text": self.after.text if self.after else "",
            "after_number": self.after.number if self.after else 0,
            "after_id": self.after.id if self.after else None,
        }


def write_cursor(cursor: Cursor, *, sort: str) -> str:
    """An opaque text for the caller. It names its order: used with another one it is refused, not misread."""
    raw = json.dumps([sort, cursor.text, cursor.number, cursor.id.hex], separators=(",", ":"))
    return base64.urlsafe_b64encode(raw.encode()).decode().rstrip("=")


def read_cursor(text: str, *, sort: str) -> Cursor:
    """The cursor that `write_cursor` made. Raises BadCursorError for anything else."""
    try:
        raw = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        made_for, key, number, row_id = raw
        cursor = Cursor(text=str(key), number=int(number), id=UUID(hex=row_id))
    except (ValueError, TypeError, AttributeError):
        raise BadCursorError("this is not a cursor of this list") from None
    if made_for != sort or not -(2**63) <= cursor.number < 2**63 or "\0" in cursor.text:
        raise BadCursorError("this cursor belongs to another sort order")
    return cursor
