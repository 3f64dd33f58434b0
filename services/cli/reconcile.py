"""`batchpay reconcile PRACTICE DAY`: compares our books with the processor's. The janitor asks the processor."""

import asyncio
import getpass
import json
from dataclasses import asdict
from datetime import date, datetime
from functools import partial
from typing import Annotated, Final

import typer

from services.cli.database import connected
from services.cli.findings import as_json, listed, show
from services.cli.janitor import answer_within
from shared.store import reconciliations
from shared.store.reconciliations import Outcome

# A day of a large practice is many pages of lists; a janitor that is away for longer is not running.
_ANSWERED_WITHIN_S: Final = 300.0


def reconcile(
    practice: Annotated[str, typer.Argument(help="Upstream's id of the practice.")],
    day: Annotated[datetime, typer.Argument(help="The day, as its processor counts days.", formats=["%Y-%m-%d"])],
    *,
    json_: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Compare one day with the processor's books. Exit code 1 if anything is open, 2 if it could not be compared."""
    outcome = asyncio.run(_reconcile(practice, day.date()))
    if outcome is None:
        typer.echo(f"There is no practice {practice}.", err=True)
        raise typer.Exit(2)
    if not outcome.answered:
        typer.echo("No janitor has answered yet. It is written down: ask again later.", err=True)
        raise typer.Exit(2)
    if outcome.failure:
        typer.echo(f"The books could not be read: {outcome.failure}.", err=True)
        raise typer.Exit(2)
    open_ = asyncio.run(listed(practice, resolved_too=False))
    if json_:
        typer.echo(json.dumps({**asdict(outcome), "findings": [as_json(one) for one in open_]}, default=str))
    else:
        whole = "" if outcome.complete else " The day's books are not complete yet."
        typer.echo(f"Compared {outcome.lines} lines, caught up with {outcome.caught_up}.{whole}")
        show(open_)
    if open_:
        raise typer.Exit(1)


async def _reconcile(practice: str, day: date) -> Outcome | None:
    async with connected(autocommit=True) as connection:
        asked = await reconciliations.ask(connection, practice=practice, day=day, asked_by=getpass.getuser())
        if asked is None:
            return None
        return await answer_within(_ANSWERED_WITHIN_S, partial(reconciliations.outcome_of, connection, asked))
