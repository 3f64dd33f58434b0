"""`python -m services.submit`: serves until SIGTERM or SIGINT."""

import uvicorn

from services.submit.api import create_app
from shared.logs import configure
from shared.settings import SubmitSettings

# A submit of fifty thousand invoices takes seconds; it is safe to repeat where it does not get them.
GRACE_S = 10


def main() -> None:
    """Serve HTTP; a wrong setting ends the process with a line that names it."""
    settings = SubmitSettings()
    configure("submit", level=settings.log_level, format=settings.log_format)
    uvicorn.run(
        create_app(settings),
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
