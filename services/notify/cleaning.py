"""Deletes deliveries that have been done for long: copies of events, and the only rows of Batchpay that are deleted."""

import asyncio
from contextlib import suppress
from typing import Any, Final

import structlog
from psycopg_pool import AsyncConnectionPool

from services.notify.keeping import TRY_AGAIN
from shared.domain.delivering import KEPT
from shared.store import deliveries

# Small steps hold few locks and leave the disk to others; a step that finds nothing is followed by a long rest.
STEP: Final = 1_000
STEP_EVERY_S: Final = 0.2
LOOK_EVERY_S: Final = 300.0

_log = structlog.get_logger()


async def clean_until(pool: AsyncConnectionPool[Any], stop: asyncio.Event) -> None:
    while not stop.is_set():
        pause_s = LOOK_EVERY_S
        try:
            if await clean(pool) == STEP:
                pause_s = STEP_EVERY_S
        except TRY_AGAIN as error:
            _log.warning("deliveries_not_deleted", error=type(error).__name__)
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), pause_s)


async def clean(pool: AsyncConnectionPool[Any]) -> int:
    """One step; how many were deleted."""
    async with pool.connection() as connection:
        deleted = await deliveries.delete_old(connection, kept=KEPT, limit=STEP)
    if deleted:
        _log.info("deliveries_deleted", deliveries=deleted)
    return deleted
