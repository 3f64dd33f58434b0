"""Reads an export folder: one CSV file per kind of row; every row is checked by itself."""

import csv
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from shared.domain.catalog_faults import RowFault, faults_of
from shared.domain.catalog_rows import KINDS, Row

FILES: Final = {kind: f"{kind.kind}s.csv" for kind in KINDS}


class BadFolderError(Exception):
    """This folder cannot be imported at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BadRow(RowFault):
    file: str


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
    for line, cells in _cells(path, kind):
        read.cells[line] = cells
        try:
            read.rows.append(kind.model_validate({**cells, "line": line}))
        except ValidationError as error:
            read.bad.extend(BadRow(file=path.name, **asdict(fault)) for fault in faults_of(line, cells, error))
    return read


def _cells(path: Path, kind: type[Row]) -> Iterator[tuple[int, dict[str, str]]]:
    columns = kind.model_fields.keys() - {"line"}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file, restkey="", restval="", strict=True)
            given = set(rows.fieldnames or [])
            missing = [name for name in kind.required_columns() if name not in given]
            if missing:
                raise BadFolderError(f"{path.name} has no column {', '.join(missing)}. Export the folder again.")
            for row in rows:
                yield rows.line_num, {name: row[name] for name in given & columns}
    except FileNotFoundError:
        raise BadFolderError(f"{path} is missing. Give the folder that holds {', '.join(FILES.values())}.") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadFolderError(f"{path.name} is not CSV in UTF-8: {error}. Export the folder again.") from error
