"""`batchpay status BATCH`: how a batch goes, live until it is done."""

import time
from datetime import datetime
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from services.cli import api
from services.cli.printing import Json, amounts, print_json, print_table

Batch = Annotated[str, typer.Argument(help="The batch's number, as BP-1048, or its id.")]
_ASK_AGAIN_S: Final = 0.5
_RUNNING: Final = ("processing", "voiding")
GROUPS: Final = ("total", "approved", "declined", "unfinished", "returned", "canceled")


def status(
    batch: Batch,
    *,
    once: Annotated[bool, typer.Option("--once", help="Look once instead of waiting until it is done.")] = False,
    as_json: Json = False,
) -> None:
    """Show how a batch goes until every payment has an outcome. Ctrl-C ends the command, not the batch."""
    path = f"batches/{api.name(batch)}"
    shown = api.get(path)
    if not once:
        shown = _follow(path, shown)
    if as_json:
        print_json(shown)
    else:
        print_batches([shown])


def _follow(path: str, shown: dict[str, Any]) -> dict[str, Any]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task(shown["number"], total=shown["total"]["count"])
        while True:
            finished = shown["total"]["count"] - shown["unfinished"]["count"]
            progress.update(bar, completed=finished, description=f"{shown['number']} {shown['status']}")
            if shown["status"] not in _RUNNING:
                return shown
            time.sleep(_ASK_AGAIN_S)
            shown = api.get(path)


def print_batches(batches: list[dict[str, Any]]) -> None:
    """A line of the history for each batch."""
    rows = [
        (
            one["number"],
            datetime.fromisoformat(one["submitted_at"]).strftime("%Y-%m-%d %H:%M"),
            one["submitted_by"],
            *(amounts(one[group], one["currency"]) for group in GROUPS),
            f"{one['status'].replace('_', ' ')}, {one['posting']}",
        )
        for one in batches
    ]
    columns = ("Batch", "Submitted, UTC", "By", "Total", "Approved", "Declined", "Unfinished", "Returned", "Canceled")
    print_table(rows, columns=(*columns, "Status"), right=frozenset(columns[3:]))
