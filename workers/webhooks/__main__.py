"""`python -m workers.webhooks`: receives the processors' webhooks until SIGTERM or SIGINT."""

import uvicorn

from shared.logs import configure
from shared.settings import WebhookSettings
from workers.webhooks.receiving import PROCESS, create_app

# Keeping an event takes milliseconds; what is not kept comes again.
GRACE_S = 5


def main() -> None:
    """Serve HTTP; a wrong setting ends the process with a line that names it."""
    settings = WebhookSettings()
    configure(PROCESS, level=settings.log_level, format=settings.log_format)
    uvicorn.run(
        create_app(settings),
        host=settings.webhook_host,
        port=settings.webhook_port,
        log_config=None,
        server_header=False,
        access_log=False,
        timeout_graceful_shutdown=GRACE_S,
    )


if __name__ == "__main__":
    main()
