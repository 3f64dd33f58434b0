"""`batchpay queues`: how much work waits, for how long, and who works on it."""

import asyncio
from dataclasses import asdict
from datetime import timedelta
from typing import Any, Final

import typer

from schemas.commands import AGGREGATOR_QUEUE, CHARGE_QUEUES, REFUND_QUEUE, VOID_QUEUE
from services.cli.broker import Depth, connected_to_rabbitmq, depth
from services.cli.database import connected
from services.cli.printing import Json, print_json, print_table
from shared.messaging.topology import all_queues
from shared.store import pauses
from shared.store import queues as store
from shared.store.pauses import Pause
from shared.store.queues import Lane, Waiting

# Which of the outbox's lanes leads to which queue; the lane of events leads to an exchange.
_LANES: Final = {
    **{queue: f"charge.{name}" for name, queue in CHARGE_QUEUES.items()},
    VOID_QUEUE: "void",
    REFUND_QUEUE: "refund",
    AGGREGATOR_QUEUE: "event",
}


def queues(*, as_json: Json = False) -> None:
    """Show depth, age and consumers of every queue, with BATCHPAY_DATABASE_URL and BATCHPAY_AMQP_URL."""
    with connected_to_rabbitmq() as connection:
        depths = {queue: depth(connection, queue) for queue in all_queues()}
    lanes, waiting, paused = asyncio.run(_read())
    if as_json:
        print_json(_as_json(depths, lanes, waiting, paused))
    else:
        _print(depths, lanes, waiting, paused)


async def _read() -> tuple[dict[str, Lane], list[Waiting], list[Pause]]:
    async with connected() as connection:
        lanes = {lane.lane: lane for lane in await store.lanes(connection)}
        return lanes, await store.payments(connection), await pauses.paused(connection)


def _as_json(
    depths: dict[str, Depth | None], lanes: dict[str, Lane], waiting: list[Waiting], paused: list[Pause]
) -> dict[str, Any]:
    return {
        "queues": {queue: found._asdict() if found else None for queue, found in depths.items()},
        "outbox": [asdict(lane) for lane in lanes.values()],
        "payments": [asdict(one) for one in waiting],
        "paused": [asdict(one) for one in paused],
    }


def _print(
    depths: dict[str, Depth | None], lanes: dict[str, Lane], waiting: list[Waiting], paused: list[Pause]
) -> None:
    for one in paused:
        since = f"{one.paused_at:%Y-%m-%d %H:%M} UTC"
        typer.echo(f"{one.processor} is PAUSED since {since} by {one.paused_by}: {one.reason}")
    rows = [_row(queue, found, lanes.get(_LANES.get(queue, ""))) for queue, found in depths.items()]
    columns = ("Queue", "Messages", "Consumers", "In the outbox", "Oldest there")
    print_table(rows, columns=columns, right=frozenset(columns[1:]))
    rows = [(one.processor, one.state, f"{one.payments:,}", _age(one.oldest_s)) for one in waiting]
    print_table(rows, columns=("Processor", "State", "Payments", "Oldest"), right=frozenset({"Payments", "Oldest"}))


def _row(queue: str, found: Depth | None, lane: Lane | None) -> tuple[str, ...]:
    in_rabbitmq = (f"{found.messages:,}", f"{found.consumers:,}") if found else ("no such queue", "")
    in_outbox = (f"{lane.waiting:,}", _age(lane.oldest_s)) if lane else ("", "")
    return (queue, *in_rabbitmq, *in_outbox)


def _age(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
