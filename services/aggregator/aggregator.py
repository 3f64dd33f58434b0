"""From payment events to batch status: collects the batches that moved and has each recomputed from its payments."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Final
from uuid import UUID

import orjson
import psycopg
import structlog
from psycopg_pool import PoolTimeout

from shared.telemetry.metrics import AGGREGATION_SECONDS

# A recomputation counts every payment of its batch. Recomputing after each event would cost the square of a batch's
# size, so the next round waits until the last one is this share of the time: a twentieth of a core at most.
SHARE_OF_A_CORE: Final = 0.05
# But the last event of a batch is seen within a second. Reached when a round takes 0.05 s: some 30,000 to 50,000
# payments; beyond that the share grows slowly, to a seventh of a core at 100,000 payments.
LONGEST_PAUSE_S: Final = 0.9
# What PostgreSQL's absence, restart or a deadlock raise: the same round may be tried again.
TRY_AGAIN: Final = (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout)
RETRY_S: Final = 0.5

_log = structlog.get_logger()


async def aggregate(
    groups: AsyncIterator[list[bytes]],
    *,
    recompute: Callable[[Iterable[UUID]], Awaitable[object]],
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Recompute the batches of each group of `payment.*` bodies; ask for the next group only after their commit.

    While PostgreSQL is away the group is kept and tried again. Events that come during a pause go into one round.
    """
    next_round_at = clock()
    async for group in groups:
        await sleep(max(0.0, next_round_at - clock()))
        touched = batches_of(group)
        began = clock()
        if touched:
            await _until_done(touched, recompute=recompute, sleep=sleep)
        cost_s = clock() - began
        AGGREGATION_SECONDS.observe(cost_s)
        next_round_at = clock() + pause_s(cost_s)


def pause_s(cost_s: float) -> float:
    """How long to rest after a round that took `cost_s` seconds."""
    return min(LONGEST_PAUSE_S, cost_s * (1 / SHARE_OF_A_CORE - 1))


def batches_of(group: Iterable[bytes]) -> set[UUID]:
    """The batches that a group of event bodies names. A body that names none is logged and left out."""
    touched: set[UUID] = set()
    for body in group:
        try:
            touched.add(UUID(orjson.loads(body)["batch_id"]))
        except (ValueError, TypeError, KeyError, AttributeError):
            # The body itself stays out of the log: nobody knows what a stranger wrote into it.
            _log.error("event_unreadable", size_bytes=len(body))  # the traceback would quote the body
    return touched


async def _until_done(
    touched: set[UUID],
    *,
    recompute: Callable[[Iterable[UUID]], Awaitable[object]],
    sleep: Callable[[float], Awaitable[None]],
) -> None:
    while True:
        try:
            await recompute(touched)
        except TRY_AGAIN as error:
            _log.warning("aggregation_retried", batches=len(touched), error=type(error).__name__)
            await sleep(RETRY_S)
        else:
            return
