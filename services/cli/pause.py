"""`batchpay pause PROCESSOR` and `batchpay resume PROCESSOR`: the kill switch."""

import asyncio
import getpass
from typing import Annotated, Final

import typer

from services.cli.database import connected
from services.cli.printing import Json, print_json
from shared.domain.words import ProcessorName
from shared.store import pauses

Processor = Annotated[ProcessorName, typer.Argument(help="The processor's name.")]
By = Annotated[str | None, typer.Option(help="Who does it, for the audit log; without it: who is logged in.")]
_SOURCE: Final = "batchpay pause"


def pause(
    processor: Processor,
    *,
    reason: Annotated[str, typer.Option(help="Why, for the audit log.")],
    by: By = None,
    as_json: Json = False,
) -> None:
    """Let no charge begin at a processor, with BATCHPAY_DATABASE_URL.

    What is on the wire ends, lookups, voids and refunds go on, and whatever is submitted meanwhile waits.
    """
    if not reason.strip():
        raise typer.BadParameter("--reason must say something")
    changed = asyncio.run(_pause(processor, by=by or getpass.getuser(), reason=reason.strip()))
    _say(processor, paused=True, changed=changed, as_json=as_json)


def resume(processor: Processor, *, by: By = None, as_json: Json = False) -> None:
    """Let charges begin again."""
    changed = asyncio.run(_resume(processor, by=by or getpass.getuser()))
    _say(processor, paused=False, changed=changed, as_json=as_json)


async def _pause(processor: ProcessorName, *, by: str, reason: str) -> bool:
    async with connected() as connection:
        return await pauses.pause(connection, processor, by=by, reason=reason, source=_SOURCE)


async def _resume(processor: ProcessorName, *, by: str) -> bool:
    async with connected() as connection:
        return await pauses.resume(connection, processor, by=by, source=_SOURCE)


def _say(processor: ProcessorName, *, paused: bool, changed: bool, as_json: bool) -> None:
    if as_json:
        print_json({"processor": processor, "paused": paused, "changed": changed})
        return
    state = "paused: no charge begins" if paused else "running"
    typer.echo(f"{processor} {'is' if changed else 'was already'} {state}.")
