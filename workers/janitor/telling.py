"""Reads from PostgreSQL how many webhooks wait and which receivers were given up, for the metrics."""

import asyncio
from contextlib import suppress
from typing import Any, Final

import structlog
from psycopg_pool import AsyncConnectionPool

from shared.store import deliveries
from shared.telemetry import metrics
from workers.evidence import TRY_AGAIN

# About as often as metrics are collected.
EVERY_S: Final = 10.0

_log = structlog.get_logger()


async def watch_deliveries(pool: AsyncConnectionPool[Any], *, stop: asyncio.Event, every_s: float = EVERY_S) -> None:
    """Set the gauges again and again until told to stop. While PostgreSQL is away they keep what they last told."""
    while not stop.is_set():
        try:
            await read_deliveries(pool)
        except TRY_AGAIN as error:
            _log.warning("deliveries_unread", error=type(error).__name__)
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), every_s)


async def read_deliveries(pool: AsyncConnectionPool[Any]) -> None:
    """Set every gauge once."""
    async with pool.connection() as connection:
        backlog = await deliveries.backlog(connection)
    metrics.DELIVERIES.set(backlog.due)
    metrics.DELIVERIES_OLDEST.set(backlog.oldest_s)
    metrics.SUBSCRIPTIONS_DISABLED.set(backlog.disabled)
