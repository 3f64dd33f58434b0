"""Checks the invariants while the system runs: what must never be is told within a minute, with the rows that do it."""

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import psycopg
import structlog

from shared.store import invariants
from shared.store.invariants import Violation
from shared.store.pool import connection_options
from shared.telemetry import metrics
from shared.waiting import set_within

EVERY_S: Final = 60.0
# Every rule reads whole tables, so with a long history they are checked less often: this share of one core at most.
SHARE_OF_A_CORE: Final = 0.05
# Enough to look at; a broken rule may have very many.
_ROWS_SHOWN: Final = 10

_log = structlog.get_logger()


async def watch_invariants(
    read: Callable[[], Sequence[Violation]], *, stop: asyncio.Event, every_s: float = EVERY_S
) -> None:
    """Run `read` in a thread again and again until told to stop, and log what it finds."""
    pause_s = every_s
    while not await set_within(stop, pause_s):
        began_s = time.monotonic()
        try:
            broken = await asyncio.to_thread(read)
        except psycopg.Error as error:  # a bug in a rule, too, must not keep the janitor from its payments
            _log.warning("invariants_unchecked", error=type(error).__name__)
        else:
            _tell(broken)
        pause_s = max(every_s, (time.monotonic() - began_s) / SHARE_OF_A_CORE)


def reader(database_url: str, *, process: str) -> Callable[[], Sequence[Violation]]:
    """Reads the rules that are broken now, on a connection of its own."""
    return partial(_read, database_url, process)


def _read(database_url: str, process: str) -> Sequence[Violation]:
    with psycopg.connect(database_url, **connection_options(process)) as connection:
        connection.read_only = True
        return invariants.check(connection)


def _tell(broken: Sequence[Violation]) -> None:
    rows = {name: len(ids) for name, ids in broken}
    for name in invariants.NAMES:
        metrics.INVARIANT_VIOLATIONS.labels(name).set(rows.get(name, 0))
    metrics.INVARIANTS_CHECKED.set_to_current_time()
    for name, ids in broken:
        _log.error("invariant_broken", name=name, rows=len(ids), ids=ids[:_ROWS_SHOWN])
    if not broken:
        _log.debug("invariants_hold", rules=len(invariants.NAMES))
