"""`python -m services.submit`: serves until SIGTERM or SIGINT."""

from services.submit.api import create_app
from shared.logs import configure
from shared.serving import serve
from shared.settings import SubmitSettings

# A submit of fifty thousand invoices takes seconds; it is safe to repeat where it does not get them. Live streams have
# no end of their own: a process that stops does not wait for open pages.
GRACE_S = 10


def main() -> None:
    """Serve HTTP; a wrong setting ends the process with a line that names it."""
    settings = SubmitSettings()
    configure("submit", level=settings.log_level, format=settings.log_format)
    app = create_app(settings)
    serve(
        app,
        "submit",
        settings,
        host=settings.http_host,
        port=settings.http_port,
        alive=app.state.turning.is_alive,
        grace_s=GRACE_S,
    )


if __name__ == "__main__":
    main()
