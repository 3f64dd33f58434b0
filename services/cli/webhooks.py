"""`batchpay webhooks`: who is told of a practice's events by webhook, and sending again what did not arrive."""

import asyncio
import getpass
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, TypeVar
from uuid import UUID

import typer
from pydantic import ValidationError

from schemas.http import WebhookRequest
from services.cli.database import connected
from services.cli.printing import USAGE, Json, fail, print_json, print_table
from shared.domain.delivering import OLD_SECRET_VALID
from shared.domain.receivers import new_secret, url_fault
from shared.settings import Settings
from shared.store import deliveries, scope, subscriptions
from shared.store.subscriptions import Actor, Connection, Subscription

app = typer.Typer(no_args_is_help=True, help="Who is told of a practice's events by webhook.")
_SOURCE: Final = "batchpay webhooks"
_WITHOUT_ZONE: Final = ["%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d"]
_FIRST_ID: Final = UUID(int=0)
_LAST_ID: Final = UUID(int=2**128 - 1)

PracticeName = Annotated[str, typer.Argument(metavar="PRACTICE", help="Upstream's id of the practice.")]
Webhook = Annotated[UUID, typer.Argument(metavar="WEBHOOK", help="The webhook's id, as `list` shows it.")]
By = Annotated[str | None, typer.Option(help="Who does it, for the audit log; without it: who is logged in.")]
Moment = Annotated[datetime | None, typer.Option(formats=_WITHOUT_ZONE, help="In UTC, unless it says otherwise.")]
T = TypeVar("T")


@app.command("list")
def list_(practice: PracticeName, *, as_json: Json = False) -> None:
    """Show a practice's webhooks, with BATCHPAY_DATABASE_URL."""
    found = _do(lambda connection: _list(connection, practice))
    if as_json:
        print_json([_shown(one) for one in found])
    elif found:
        rows = [(str(one.id), one.url, ", ".join(one.types or ["everything"]), _state(one)) for one in found]
        print_table(rows, columns=("Webhook", "URL", "Types", "State"))
    else:
        typer.echo("This practice has no webhook. `batchpay webhooks add PRACTICE URL` makes one.")


@app.command()
def add(
    practice: PracticeName,
    url: Annotated[str, typer.Argument(help="Where to send events: https://…")],
    *,
    type_: Annotated[
        list[str] | None,
        typer.Option("--type", help="`batch.completed`, or `batch.*`; repeat; without it: everything."),
    ] = None,
    by: By = None,
    as_json: Json = False,
) -> None:
    """Send a practice's events to a URL from now on. Prints the signing secret, which is shown only here."""
    request = _checked(url, type_)
    secret = new_secret()
    created = _do(lambda connection: _add(connection, practice, request, secret=secret, by=by))
    if as_json:
        print_json({**_shown(created), "secret": secret})
    else:
        typer.echo(f"Webhook {created.id}. It is signed with {secret}: keep that, it is not shown again.")


@app.command()
def rotate(
    webhook: Webhook,
    *,
    now: Annotated[bool, typer.Option("--now", help="End the old secret at once: somebody else knows it.")] = False,
    by: By = None,
    as_json: Json = False,
) -> None:
    """Make a new secret. The old one signs beside it for 24 hours: time for the receiver to change its own."""
    secret, old_valid = new_secret(), timedelta(0) if now else OLD_SECRET_VALID

    async def work(connection: Connection) -> datetime:
        actor = await _owner(connection, webhook, by)
        rotated = await subscriptions.rotate(connection, actor, webhook, secret=secret, old_valid=old_valid)
        if rotated == "too_many":
            fail(
                f"{subscriptions.MOST_SECRETS} secrets are valid already. --now ends the old ones. Nothing was changed."
            )
        assert rotated != "unknown", "its owner was found in the same transaction"
        return rotated

    until = _do(work)
    if as_json:
        print_json({"webhook": webhook, "secret": secret, "old_valid_until": until})
    else:
        typer.echo(
            f"It is signed with {secret}: keep that, it is not shown again."
            f" The old one ends at {until.astimezone(UTC):%Y-%m-%d %H:%M} UTC."
        )


@app.command()
def disable(webhook: Webhook, *, by: By = None, as_json: Json = False) -> None:
    """Send nothing more. What is not sent meanwhile can be replayed for 30 days."""

    async def work(connection: Connection) -> bool:
        return await subscriptions.disable(connection, await _owner(connection, webhook, by), webhook, why="asked")

    _say(webhook, "disabled", changed=_do(work), as_json=as_json)


@app.command()
def enable(webhook: Webhook, *, by: By = None, as_json: Json = False) -> None:
    """Send what comes from now on. What was not sent meanwhile: `batchpay webhooks replay`."""

    async def work(connection: Connection) -> bool:
        return await subscriptions.enable(connection, await _owner(connection, webhook, by), webhook)

    _say(webhook, "active", changed=_do(work), as_json=as_json)


@app.command()
def replay(
    webhook: Webhook,
    *,
    since: Moment = None,
    until: Moment = None,
    from_event: Annotated[str | None, typer.Option(help="From this event on, by its `event_id`.")] = None,
    to_event: Annotated[str | None, typer.Option(help="Up to this event.")] = None,
    delivered_too: Annotated[
        bool, typer.Option("--delivered-too", help="Also what arrived; without it: what was given up or held.")
    ] = False,
    by: By = None,
    as_json: Json = False,
) -> None:
    """Send a range of events again, each with the id that it had, in the order in which they came to us.

    Events are kept for 30 days after they were delivered, given up, or held because the webhook was disabled.
    """

    async def work(connection: Connection) -> int:
        actor = await _owner(connection, webhook, by)
        found = await subscriptions.one(connection, webhook, practice_id=actor.practice_id)
        if found is None or found.state != "active":
            fail(f"The webhook is disabled, so nothing would be sent. First: batchpay webhooks enable {webhook}")
        return await deliveries.replay(
            connection,
            actor,
            webhook,
            first=await _id_of(connection, webhook, from_event) or _id_at(since) or _FIRST_ID,
            last=await _id_of(connection, webhook, to_event) or _id_at(until) or _LAST_ID,
            delivered_too=delivered_too,
        )

    count = _do(work)
    if as_json:
        print_json({"webhook": webhook, "replayed": count})
    else:
        typer.echo(f"{count:,} events are sent again.")


def _do(work: Callable[[Connection], Awaitable[T]]) -> T:
    """In one transaction, which is committed at the end."""

    async def run() -> T:
        async with connected() as connection:
            return await work(connection)

    return asyncio.run(run())


async def _list(connection: Connection, practice: str) -> list[Subscription]:
    practice_id = await _practice(connection, practice)
    return await subscriptions.page(connection, practice_id=practice_id, limit=subscriptions.MOST)


async def _add(
    connection: Connection, practice: str, request: WebhookRequest, *, secret: str, by: str | None
) -> Subscription:
    actor = Actor(practice_id=await _practice(connection, practice), by=by or getpass.getuser(), source=_SOURCE)
    created = await subscriptions.create(connection, actor, url=request.url, types=request.types, secret=secret)
    if created is None:
        fail(f"A practice has at most {subscriptions.MOST} webhooks. Nothing was changed.")
    return created


async def _practice(connection: Connection, practice: str) -> UUID:
    found = await scope.resolve(connection, practice=practice, clinician=None)
    if found is None:
        fail(f"There is no practice {practice!r}.")
    return found.practice_id


async def _owner(connection: Connection, webhook: UUID, by: str | None) -> Actor:
    practice = await subscriptions.practice_of(connection, webhook)
    if practice is None:
        fail(f"There is no webhook {webhook}. `batchpay webhooks list PRACTICE` shows those of a practice.")
    return Actor(practice_id=practice.id, by=by or getpass.getuser(), source=_SOURCE)


async def _id_of(connection: Connection, webhook: UUID, event_id: str | None) -> UUID | None:
    if event_id is None:
        return None
    found = await deliveries.of_event(connection, subscription=webhook, event_id=event_id)
    if found is None:
        fail(f"The event {event_id!r} is not kept for this webhook. Nothing was sent.")
    return found


def _id_at(moment: datetime | None) -> UUID | None:
    if moment is None:
        return None
    return deliveries.first_id_at(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def _checked(url: str, types: list[str] | None) -> WebhookRequest:
    try:
        request = WebhookRequest(url=url, types=types)
    except ValidationError as error:
        fail("; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()), code=USAGE)
    if fault := url_fault(url, environment=Settings().environment):
        fail(f"The URL is refused: {fault}.", code=USAGE)
    return request


def _state(one: Subscription) -> str:
    if one.state == "disabled":
        return f"disabled by {one.disabled_by} ({one.disabled_why})"
    return f"failing since {one.failing_since:%Y-%m-%d %H:%M} UTC" if one.failing_since else "active"


def _shown(one: Subscription) -> dict[str, Any]:
    return {name: value for name, value in asdict(one).items() if name != "practice_id"}


def _say(webhook: UUID, state: str, *, changed: bool, as_json: bool) -> None:
    if as_json:
        print_json({"webhook": webhook, "state": state, "changed": changed})
    else:
        typer.echo(f"The webhook {'is' if changed else 'was already'} {state}.")
