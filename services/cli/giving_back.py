"""What `batchpay void` and `batchpay refund` have in common: ask, say what asking did, wait for what became of it."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

import typer

from services.cli import api
from services.cli.names import uuid_of
from services.cli.printing import confirmed, fail, print_json
from services.cli.report import payments_of, print_payments
from shared.domain import money

What = Annotated[str, typer.Argument(metavar="BATCH|PAYMENT", help="A batch's number or id, or a payment's id.")]
Wait = Annotated[bool, typer.Option("--wait", help="Wait for the processor and print what became of each payment.")]
_ASK_AGAIN_S: Final = 0.5
_UNDER_WAY: Final = ("sending", "unknown", "voiding", "refunding")


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A way to give money back: the last part of its path, and what a person is asked first."""

    name: str
    of_batch: str
    of_payment: str


def give_back(
    what: str, way: Way, *, yes: bool, wait: bool, as_json: bool, said: Mapping[str, str] | None = None
) -> None:
    """Ask for a batch or a payment, print what asking did, and with `wait` what became of it. `said` is sent along."""
    path, question = _found(what, way)
    confirmed(question, yes=yes)
    answer = api.post(f"{path}/{way.name}", dict(said or {}))
    asked = answer.get("payments", [answer])
    if as_json:
        print_json(answer)
    else:
        _print_results(asked, way)
    if wait:
        _wait([one["payment"] for one in asked], path, as_json=as_json)


def _found(what: str, way: Way) -> tuple[str, str]:
    """The path of the batch or payment, and what to ask before its money is given back."""
    path = f"batches/{api.name(what)}"
    if batch := api.find(path):
        return path, way.of_batch.format(batch=batch["number"], count=f"{batch['total']['count']:,}")
    path = f"payments/{api.name(what)}"
    found = api.find(path) if uuid_of(what) else None
    if found is None:
        fail(f"Your practice has no batch and no payment {what!r}. A batch is BP-1048 or an id, a payment is an id.")
    payment = found["payment"]
    amount = money.words(payment["amount_minor"], payment["currency"])
    return path, way.of_payment.format(amount=amount, invoice=payment["invoice_number"])


def _print_results(asked: Iterable[dict[str, Any]], way: Way) -> None:
    """A line for each result: how many payments, and what it means."""
    said: dict[str, list[str]] = {}
    for one in asked:
        said.setdefault(one["result"], []).append(one["message"])
    for result, messages in sorted(said.items()):
        typer.echo(f"{len(messages):>7,} {result.replace('_', ' ')}: {messages[0]}")
    if not said:
        typer.echo(f"There is nothing to {way.name}.")


def _wait(asked: list[str], path: str, *, as_json: bool) -> None:
    mine = set(asked)
    while True:
        rows = [row for row in _payments(path) if row["id"] in mine]
        if not any(row["state"] in _UNDER_WAY for row in rows):
            break
        time.sleep(_ASK_AGAIN_S)
    if as_json:
        print_json(rows)
    else:
        print_payments(rows)


def _payments(path: str) -> Iterable[dict[str, Any]]:
    return payments_of(path) if path.startswith("batches/") else [api.get(path)["payment"]]
