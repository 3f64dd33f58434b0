"""`batchpay void BATCH|PAYMENT`: gives back what can still be given back before it settles."""

from typing import Annotated

import typer

from services.cli import api
from services.cli.names import uuid_of
from services.cli.printing import Json, Yes, confirmed, fail, print_json
from shared.domain import money


def void(
    what: Annotated[str, typer.Argument(metavar="BATCH|PAYMENT", help="A batch's number or id, or a payment's id.")],
    *,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Ask for a void of a whole batch or of one payment. The processor's own answers come later: see the report."""
    path, question = _found(what)
    confirmed(question, yes=yes)
    answer = api.post(f"{path}/void", {})
    if as_json:
        print_json(answer)
        return
    for result, count in sorted(answer["results"].items()):
        typer.echo(f"{count:>7,} {result.replace('_', ' ')}")
    if not answer["results"]:
        typer.echo("Nothing was left to void.")


def _found(what: str) -> tuple[str, str]:
    """The path of the batch or payment, and what to ask before it is voided."""
    path = f"batches/{api.name(what)}"
    if batch := api.find(path):
        return path, f"Void all that can still be voided of {batch['number']} ({batch['total']['count']:,} payments)?"
    path = f"payments/{api.name(what)}"
    found = api.find(path) if uuid_of(what) else None
    if found is None:
        fail(f"Your practice has no batch and no payment {what!r}. A batch is BP-1048 or an id, a payment is an id.")
    payment = found["payment"]
    amount = money.words(payment["amount_minor"], payment["currency"])
    return path, f"Void the payment of {amount} for {payment['invoice_number']}?"
