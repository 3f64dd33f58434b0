"""How a process serves HTTP until SIGTERM or SIGINT."""

import signal
import sys

import uvicorn
from starlette.applications import Starlette

from shared.observation import observed
from shared.settings import Settings
from shared.telemetry.endpoint import Check


def serve(
    app: Starlette, process: str, settings: Settings, *, host: str, port: int, alive: Check, grace_s: int
) -> None:
    """Serve and be observed. Asked to stop, requests under way have `grace_s`.

    RabbitMQ is not asked for: what these processes accept is a row, which waits for it.
    """
    # Uvicorn drains, and then raises the signal again: without a handler it would end the process as a kill does, with
    # its last spans unsent and a status that says failed.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: sys.exit(0))
    with observed(process, settings, alive=alive, needs_rabbitmq=False):
        uvicorn.run(
            app,
            host=host,
            port=port,
            log_config=None,
            server_header=False,
            # Paths hold ids only, but a search of the console holds a client's name.
            access_log=False,
            timeout_graceful_shutdown=grace_s,
        )
