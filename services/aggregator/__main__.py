"""`python -m services.aggregator`: keeps every batch's status true to its payments, until SIGTERM or SIGINT."""

import asyncio
import signal
from contextlib import aclosing, suppress
from functools import partial
from typing import Final

import structlog

from schemas.commands import AGGREGATOR_QUEUE
from services.aggregator.aggregator import aggregate
from shared import logs
from shared.messaging.consume import consume_groups
from shared.observation import observed
from shared.settings import Settings
from shared.store.batch_status import recompute
from shared.store.pool import open_pool
from shared.telemetry.progress import Turning

ACTOR: Final = "aggregator"
# Events in one round: what gathers in the longest pause at 5,000 charges a second. They name few batches.
GROUP_MOST: Final = 5_000
# One round at a time; the second connection replaces one that is being found dead.
CONNECTIONS: Final = 2

_log = structlog.get_logger()


def main() -> None:
    settings = Settings()
    logs.configure(ACTOR, level=settings.log_level, format=settings.log_format)
    turning = Turning()
    with observed(ACTOR, settings, alive=turning.is_alive), suppress(asyncio.CancelledError):
        asyncio.run(_run(settings, turning))


async def _run(settings: Settings, turning: Turning) -> None:
    turning.begin()
    task = asyncio.current_task()
    assert task
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    async with (
        open_pool(settings.database_url, process=ACTOR, most=CONNECTIONS) as pool,
        aclosing(consume_groups(settings.amqp_url, AGGREGATOR_QUEUE, max_group=GROUP_MOST)) as groups,
    ):
        _log.info("aggregator_started")
        # Cancelled in the middle of a round, its group goes back to the queue.
        await aggregate(groups, recompute=partial(recompute, pool, actor=ACTOR))


if __name__ == "__main__":
    main()
