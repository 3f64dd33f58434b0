"""`python -m services.notify`: tells events by webhook, until SIGTERM or SIGINT. Several may run."""

import asyncio
import signal
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from functools import partial
from typing import Any, Final

import aiohttp
import structlog
from psycopg_pool import AsyncConnectionPool

from services.notify.cleaning import clean_until
from services.notify.keeping import keep_events
from services.notify.posting import Answer, open_session, post
from services.notify.sending import ACTOR, Sender
from shared import logs
from shared.messaging.consume import consume_groups
from shared.messaging.topology import NOTIFY_QUEUE
from shared.observation import observed
from shared.settings import Settings
from shared.store import deliveries
from shared.store.deliveries import Event, Taken
from shared.store.pool import open_pool
from shared.telemetry.progress import Turning

# Events in one round: one statement writes their deliveries, of which each carries a body.
GROUP_MOST: Final = 1_000
# One writes, one takes, the others record.
CONNECTIONS: Final = 4
# Names are resolved by threads, and a name server that is slow for one receiver must leave some to the others.
RESOLVERS: Final = 64

_log = structlog.get_logger()


def main() -> None:
    settings = Settings()
    logs.configure(ACTOR, level=settings.log_level, format=settings.log_format)
    turning = Turning()
    with observed(ACTOR, settings, alive=turning.is_alive):
        asyncio.run(_run(settings, turning))


async def _run(settings: Settings, turning: Turning) -> None:
    turning.begin()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(RESOLVERS, thread_name_prefix="resolver"))
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await notify(settings, stop)


async def notify(settings: Settings, stop: asyncio.Event) -> None:
    """Keep events and send them until told to stop."""
    async with (
        open_pool(settings.database_url, process=ACTOR, most=CONNECTIONS) as pool,
        open_session(settings.environment) as session,
        asyncio.TaskGroup() as tasks,
    ):
        sender = Sender(pool, partial(_post, session, settings.environment))
        keeping = tasks.create_task(_keep(settings.amqp_url, pool, sender))
        tasks.create_task(clean_until(pool, stop))
        _log.info("notify_started")
        await sender.send_until(stop)
        # Cancelled in the middle of a group, it goes back to the queue.
        keeping.cancel()


async def _post(session: aiohttp.ClientSession, environment: str, one: Taken) -> Answer:
    return await post(
        session, environment=environment, url=one.url, event_id=one.event_id, body=one.body, secrets=one.secrets
    )


async def _keep(amqp_url: str, pool: AsyncConnectionPool[Any], sender: Sender) -> None:
    async def keep(events: Sequence[Event]) -> int:
        async with pool.connection() as connection:
            return await deliveries.keep(connection, events)

    async with aclosing(consume_groups(amqp_url, NOTIFY_QUEUE, max_group=GROUP_MOST)) as groups:
        await keep_events(groups, keep=keep, wake=sender.wake)


if __name__ == "__main__":
    main()
