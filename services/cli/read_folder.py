"""Reads an export folder: one CSV file per kind of row; every row is checked by itself."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from shared.domain.catalog_rows import KINDS, Row

FILES: Final = {kind: f"{kind.kind}s.csv" for kind in KINDS}
_FIXES: Final = {
    "int_parsing": "Write a whole number; amounts are minor units, 2500 for $25.00.",
    "greater_than_equal": "Write a number in the range.",
    "less_than_equal": "Write a number in the range.",
    "date_from_datetime_parsing": "Write the date as YYYY-MM-DD.",
    "date_parsing": "Write the date as YYYY-MM-DD.",
    "bool_parsing": "Write true or false.",
    "string_too_short": "Fill it in.",
    "literal_error": "Write one of the words that are allowed.",
}
_LONGEST_VALUE: Final = 80


class BadFolderError(Exception):
    """This folder cannot be imported at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BadRow:
    """A row that did not land: where, what is wrong, what to do."""

    file: str
    line: int
    field: str
    value: str
    reason: str
    fix: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadFile:
    """One file's rows that are right by themselves, the others, and every row's cells by line."""

    kind: type[Row]
    rows: list[Row]
    bad: list[BadRow]
    cells: dict[int, dict[str, str]]


def read_folder(folder: Path) -> list[ReadFile]:
    """All files of the folder. Raises BadFolderError if one is missing or its header is not as agreed."""
    return [_read(folder / file, kind) for kind, file in FILES.items()]


def _read(path: Path, kind: type[Row]) -> ReadFile:
    read = ReadFile(kind=kind, rows=[], bad=[], cells={})
    wanted = [name for name in kind.model_fields if name != "line"]
    for line, cells in _cells(path, wanted):
        read.cells[line] = cells
        try:
            read.rows.append(kind.model_validate({**cells, "line": line}))
        except ValidationError as error:
            read.bad.extend(_bad_rows(path.name, line, cells, error))
    return read


def _cells(path: Path, wanted: list[str]) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file, restkey="", restval="", strict=True)
            missing = [name for name in wanted if name not in (rows.fieldnames or [])]
            if missing:
                raise BadFolderError(f"{path.name} has no column {', '.join(missing)}. Export the folder again.")
            for row in rows:
                yield rows.line_num, {name: row[name] for name in wanted}
    except FileNotFoundError:
        raise BadFolderError(f"{path} is missing. Give the folder that holds {', '.join(FILES.values())}.") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadFolderError(f"{path.name} is not CSV in UTF-8: {error}. Export the folder again.") from error


def _bad_rows(file: str, line: int, cells: dict[str, str], error: ValidationError) -> Iterator[BadRow]:
    for one in error.errors():
        field = str(one["loc"][0]) if one["loc"] else ""
        yield BadRow(
            file=file,
            line=line,
            field=field,
            value=cells.get(field, "")[:_LONGEST_VALUE],
            reason=one["msg"].removeprefix("Value error, "),
            fix=_FIXES.get(one["type"], "Correct it upstream and import again."),
        )
