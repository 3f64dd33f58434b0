"""What commands print: JSON for programs, tables for people, and errors that end a command."""

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final, NoReturn

import typer

from shared.domain import money

if TYPE_CHECKING:
    from rich.console import Console

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do it without asking.")]

# A command that did not do what it was asked for, and one that was asked for something impossible.
REFUSED: Final = 1
USAGE: Final = 2
# Where no terminal gives a width, tables still have room.
_WIDTH: Final = 160


def console() -> "Console":
    # A tenth of a second of imports, which a command that prints no table need not pay.
    from rich.console import Console  # noqa: PLC0415

    return Console(width=None if sys.stdout.isatty() else _WIDTH)


def fail(message: str, *, code: int = REFUSED) -> NoReturn:
    """Say why on standard error and end the command."""
    typer.echo(message, err=True)
    raise typer.Exit(code)


def print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=2, default=str))


def print_table(
    rows: Sequence[tuple[str, ...]], *, columns: tuple[str, ...], right: frozenset[str] = frozenset()
) -> None:
    """A table; nothing in a cell is taken for markup. Columns in `right` are aligned to the right."""
    from rich.table import Table  # noqa: PLC0415  # as above

    table = Table()
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(cell.replace("[", r"\[") for cell in row))
    console().print(table)


def amounts(group: dict[str, int], currency: str) -> str:
    """A group of payments: how many, and their sum."""
    return f"{group['count']:,}  {money.words(group['amount_minor'], currency)}"


def confirmed(question: str, *, yes: bool) -> None:
    """Ask a person, unless told not to. Ends the command where nobody agrees, or nobody can be asked."""
    if yes:
        return
    if not sys.stdin.isatty():
        fail("Nobody is here to ask. Nothing was done. Add --yes to do it without asking.", code=USAGE)
    if not typer.confirm(question, err=True):
        fail("Nothing was done.")
