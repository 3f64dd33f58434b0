"""`batchpay review`: the payments that only a person can settle, and what the person says about them."""

import asyncio
import json
from dataclasses import asdict
from functools import partial
from typing import Annotated, Any, Final
from uuid import UUID

import typer

from services.cli.database import connected
from services.cli.janitor import answer_within
from shared.domain import money
from shared.domain.resolving import Verdict, suggestion
from shared.store import resolutions
from shared.store.resolutions import Answer, UnderReview

app = typer.Typer(no_args_is_help=True, help="Payments that only a person can settle.")

_SOURCE: Final = "batchpay review"
# A lookup may take as long as a charge; a janitor that is away for longer is not running.
_ANSWERED_WITHIN_S: Final = 120.0


@app.command("list")
def list_(
    *,
    practice: Annotated[str | None, typer.Option(help="Upstream's id of one practice.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the list as JSON.")] = False,
) -> None:
    """List the payments under review with the reason and what can be done."""
    rows = asyncio.run(_listed(practice))
    if as_json:
        typer.echo(json.dumps([_as_json(row) for row in rows], indent=2, default=str))
    else:
        _print(rows)


@app.command()
def resolve(
    payment: Annotated[UUID, typer.Argument(help="The payment's id.")],
    verdict: Annotated[str, typer.Argument(help="charged, not-executed or acknowledged.", metavar="VERDICT")],
    reference: Annotated[str | None, typer.Argument(help="The processor's number of the charge, if charged.")] = None,
    *,
    by: Annotated[str, typer.Option(help="Who says so; it is written to the audit log.")],
    note: Annotated[str, typer.Option(help="How it is known.")],
) -> None:
    """Say what became of a payment. The janitor looks at the processor first; exit code 1 if it refuses."""
    said = _verdict(verdict, reference)
    if not by.strip() or not note.strip():
        raise typer.BadParameter("--by and --note must say something")
    answer = asyncio.run(_resolve(payment, said, reference, by=by.strip(), note=note.strip()))
    if answer is None:
        typer.echo(f"There is no payment {payment}.", err=True)
    elif not answer.answered:
        typer.echo(
            "No janitor has answered yet. It is written down: `batchpay review list` shows the outcome.", err=True
        )
    elif answer.refusal:
        typer.echo(f"Refused: {answer.refusal}.", err=True)
    else:
        typer.echo(f"Resolved: {verdict}.")
        return
    raise typer.Exit(1)


def _verdict(word: str, reference: str | None) -> Verdict:
    words = {verdict.replace("_", "-"): verdict for verdict in Verdict}
    if word not in words:
        raise typer.BadParameter(f"{word!r} is none of {', '.join(words)}")
    if (words[word] is Verdict.CHARGED) != bool(reference):
        raise typer.BadParameter("charged needs the processor's reference, and nothing else takes one")
    return words[word]


async def _listed(practice: str | None) -> list[UnderReview]:
    async with connected() as connection:
        return await resolutions.listed(connection, practice=practice)


async def _resolve(payment: UUID, verdict: Verdict, reference: str | None, *, by: str, note: str) -> Answer | None:
    async with connected(autocommit=True) as connection:
        asked = await resolutions.ask(
            connection, payment, verdict=verdict, processor_ref=reference, note=note, asked_by=by, source=_SOURCE
        )
        if asked is None:
            return None
        return await answer_within(_ANSWERED_WITHIN_S, partial(resolutions.answer_of, connection, asked))


def _as_json(row: UnderReview) -> dict[str, Any]:
    return {**asdict(row), "suggestion": suggestion(row.state, row.processor)}


def _print(rows: list[UnderReview]) -> None:
    # A tenth of a second of imports, which nobody who resolves a payment need pay.
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    console = Console()
    if not rows:
        console.print("Nothing is under review.")
        return
    table = Table("payment", "practice", "batch", "amount", "state", "our reference", "reason", "suggestion")
    for row in rows:
        amount = money.words(row.amount_minor, row.currency)
        table.add_row(
            str(row.id),
            row.practice,
            f"BP-{row.batch_number}",
            amount,
            row.state,
            row.reference or "",
            row.reason,
            suggestion(row.state, row.processor),
        )
    console.print(table)
