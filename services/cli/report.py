"""`batchpay report BATCH`: a row for each payment of a batch."""

import csv
import sys
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Final

import typer

from schemas.http import MOST_ROWS_OF_REPORT
from services.cli import api
from services.cli.printing import Json, print_json, print_table
from services.cli.status import Batch
from shared.domain import money

_COLUMNS: Final = (
    "Payment", "Invoice", "Client", "Card", "Number", "Amount", "Currency", "Status", "Reason", "Processor reference",
)  # fmt: skip
# A cell that begins with one of these is a formula to a spreadsheet.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def report(
    batch: Batch,
    *,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    as_json: Json = False,
) -> None:
    """Print every payment of a batch with its state and the reason."""
    if as_csv and as_json:
        raise typer.BadParameter("give one of --csv and --json")
    payments = payments_of(f"batches/{api.name(batch)}")
    if as_json:
        print_json(list(payments))
    elif as_csv:
        writer = csv.writer(sys.stdout)
        writer.writerow(_COLUMNS)
        writer.writerows([_plain(cell) for cell in _cells(payment)] for payment in payments)
    else:
        print_payments(payments)


def print_payments(payments: Iterable[dict[str, Any]]) -> None:
    """A line for each payment."""
    print_table([_cells(payment) for payment in payments], columns=_COLUMNS, right=frozenset({"Amount"}))


def payments_of(path: str) -> Iterator[dict[str, Any]]:
    """Every payment of the batch at `path`."""
    query: dict[str, str | int] = {"limit": MOST_ROWS_OF_REPORT}
    while True:
        page = api.get(f"{path}/payments", **query)
        yield from page["items"]
        if page["next_cursor"] is None:
            return
        query["cursor"] = page["next_cursor"]


def _cells(payment: dict[str, Any]) -> tuple[str, ...]:
    method = payment["method"]
    return (
        payment["id"],
        payment["invoice_number"],
        payment["client_name"],
        f"{method['brand']} {method['last4']}",
        payment["number"],
        str(money.decimal(payment["amount_minor"], payment["currency"])),
        payment["currency"],
        payment["state"],
        payment["reason"]["message"] if payment["reason"] else "",
        payment["processor_reference"] or "",
    )


def _plain(cell: str) -> str:
    return f"'{cell}" if cell.startswith(_FORMULA) else cell
