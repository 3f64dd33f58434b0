"""`batchpay submit`: charges a practice's open invoices, after a preview that a person confirms."""

import sys
from pathlib import Path
from typing import Annotated, Any, Final
from uuid import uuid4

import typer
from pydantic import ValidationError

from schemas.http import InvoiceFilter
from services.cli import api
from services.cli.printing import USAGE, Json, Yes, confirmed, fail, print_json
from shared.domain import money

_SHOWN_BLOCKED: Final = 10


def submit(
    practice: Annotated[str, typer.Argument(help="Upstream's id of the practice; the token must be for it.")],
    *,
    all_: Annotated[bool, typer.Option("--all", help="All invoices that can be charged.")] = False,
    invoices: Annotated[
        Path | None, typer.Option(help="A file with an invoice's id on each line; - reads standard input.")
    ] = None,
    matching: Annotated[
        list[str] | None, typer.Option(help="FIELD=VALUE, as service_from=2026-10-01; repeat for several.")
    ] = None,
    payment_number: Annotated[str | None, typer.Option(help="One number for all payments of the batch.")] = None,
    key: Annotated[str | None, typer.Option(help="Of an earlier try whose answer was lost.")] = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Charge a practice's open invoices in one batch, with BATCHPAY_API_URL and BATCHPAY_API_TOKEN.

    Shows what would be charged and asks. All that was confirmed is submitted, or nothing.
    """
    selection = _selection(all_=all_, invoices=invoices, matching=matching)
    if payment_number:
        selection["payment_number"] = payment_number
    if (of_token := api.practice_of_token()) != practice:
        fail(f"PRACTICE is {practice!r}, but BATCHPAY_API_TOKEN is for {of_token!r}. Nothing was done.", code=USAGE)
    preview = api.post("batches/preview", selection)
    if not as_json:
        _show(preview)
    if preview["control"] is None:
        fail("None of these invoices can be charged. Nothing was done.")
    confirmed("Charge them?", yes=yes)
    key = key or str(uuid4())
    typer.echo(f"Submitting under the key {key}. If no answer comes, run this again with --key {key}.", err=True)
    batch = api.post("batches", {**selection, "control": preview["control"]}, key=key)
    if as_json:
        print_json(batch)
    else:
        _say(batch)


def _selection(*, all_: bool, invoices: Path | None, matching: list[str] | None) -> dict[str, Any]:
    if [all_, invoices is not None, bool(matching)].count(True) != 1:
        raise typer.BadParameter("give one of --all, --invoices and --matching")
    if invoices is not None:
        return {"invoices": _read(invoices)}
    return {"matching": _filter(matching or [])}


def _read(file: Path) -> list[str]:
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{file} cannot be read: {error}", param_hint="--invoices") from error
    ids = [line.strip() for line in text.splitlines() if line.strip()]
    if not ids:
        raise typer.BadParameter(f"{file} holds no invoice; write an id on each line", param_hint="--invoices")
    return ids


def _filter(words: list[str]) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for word in words:
        field, equals, value = word.partition("=")
        if not equals or field not in InvoiceFilter.model_fields:
            fields = ", ".join(InvoiceFilter.model_fields)
            raise typer.BadParameter(f"{word!r} is no FIELD=VALUE; the fields are {fields}", param_hint="--matching")
        given[field] = value
    try:
        return InvoiceFilter.model_validate_strings(given, strict=False).wanted()
    except ValidationError as error:
        said = "; ".join(f"{one['loc'][0]}={one['input']!r}: {one['msg']}" for one in error.errors())
        raise typer.BadParameter(said, param_hint="--matching") from error


def _show(preview: dict[str, Any]) -> None:
    control, blocked = preview["control"], preview["blocked"]
    if control:
        total = money.words(control["total_minor"], preview["currency"])
        typer.echo(f"{control['count']:,} invoices, {total}, through {preview['processor']}.")
    for one in blocked[:_SHOWN_BLOCKED]:
        said = " ".join(f"{reason['message']} {reason['fix']}" for reason in one["reasons"])
        typer.echo(f"  not {one['number'] or one['invoice']}: {said}")
    if len(blocked) > _SHOWN_BLOCKED:
        typer.echo(f"  and {len(blocked) - _SHOWN_BLOCKED:,} more that cannot be charged")
    for warning in preview["warnings"]:
        typer.echo(f"  {warning['message']}")


def _say(batch: dict[str, Any]) -> None:
    what = f"{batch['number']}: {batch['count']:,} invoices, {money.words(batch['total_minor'], batch['currency'])}"
    if "status" in batch:
        typer.echo(f"{what}. It is above the practice's ceiling: nothing is charged until a second person approves it.")
    else:
        typer.echo(f"{what} submitted. `batchpay status {batch['number']}` shows how it goes.")
