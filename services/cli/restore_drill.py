"""`batchpay restore-drill`: what a restored database has forgotten, and whether it may charge again."""

import asyncio
import getpass
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Final

import typer

from services.cli.database import connected
from services.cli.printing import Json, print_json, print_table
from shared.store import audit, restores
from shared.store.restores import Listed

_SOURCE: Final = "batchpay restore-drill"
_ASK_AGAIN_S: Final = 1.0


def restore_drill(
    *,
    restored_to: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M%z"],
            help="The database was restored to this time, as 2026-11-24T05:30+0000. PostgreSQL shows that by itself"
            " after a recovery from backups, not after a snapshot of the disk.",
        ),
    ] = None,
    by: Annotated[
        str | None, typer.Option(help="Who says so, for the audit log; without it: who is logged in.")
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Look once instead of waiting until all may charge.")] = False,
    as_json: Json = False,
) -> None:
    """Show which accounts are held after a restore, and wait until the janitor has released them all.

    Exit code 1 if any is still held.
    """
    accounts = asyncio.run(_drill(restored_to, by=by or getpass.getuser(), once=once))
    if as_json:
        print_json([asdict(one) for one in accounts])
    elif not accounts:
        typer.echo("This database was not restored: nothing is held.")
    else:
        _print(accounts)
    raise typer.Exit(1 if any(one.released_at is None for one in accounts) else 0)


async def _drill(restored_to: datetime | None, *, by: str, once: bool) -> list[Listed]:
    if restored_to is not None:
        await _hold(restored_to, by=by)
    while True:
        async with connected() as connection:
            # A new timeline is held already; this names its accounts before the janitor comes round.
            await restores.begin(connection)
            accounts = await restores.listed(connection)
        if once or all(one.released_at for one in accounts):
            return accounts
        await asyncio.sleep(_ASK_AGAIN_S)


async def _hold(since: datetime, *, by: str) -> None:
    async with connected() as connection:
        begun = await restores.begin(connection, since=since)
        await audit.write(
            connection,
            practice_id=None,
            actor=by,
            source=_SOURCE,
            action="database.restored",
            detail={"restored_to": since.isoformat(), "accounts": len(begun)},
        )


def _print(accounts: list[Listed]) -> None:
    print_table(
        [
            (
                one.processor,
                one.account,
                one.since.isoformat(timespec="seconds"),
                str(one.remembered),
                "nothing: may charge" if one.released_at else one.waits_for,
            )
            for one in accounts
        ],
        columns=("processor", "account", "restored to", "charges found", "waits for"),
    )
