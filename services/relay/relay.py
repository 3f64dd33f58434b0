"""From the outbox to RabbitMQ: publishes rows, deletes those that RabbitMQ has safe, and never stops by itself.

There are three lines, each a thread with its own connections, so that none waits until RabbitMQ has what another sent
on its disks: the first hints of new batches, all other hints, and events. Several relays may run. They take different
rows; each keeps the command queues short for itself.
"""

import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from types import MappingProxyType
from typing import Any, Final

import psycopg
import structlog
from psycopg import Connection

from services.relay.ahead import LEFT_S, Ahead
from services.relay.depths import Depths
from services.relay.events import EVENTS_AT_MOST, send_events
from services.relay.feed import BATCHES_AT_MOST, POLL_S, Feed
from services.relay.hints import LANES, UNLIMITED
from services.relay.rates import Limits
from shared.messaging.publish import CONFIRM_WITHIN_S, CONNECT_WITHIN_S, Publisher
from shared.store import outbox
from shared.store.pool import connection_options

# Rounds of a line are at least this far apart unless more waits, so that what is notified meanwhile goes in one round
# together. Workers must not run dry between two rounds of hints; an event is for people and other systems.
HINTS_PACE_S: Final = 0.04
EVENTS_PACE_S: Final = 0.2
# While PostgreSQL or RabbitMQ is away.
RETRY_S: Final = 0.5
# Its rows stay locked while RabbitMQ answers, which a memory alarm delays until the publisher gives up.
LOCKED_AT_MOST: Final = timedelta(seconds=CONNECT_WITHIN_S + CONFIRM_WITHIN_S + 10.0)
NO_LIMITS: Final[Mapping[str, Limits]] = MappingProxyType({})

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One kind of rows. `relay` publishes what there is, and returns the seconds until its next round.

    It is called when `channel` was notified, with what was told there, and when that time is over; not sooner than
    `pace_s` after the last round, unless that returned 0.0.
    """

    name: str
    channel: str
    pace_s: float
    relay: Callable[[Connection[Any], Publisher, Sequence[str]], float]


def lines_of(
    *,
    queued_at_most: int,
    limits: Mapping[str, Limits] = NO_LIMITS,
    monotonic: Callable[[], float] = time.monotonic,
    below: Callable[[int], int] = secrets.randbelow,
) -> list[Line]:
    """The lines of one relay.

    `queued_at_most` is the most messages that wait in one command queue, whatever the rate of its workers; `limits`
    are those of the lanes that have some. `below` draws a number: whose turn it is among a practice's many batches.
    """
    feeds = [
        Feed(lane, queued_at_most=queued_at_most, limits=limits.get(lane, UNLIMITED), below=below) for lane in LANES
    ]
    ahead, depths = Ahead(limits, monotonic=monotonic), Depths()

    def first_hints(connection: Connection[Any], publisher: Publisher, told: Sequence[str]) -> float:
        if told:
            ahead.send(connection, publisher, told)
        ahead.look(publisher)
        return POLL_S

    def hints(connection: Connection[Any], publisher: Publisher, told: Sequence[str]) -> float:
        depths.look(publisher)
        next_in_s = relay_hints(connection, publisher, feeds)
        # What was told may have been a batch that this round has left to the other line.
        return min(next_in_s, LEFT_S) if told else next_in_s

    def events(connection: Connection[Any], publisher: Publisher, _told: Sequence[str]) -> float:
        return relay_events(connection, publisher)

    return [
        Line(name="first hints", channel=outbox.SUBMITTED_CHANNEL, pace_s=0.0, relay=first_hints),
        Line(name="hints", channel=outbox.CHANNEL, pace_s=HINTS_PACE_S, relay=hints),
        Line(name="events", channel=outbox.CHANNEL, pace_s=EVENTS_PACE_S, relay=events),
    ]


def run_relay(
    lines: Sequence[Line],
    *,
    database_url: str,
    amqp_url: str,
    stop: threading.Event,
    beat: Callable[[str], None] = lambda _line: None,
) -> None:
    """Relay until `stop` is set. PostgreSQL and RabbitMQ may come and go.

    `beat` is called with a line's name in each of its rounds, also while a server is away. Raises what a line raised,
    after the others have stopped.
    """
    with ThreadPoolExecutor(len(lines), thread_name_prefix="relay") as threads:
        running = [
            threads.submit(_keep_relaying, line, stop, partial(beat, line.name), database_url, amqp_url)
            for line in lines
        ]
        wait(running, return_when=FIRST_EXCEPTION)
        stop.set()
        for line in running:
            line.result()


def _keep_relaying(
    line: Line, stop: threading.Event, beat: Callable[[], None], database_url: str, amqp_url: str
) -> None:
    with Publisher(amqp_url) as publisher:
        while not stop.is_set():
            beat()
            try:
                _relay(line, stop, beat, database_url, publisher)
            except psycopg.OperationalError as error:
                _log.warning("relay_database_lost", line=line.name, error=str(error))
                stop.wait(RETRY_S)


def _relay(
    line: Line, stop: threading.Event, beat: Callable[[], None], database_url: str, publisher: Publisher
) -> None:
    options = connection_options("relay", idle_in_transaction=LOCKED_AT_MOST)
    with (
        psycopg.connect(database_url, autocommit=True, **options) as listener,
        psycopg.connect(database_url, autocommit=True, **options) as connection,
    ):
        listener.execute(f"LISTEN {line.channel}")
        _log.info("relay_started", line=line.name)
        told: list[str] = []
        while not stop.is_set():
            beat()
            next_in_s = line.relay(connection, publisher, told) if publisher.wait_connected(RETRY_S) else 0.0
            if next_in_s:
                stop.wait(line.pace_s)
            # Whatever was notified so far is taken in by the next round, so one of them is as good as all.
            waiting = listener.notifies(timeout=max(0.0, next_in_s - line.pace_s), stop_after=1)
            told = [notification.payload for notification in waiting]


def relay_hints(connection: Connection[Any], publisher: Publisher, feeds: list[Feed]) -> float:
    """Top every command queue up; return the seconds until the next round."""
    batches = outbox.waiting_batches(
        connection,
        after={feed.lane: feed.last_batch for feed in feeds},
        at_most=BATCHES_AT_MOST,
        left_s=LEFT_S,
    )
    return min(feed.top_up(connection, publisher, batches[feed.lane]) for feed in feeds)


def relay_events(connection: Connection[Any], publisher: Publisher) -> float:
    """Publish the oldest events; return the seconds until the next round, 0.0 if there may be more."""
    sent = send_events(connection, publisher)
    if sent.left < sent.taken:
        return RETRY_S
    return 0.0 if sent.taken == EVENTS_AT_MOST else POLL_S
