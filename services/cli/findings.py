"""`batchpay findings`: what is out of order between us and the processors, and what people did about it."""

import asyncio
import getpass
import json
from dataclasses import asdict
from typing import Annotated, Any
from uuid import UUID

import typer
from rich.console import Console
from rich.table import Table

from services.cli.database import connected
from services.cli.printing import fail
from shared.domain import money
from shared.domain.finding_kinds import suggestion
from shared.store import findings, scope
from shared.store.findings import Listed

app = typer.Typer(no_args_is_help=True, help="What is out of order between us and the processors.")


@app.command("list")
def list_(
    practice: Annotated[str, typer.Argument(help="Upstream's id of the practice.")],
    *,
    resolved_too: Annotated[bool, typer.Option("--all", help="Also those that are resolved.")] = False,
    json_: Annotated[bool, typer.Option("--json", help="Print the list as JSON.")] = False,
) -> None:
    """List a practice's open findings with what can be done about each."""
    found = asyncio.run(listed(practice, resolved_too=resolved_too))
    if json_:
        typer.echo(json.dumps([as_json(one) for one in found], indent=2, default=str))
    else:
        show(found)


@app.command()
def resolve(
    finding: Annotated[UUID, typer.Argument(help="The finding's id.")],
    *,
    note: Annotated[str, typer.Option(help="What was done about it.")],
    by: Annotated[str | None, typer.Option(help="Who did it, for the audit log; without it: who is logged in.")] = None,
) -> None:
    """Say that a finding is dealt with."""
    if not note.strip():
        raise typer.BadParameter("--note must say something")
    if not asyncio.run(_resolve(finding, by=by or getpass.getuser(), note=note.strip())):
        typer.echo("There is no such finding, or it is resolved already.", err=True)
        raise typer.Exit(1)
    typer.echo("Resolved.")


async def listed(practice: str, *, resolved_too: bool) -> list[Listed]:
    async with connected() as connection:
        if await scope.resolve(connection, practice=practice, clinician=None) is None:
            fail(f"There is no practice {practice!r}.")
        return await findings.listed(connection, practice=practice, resolved_too=resolved_too)


async def _resolve(finding: UUID, *, by: str, note: str) -> bool:
    async with connected() as connection:
        return await findings.resolve(connection, finding, by=by, note=note, source="batchpay findings")


def as_json(found: Listed) -> dict[str, Any]:
    return {**asdict(found), "suggestion": suggestion(found.kind)}


def show(found: list[Listed]) -> None:
    console = Console()
    if not found:
        console.print("Nothing is open.")
        return
    table = Table("Finding", "Kind", "Payment", "What", "What to do")
    for one in found:
        table.add_row(str(one.id), one.kind, payment_of(one), one.detail, suggestion(one.kind))
    console.print(table)


def payment_of(found: Listed) -> str:
    """Which of our payments it is about, in a person's words."""
    if found.amount_minor is None or found.currency is None:
        return "none of ours"
    return f"{found.batch}, {found.invoice}, {money.words(found.amount_minor, found.currency)}"
