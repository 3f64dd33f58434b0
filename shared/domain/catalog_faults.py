"""What can be wrong with a pushed row, in words: by itself, or because of what is there."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from pydantic import ValidationError

from shared.domain.catalog_rows import Row

_FIXES: Final = {
    "int_parsing": "Write a whole number; amounts are minor units, 2500 for $25.00.",
    "int_type": "Write a whole number; amounts are minor units, 2500 for $25.00.",
    "greater_than_equal": "Write a number in the range.",
    "less_than_equal": "Write a number in the range.",
    "date_from_datetime_parsing": "Write the date as YYYY-MM-DD.",
    "date_type": "Write the date as YYYY-MM-DD.",
    "date_parsing": "Write the date as YYYY-MM-DD.",
    "bool_parsing": "Write true or false.",
    "string_too_short": "Fill it in.",
    "literal_error": "Write one of the words that are allowed.",
    "missing": "Add it.",
    "extra_forbidden": "Remove it; nothing of this name is known here.",
}
_LONGEST_VALUE: Final = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class RowFault:
    """Why a row did not land: where, what is wrong, what to do."""

    line: int
    field: str
    value: str
    reason: str
    fix: str


class _Said(NamedTuple):
    field: str
    reason: str
    fix: str


_REFUSALS: Final = {
    "unknown_practice": _Said("practice_id", "there is no such practice", "Add the practice first."),
    "unknown_client": _Said("client_id", "the practice has no such client", "Add the client first."),
    "unknown_clinician": _Said("clinician_id", "the practice has no such clinician", "Add the clinician first."),
    "unknown_invoice": _Said("invoice_id", "the practice has no such invoice", "Add the invoice first."),
    "duplicate_id": _Said("", "the same id is on line {other_line}, which was taken", "Remove one of the two."),
    "two_defaults": _Said(
        "is_default", "the client has another default on line {other_line}", "Leave one true; neither was taken."
    ),
    "method_moved": _Said("client_id", "it belongs to another client", "Give it a new payment_method_id."),
    "invoice_moved": _Said("client_id", "it belongs to another client", "Give it a new invoice_id."),
    "session_moved": _Said("invoice_id", "it belongs to another invoice", "Give it a new session_id."),
    "event_unknown": _Said(
        "included_sequence", "there is no such event of this invoice yet", "Send the `sequence` of its latest event."
    ),
    "figures_outdated": _Said(
        "included_sequence",
        "figures that include later events of this invoice were taken before",
        "Send the invoice as it is now, with the `sequence` that it includes.",
    ),
}


def faults_of(line: int, cells: Mapping[str, object], error: ValidationError) -> Iterator[RowFault]:
    """All that is wrong with a row by itself."""
    for one in error.errors():
        field = str(one["loc"][0]) if one["loc"] else ""
        yield RowFault(
            line=line,
            field=field,
            value=str(cells.get(field, ""))[:_LONGEST_VALUE],
            reason=one["msg"].removeprefix("Value error, "),
            fix=_FIXES.get(one["type"], "Correct it upstream and send it again."),
        )


def refusal_of(
    kind: type[Row], code: str, *, line: int, other_line: int | None, cells: Mapping[str, object]
) -> RowFault:
    """Why the database did not take a row that is right by itself."""
    said = _REFUSALS[code]
    field = said.field or kind.key
    return RowFault(
        line=line,
        field=field,
        value=str(cells.get(field, ""))[:_LONGEST_VALUE],
        reason=said.reason.format(other_line=other_line),
        fix=said.fix,
    )
