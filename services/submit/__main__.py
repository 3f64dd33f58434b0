"""`python -m services.submit`: serves until SIGTERM or SIGINT."""

import signal
import sys

import uvicorn

from services.submit.api import create_app
from shared.logs import configure
from shared.observation import observed
from shared.settings import SubmitSettings

# A submit of fifty thousand invoices takes seconds; it is safe to repeat where it does not get them.
GRACE_S = 10


def main() -> None:
    """Serve HTTP; a wrong setting ends the process with a line that names it."""
    settings = SubmitSettings()
    configure("submit", level=settings.log_level, format=settings.log_format)
    app = create_app(settings)
    # Uvicorn drains, and then raises the signal again: without a handler it would end the process as a kill does, with
    # its last spans unsent and a status that says failed.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: sys.exit(0))
    # RabbitMQ is not asked for: a submit is an outbox row, which waits for it.
    with observed("submit", settings, alive=app.state.turning.is_alive, needs_rabbitmq=False):
        uvicorn.run(
            app,
            host=settings.http_host,
            port=settings.http_port,
            log_config=None,
            server_header=False,
            # Paths hold ids only, but a search of the wizard holds a client's name.
            access_log=False,
            # Live streams have no end of their own: a process that stops does not wait for open pages.
            timeout_graceful_shutdown=GRACE_S,
        )


if __name__ == "__main__":
    main()
