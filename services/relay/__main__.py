"""`python -m services.relay`: runs until SIGTERM or SIGINT."""

import signal
import threading
from typing import Final

from pydantic import Field

from services.relay.relay import run_relay
from shared.logs import configure
from shared.settings import Settings

# Reached at 5,000 charges a second, when a tenth of a second's work is more; slower lanes have less in their queue.
QUEUED_AT_MOST: Final = 500


class RelaySettings(Settings):
    """The relay."""

    relay_queued_at_most: int = Field(default=QUEUED_AT_MOST, ge=1)


def main() -> None:
    """Relay until asked to stop."""
    settings = RelaySettings()
    configure("relay", level=settings.log_level, format=settings.log_format)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    run_relay(
        database_url=settings.database_url,
        amqp_url=settings.amqp_url,
        queued_at_most=settings.relay_queued_at_most,
        stop=stop,
    )


if __name__ == "__main__":
    main()
