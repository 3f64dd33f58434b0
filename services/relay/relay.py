"""From the outbox to RabbitMQ: publishes rows, deletes those that RabbitMQ has safe, and never stops by itself.

Several relays may run. They take different rows; each keeps the command queues short for itself.
"""

import threading
from collections.abc import Callable, Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Final

import orjson
import psycopg
import structlog
from psycopg import Connection

from schemas.events import EVENTS_EXCHANGE, subject_keys
from services.relay.depths import Depths
from services.relay.feed import BATCHES_AT_MOST, LANES, POLL_S, UNLIMITED, Feed, publish_rows
from services.relay.rates import Limits
from shared.messaging.publish import CONFIRM_WITHIN_S, CONNECT_WITHIN_S, Outgoing, Publisher
from shared.store import outbox
from shared.store.outbox import EventRow
from shared.store.pool import connection_options

# One transaction's worth of events: a window of confirms.
EVENTS_AT_MOST: Final = 1000
# Rounds are at least this far apart unless events wait, so that what is notified meanwhile goes in one round together.
PACE_S: Final = 0.02
# While PostgreSQL or RabbitMQ is away.
RETRY_S: Final = 0.5
# Its rows stay locked while RabbitMQ answers, which a memory alarm delays until the publisher gives up.
LOCKED_AT_MOST: Final = timedelta(seconds=CONNECT_WITHIN_S + CONFIRM_WITHIN_S + 10.0)
NO_LIMITS: Final[Mapping[str, Limits]] = MappingProxyType({})

_log = structlog.get_logger()


def run_relay(
    *,
    database_url: str,
    amqp_url: str,
    queued_at_most: int,
    stop: threading.Event,
    limits: Mapping[str, Limits] = NO_LIMITS,
    beat: Callable[[], None] = lambda: None,
) -> None:
    """Relay until `stop` is set. PostgreSQL and RabbitMQ may come and go.

    `queued_at_most` is the most messages that wait in one command queue, whatever the rate of its workers; `limits`
    are those of the lanes that have some. `beat` is called in every round, also while a server is away.
    """
    feeds = [Feed(lane, queued_at_most=queued_at_most, limits=limits.get(lane, UNLIMITED)) for lane in LANES]
    with Publisher(amqp_url) as publisher:
        while not stop.is_set():
            beat()
            try:
                _relay(database_url, publisher, feeds, stop, beat)
            except psycopg.OperationalError as error:
                _log.warning("relay_database_lost", error=str(error))
                stop.wait(RETRY_S)


def _relay(
    database_url: str, publisher: Publisher, feeds: list[Feed], stop: threading.Event, beat: Callable[[], None]
) -> None:
    options = connection_options("relay", idle_in_transaction=LOCKED_AT_MOST)
    with (
        psycopg.connect(database_url, autocommit=True, **options) as listener,
        psycopg.connect(database_url, autocommit=True, **options) as connection,
    ):
        listener.execute(f"LISTEN {outbox.CHANNEL}")
        _log.info("relay_started")
        depths = Depths()
        while not stop.is_set():
            beat()
            depths.look(publisher)
            next_in_s = relay_round(connection, publisher, feeds) if publisher.wait_connected(RETRY_S) else 0.0
            if next_in_s:
                stop.wait(PACE_S)
            # Whatever was notified so far is taken in by the next round, so one of them is as good as all.
            for _ in listener.notifies(timeout=max(0.0, next_in_s - PACE_S), stop_after=1):
                pass


def relay_round(connection: Connection[Any], publisher: Publisher, feeds: list[Feed]) -> float:
    """Publish one window of events and top every command queue up; return the seconds until the next round."""
    events_s = relay_events(connection, publisher)
    batches = outbox.waiting_batches(
        connection, after={feed.lane: feed.last_batch for feed in feeds}, at_most=BATCHES_AT_MOST
    )
    return min([events_s, *(feed.top_up(connection, publisher, batches[feed.lane]) for feed in feeds)])


def relay_events(connection: Connection[Any], publisher: Publisher) -> float:
    """Publish the oldest events; return 0.0 if there may be more."""
    with connection.transaction():
        rows = outbox.take_events(connection, at_most=EVENTS_AT_MOST)
        messages = [_event(row) for row in rows]
        arrived = publish_rows(connection, publisher, [row.id for row in rows], messages)
    if arrived < len(rows):
        _log.warning("relay_unconfirmed", events=len(rows) - arrived)
        return RETRY_S
    return 0.0 if len(rows) == EVENTS_AT_MOST else POLL_S


def _event(row: EventRow) -> Outgoing:
    body = row.body.encode()
    keys = subject_keys(orjson.loads(body))
    return Outgoing(EVENTS_EXCHANGE, row.routing_key, body, f"outbox-{row.id}", also_keys=keys)
