"""`python -m services.submit.amqp`: answers batch requests from RabbitMQ until SIGTERM or SIGINT."""

import asyncio
import signal
from contextlib import suppress
from functools import partial
from typing import Final

import structlog

from schemas.requests import SUBMIT_QUEUE
from services.submit.auth import Verifier
from services.submit.ingress import answer_request
from shared import logs
from shared.messaging.answering import answer_requests
from shared.observation import observed
from shared.settings import SubmitSettings
from shared.store.pool import open_pool
from shared.telemetry.progress import Turning

ACTOR: Final = "ingress"
# A submit keeps one connection busy, and more of them would only wait in PostgreSQL. Each may hold 4 MB.
AT_ONCE: Final = 4

_log = structlog.get_logger()


def main() -> None:
    """Answer requests; a wrong setting ends the process with a line that names it."""
    settings = SubmitSettings()
    logs.configure(ACTOR, level=settings.log_level, format=settings.log_format)
    turning = Turning()
    with observed(ACTOR, settings, alive=turning.is_alive), suppress(asyncio.CancelledError):
        asyncio.run(_run(settings, turning))


async def _run(settings: SubmitSettings, turning: Turning) -> None:
    turning.begin()
    task = asyncio.current_task()
    assert task
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    verifier = Verifier(settings)
    async with open_pool(settings.database_url, process=ACTOR, most=AT_ONCE) as pool:
        _log.info("ingress_started")
        await answer_requests(settings.amqp_url, SUBMIT_QUEUE, partial(answer_request, pool, verifier), at_once=AT_ONCE)


if __name__ == "__main__":
    main()
