"""`python -m workers.janitor`: looks after every unfinished payment. Several may run."""

import asyncio
import signal

import uvloop

from shared import logs
from shared.observation import observed
from shared.settings import WorkerSettings
from shared.store.pool import open_pool
from shared.telemetry.progress import Turning
from workers.janitor.backlog import watch_backlog
from workers.janitor.janitor import ACTOR, Janitor
from workers.janitor.restoring import watch_for_ever
from workers.janitor.rounds import go_round_for_ever
from workers.janitor.sweeping import sweep_for_ever
from workers.janitor.watching import reader, watch_invariants
from workers.processors.registry import every_processor


async def run(settings: WorkerSettings, turning: Turning) -> None:
    stop = asyncio.Event()
    turning.begin()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    processors = every_processor(settings)
    async with open_pool(settings.database_url, process=ACTOR, most=settings.database_connections) as pool:
        janitor = Janitor(pool=pool, processors=processors)
        await asyncio.gather(
            sweep_for_ever(janitor=janitor, every_s=settings.sweep_every_s, stop=stop),
            go_round_for_ever(janitor=janitor, every_s=settings.sweep_every_s, stop=stop),
            watch_for_ever(janitor=janitor, environment=settings.environment, stop=stop),
            watch_backlog(pool, stop=stop),
            watch_invariants(reader(settings.database_url, process=ACTOR), stop=stop),
        )
    for processor in processors.values():
        await processor.close()


def main() -> None:
    settings = WorkerSettings()
    logs.configure(ACTOR, level=settings.log_level, format=settings.log_format)
    turning = Turning()
    with observed(ACTOR, settings, alive=turning.is_alive, needs_rabbitmq=False):
        uvloop.run(run(settings, turning))


if __name__ == "__main__":
    main()
