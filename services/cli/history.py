"""`batchpay history`: a practice's batches, newest first."""

from enum import StrEnum
from typing import Annotated

import typer

from schemas.http import MOST_ROWS
from services.cli import api
from services.cli.printing import Json, print_json
from services.cli.status import print_batches


class Show(StrEnum):
    PENDING = "pending"
    POSTED = "posted"
    ALL = "all"


def history(
    *,
    show: Annotated[Show, typer.Option(help="Posted batches are settled to the last payment.")] = Show.ALL,
    limit: Annotated[int, typer.Option(min=1, max=MOST_ROWS, help="How many, newest first.")] = 25,
    as_json: Json = False,
) -> None:
    """List the batches of the token's practice."""
    items = api.get("batches", show=show.value, limit=limit)["items"]
    if as_json:
        print_json(items)
    elif items:
        print_batches(items)
    else:
        typer.echo("There are no batches.")
