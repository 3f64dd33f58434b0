"""Holds deliveries whose subscription was disabled, and deletes those that have been done for long.

They are copies of events, and the only rows of Batchpay that are deleted.
"""

import asyncio
from typing import Any, Final

import structlog
from psycopg_pool import AsyncConnectionPool

from services.notify.keeping import TRY_AGAIN
from shared.domain.delivering import KEPT
from shared.store import deliveries
from shared.waiting import set_within

# Small steps hold few locks and leave the disk to others.
STEP: Final = 1_000
STEP_EVERY_S: Final = 0.2
LOOK_EVERY_S: Final = 2.0

_log = structlog.get_logger()


async def clean_until(pool: AsyncConnectionPool[Any], stop: asyncio.Event) -> None:
    while not stop.is_set():
        pause_s = LOOK_EVERY_S
        try:
            if await clean(pool) >= STEP:
                pause_s = STEP_EVERY_S
        except TRY_AGAIN as error:
            _log.warning("deliveries_not_cleaned", error=type(error).__name__)
        await set_within(stop, pause_s)


async def clean(pool: AsyncConnectionPool[Any]) -> int:
    """One step of each; how many deliveries it was."""
    async with pool.connection() as connection:
        held = await deliveries.hold(connection, limit=STEP)
    async with pool.connection() as connection:
        deleted = await deliveries.delete_old(connection, kept=KEPT, limit=STEP)
    if held or deleted:
        _log.info("deliveries_cleaned", held=held, deleted=deleted)
    return held + deleted
