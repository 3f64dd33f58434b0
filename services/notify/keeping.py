"""From events on the queue to deliveries in PostgreSQL: from then on nothing that happens to RabbitMQ matters."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from typing import Final

import orjson
import psycopg
import structlog
from psycopg_pool import PoolTimeout

from shared.store.deliveries import Event

# What PostgreSQL's absence, restart or a deadlock raise: the same group may be tried again.
TRY_AGAIN: Final = (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout)
RETRY_S: Final = 0.5
_WORD: Final = re.compile(r"[\x21-\x7e]{1,200}")

_log = structlog.get_logger()

Keep = Callable[[Sequence[Event]], Awaitable[int]]


async def keep_events(
    groups: AsyncIterator[list[bytes]],
    *,
    keep: Keep,
    wake: Callable[[], None],
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Write the deliveries of each group, and ask for the next one only after their commit, which acknowledges it.

    While PostgreSQL is away the group is kept and tried again. `wake` is called when there is something new to send.
    """
    async for group in groups:
        events = events_of(group)
        if events and await _until_done(events, keep=keep, sleep=sleep):
            wake()


def events_of(group: Iterable[bytes]) -> list[Event]:
    """The events of a group that belong to a practice. One that cannot be read is logged and left out."""
    events = []
    for body in group:
        try:
            events += _event(body)
        except (ValueError, TypeError, KeyError):
            # The body itself stays out of the log: nobody knows what a stranger wrote into it.
            _log.error("event_unreadable", size_bytes=len(body))  # the traceback would quote the body
    return events


def _event(body: bytes) -> list[Event]:
    """One event, or none where it is nobody's. Raises ValueError, TypeError or KeyError."""
    told = orjson.loads(body)
    if told["practice_id"] is None:
        return []
    words = told["practice_id"], told["event_id"], told["type"]
    if "\0" in words[0] or not (_WORD.fullmatch(words[1]) and _WORD.fullmatch(words[2])):
        raise ValueError("no event of ours has such words")
    return [Event(*words, body=body.decode())]


async def _until_done(events: Sequence[Event], *, keep: Keep, sleep: Callable[[float], Awaitable[None]]) -> int:
    while True:
        try:
            return await keep(events)
        except TRY_AGAIN as error:
            _log.warning("events_kept_later", events=len(events), error=type(error).__name__)
            await sleep(RETRY_S)
