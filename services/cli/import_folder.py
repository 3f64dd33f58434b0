"""`batchpay import FOLDER`: takes an export folder of an upstream product."""

import asyncio
import getpass
import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

import psycopg
import typer
from rich.console import Console
from rich.table import Table

from services.cli.read_folder import FILES, BadFolderError, BadRow, ReadFile, read_folder
from shared.settings import Settings
from shared.store import catalog
from shared.store.catalog import KindResult, Rejected


class Said(NamedTuple):
    field: str
    reason: str
    fix: str


_REFUSALS: Final = {
    "unknown_practice": Said("practice_id", "there is no such practice", "Add it to practices.csv."),
    "unknown_client": Said("client_id", "the practice has no such client", "Add it to clients.csv."),
    "unknown_clinician": Said("clinician_id", "the practice has no such clinician", "Add it to clinicians.csv."),
    "unknown_invoice": Said("invoice_id", "the practice has no such invoice", "Add it to invoices.csv."),
    "duplicate_id": Said("", "the same id is on line {other_line}, which was taken", "Remove one of the two."),
    "two_defaults": Said(
        "is_default", "the client has another default on line {other_line}", "Leave one true; neither was taken."
    ),
    "method_moved": Said("client_id", "it belongs to another client", "Give it a new payment_method_id."),
    "invoice_moved": Said("client_id", "it belongs to another client", "Give it a new invoice_id."),
    "session_moved": Said("invoice_id", "it belongs to another invoice", "Give it a new session_id."),
}


class Imported(NamedTuple):
    results: dict[str, KindResult]
    bad: list[BadRow]


def import_folder(
    folder: Annotated[Path, typer.Argument(help="Holds practices.csv, clients.csv, invoices.csv, ...")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Take practices, clients, payment methods and invoices from CSV files. Exit code 1 if a row was refused."""
    try:
        files = read_folder(folder)
    except BadFolderError as error:
        Console(stderr=True).print(f"[red]{error}[/red]")
        raise typer.Exit(2) from error
    imported = asyncio.run(run_import(Settings().database_url, files, actor=getpass.getuser()))
    if as_json:
        typer.echo(json.dumps(_as_json(imported), indent=2))
    else:
        _print(imported)
    if imported.bad:
        raise typer.Exit(1)


async def run_import(database_url: str, files: list[ReadFile], *, actor: str) -> Imported:
    """Land the rows of all files in one transaction: the good ones; the bad ones come back."""
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        results = await catalog.land(
            connection, [(file.kind, file.rows) for file in files], actor=actor, source="batchpay import"
        )
    bad = [row for file in files for row in file.bad]
    bad += [_refusal(file, one) for file in files for one in results[file.kind.kind].rejected]
    order = list(FILES.values())
    return Imported(results, sorted(bad, key=lambda row: (order.index(row.file), row.line)))


def _refusal(file: ReadFile, rejected: Rejected) -> BadRow:
    said = _REFUSALS[rejected.code]
    field = said.field or file.kind.key
    return BadRow(
        file=FILES[file.kind],
        line=rejected.line,
        field=field,
        value=file.cells[rejected.line][field],
        reason=said.reason.format(other_line=rejected.other_line),
        fix=said.fix,
    )


def _as_json(imported: Imported) -> dict[str, Any]:
    counts = {
        FILES[kind]: {
            "added": result.added,
            "changed": result.changed,
            "unchanged": result.unchanged,
        }
        for kind, result in ((kind, imported.results[kind.kind]) for kind in FILES)
    }
    return {"files": counts, "bad_rows": [asdict(row) for row in imported.bad]}


def _print(imported: Imported) -> None:
    console = Console()
    table = Table("file", "added", "changed", "unchanged", "refused")
    for kind, file in FILES.items():
        result = imported.results[kind.kind]
        refused = len({row.line for row in imported.bad if row.file == file})
        table.add_row(file, *(f"{count:,}" for count in (result.added, result.changed, result.unchanged, refused)))
    console.print(table)
    if not any(result.added or result.changed for result in imported.results.values()):
        console.print("Nothing changed: everything in this folder was known.")
    for row in imported.bad:
        console.print(f"{row.file}:{row.line} {row.field}={row.value!r}: {row.reason}. {row.fix}", markup=False)
