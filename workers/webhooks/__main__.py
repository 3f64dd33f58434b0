"""`python -m workers.webhooks`: receives the processors' webhooks until SIGTERM or SIGINT."""

import signal
import sys

import uvicorn

from shared.logs import configure
from shared.observation import observed
from shared.settings import WebhookSettings
from workers.webhooks.receiving import PROCESS, create_app

# Keeping an event takes milliseconds; what is not kept comes again.
GRACE_S = 5


def main() -> None:
    """Serve HTTP; a wrong setting ends the process with a line that names it."""
    settings = WebhookSettings()
    configure(PROCESS, level=settings.log_level, format=settings.log_format)
    app = create_app(settings)
    # As in services/submit: uvicorn raises the signal again once it has drained, which must not end the rest of us.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: sys.exit(0))
    # An event is a row: the janitor looks into it, without RabbitMQ.
    with observed(PROCESS, settings, alive=app.state.turning.is_alive, needs_rabbitmq=False):
        uvicorn.run(
            app,
            host=settings.webhook_host,
            port=settings.webhook_port,
            log_config=None,
            server_header=False,
            access_log=False,
            timeout_graceful_shutdown=GRACE_S,
        )


if __name__ == "__main__":
    main()
