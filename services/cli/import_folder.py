"""`batchpay import FOLDER`: takes an export folder of an upstream product."""

import asyncio
import getpass
import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import psycopg
import typer
from rich.console import Console
from rich.table import Table

from services.cli.read_folder import FILES, BadFolderError, BadRow, ReadFile, read_folder
from shared.domain.catalog_faults import refusal_of
from shared.settings import Settings
from shared.store import catalog
from shared.store.catalog import KindResult, Rejected


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
    fault = refusal_of(
        file.kind,
        rejected.code,
        line=rejected.line,
        other_line=rejected.other_line,
        cells=file.cells[rejected.line],
    )
    return BadRow(file=FILES[file.kind], **asdict(fault))


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
