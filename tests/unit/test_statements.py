"""Named SQL files."""

import re
from pathlib import Path
from typing import LiteralString

import psycopg
import pytest

from shared.store import statements

FILES = sorted(path.stem for path in statements.FOLDER.glob("*.sql"))
TEMPORARY_TABLE = "CREATE TEMPORARY TABLE "
PARAMETER = re.compile(r"%\((\w+)\)[sb]")


def numbered(statement: str) -> str:
    """The statement with psycopg's named parameters as the server knows them: $1, $2, ..."""
    names = list(dict.fromkeys(PARAMETER.findall(statement)))
    return PARAMETER.sub(lambda match: f"${names.index(match[1]) + 1}", statement).replace("%%", "%")


def test_there_are_named_statements() -> None:
    assert FILES


@pytest.mark.parametrize("file", FILES)
def test_every_named_statement_fits_the_migrated_schema(file: str, database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        # These cannot be prepared, and statements of other files read their tables: they are run.
        for statement in temporary_tables():
            connection.execute(statement)
        for name, statement in statements.load(file).items():
            if not statement.startswith(TEMPORARY_TABLE):
                connection.execute(f"PREPARE {name} AS {numbered(statement)}".encode())


def temporary_tables() -> list[LiteralString]:
    return [
        statement
        for file in FILES
        for statement in statements.load(file).values()
        if statement.startswith(TEMPORARY_TABLE)
    ]


def write(folder: Path, text: str) -> None:
    (folder / "sample.sql").write_text(text)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(statements, "FOLDER", tmp_path)
    statements.load.cache_clear()
    return tmp_path


def test_names_statements_and_leaves_the_comment_of_the_file_out(folder: Path) -> None:
    write(folder, "-- About rows.\n\n-- name: one\n-- why\nSELECT 1;\n\n-- name: two\nSELECT 2\n")
    assert dict(statements.load("sample")) == {"one": "-- why\nSELECT 1", "two": "SELECT 2"}


@pytest.mark.parametrize(
    "text", ["", "SELECT 1;", "-- name: one\n", "-- name: one\nSELECT 1;\n-- name: one\nSELECT 2;"]
)
def test_a_file_without_clear_statements_is_refused(folder: Path, text: str) -> None:
    write(folder, text)
    with pytest.raises(ValueError, match="distinct names"):
        statements.load("sample")
