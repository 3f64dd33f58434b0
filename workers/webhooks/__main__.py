"""`python -m workers.webhooks`: receives the processors' webhooks until SIGTERM or SIGINT."""

from shared.logs import configure
from shared.serving import serve
from shared.settings import WebhookSettings
from workers.webhooks.receiving import PROCESS, create_app

# Keeping an event takes milliseconds; what is not kept comes again.
GRACE_S = 5


def main() -> None:
    """Serve HTTP; a wrong setting ends the process with a line that names it."""
    settings = WebhookSettings()
    configure(PROCESS, level=settings.log_level, format=settings.log_format)
    app = create_app(settings)
    serve(
        app,
        PROCESS,
        settings,
        host=settings.webhook_host,
        port=settings.webhook_port,
        alive=app.state.turning.is_alive,
        grace_s=GRACE_S,
    )


if __name__ == "__main__":
    main()
