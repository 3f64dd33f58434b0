"""From rows of the outbox to events: each to upstream, to notify if its practice has a webhook, and one count a batch.

The exchange of events is upstream's alone. Of our own processes the aggregator needs no event but the batches that
moved, and notify what it has a receiver for: both get it straight into their queues, where RabbitMQ returns what does
not arrive.
"""

from collections.abc import Collection, Sequence
from typing import Any, Final, NamedTuple

import orjson
import structlog
from psycopg import Connection

from schemas.commands import AGGREGATOR_QUEUE
from schemas.events import EVENTS_EXCHANGE, subject_keys
from services.relay.publishing import publish_locked
from shared.messaging.publish import Outgoing, Publisher
from shared.messaging.topology import NOTIFY_QUEUE
from shared.store import deliveries, outbox
from shared.store.outbox import EventRow

# One transaction's worth of events: a window of confirms.
EVENTS_AT_MOST: Final = 1000

_log = structlog.get_logger()


class Sent(NamedTuple):
    """How many events were taken, and how many of these have left."""

    taken: int
    left: int


def send_events(connection: Connection[Any], publisher: Publisher) -> Sent:
    """Publish the oldest events, and delete those of which every message arrived."""
    with connection.transaction():
        rows = outbox.take_events(connection, at_most=EVENTS_AT_MOST)
        told = [orjson.loads(row.body) for row in rows]
        # Asked after the rows were taken: a webhook that was there before an event is seen.
        practices = deliveries.with_webhooks(connection, {one["practice_id"] for one in told if one.get("practice_id")})
        of_row = {row.id: messages(row, one, practices) for row, one in zip(rows, told, strict=True)}
        wanted = {message.message_id: message for group in of_row.values() for message in group}
        left: list[int] = []

        def take_off(confirmed: Sequence[bool]) -> None:
            safe = dict(zip(wanted, confirmed, strict=True))
            left.extend(row for row, group in of_row.items() if all(safe[message.message_id] for message in group))
            if left:
                outbox.delete(connection, ids=left)

        publish_locked(publisher, list(wanted.values()), take_off=take_off)
    if len(left) < len(rows):
        _log.warning("relay_unconfirmed", events=len(rows) - len(left))
    return Sent(len(rows), len(left))


def messages(row: EventRow, told: dict[str, Any], practices: Collection[str]) -> list[Outgoing]:
    """What one event is published as; `practices` have webhooks. Messages of one id are sent once a round."""
    body, batch = row.body.encode(), told.get("batch_id")
    found = [
        Outgoing(
            EVENTS_EXCHANGE,
            row.routing_key,
            body,
            f"outbox-{row.id}",
            also_keys=subject_keys(told),
            mandatory=False,
        )
    ]
    if told.get("practice_id") in practices:
        found.append(Outgoing("", NOTIFY_QUEUE, body, f"notify-{row.id}"))
    if batch and row.routing_key.startswith("payment."):
        found.append(Outgoing("", AGGREGATOR_QUEUE, orjson.dumps({"batch_id": batch}), f"count-{batch}"))
    return found
