"""`python -m services.relay`: runs until SIGTERM or SIGINT."""

import signal
import threading
from typing import Annotated, Final

from pydantic import Field

from services.relay.rates import Limits
from services.relay.relay import lines_of, run_relay
from shared.domain.words import ProcessorName
from shared.logs import configure
from shared.observation import observed
from shared.settings import Settings
from shared.telemetry.progress import Pulse

# Reached at 10,000 charges a second; slower lanes have less in their queue.
QUEUED_AT_MOST: Final = 500
# A round may wait for the confirms of its events, of each lane and of each look, while RabbitMQ has a memory alarm.
ROUND_WITHIN_S: Final = 300.0


class RelaySettings(Settings):
    """The relay."""

    relay_queued_at_most: int = Field(default=QUEUED_AT_MOST, ge=1)
    # As JSON: {"stripe": 80}. A processor that answers "too many requests" is left alone for a while in any case.
    charges_per_s: dict[ProcessorName, Annotated[float, Field(gt=0)]] = Field(default_factory=dict)
    charges_per_s_and_account: dict[ProcessorName, Annotated[float, Field(gt=0)]] = Field(default_factory=dict)

    def limits(self) -> dict[str, Limits]:
        """By lane."""
        return {
            f"charge.{name}": Limits(
                in_all=self.charges_per_s.get(name), per_account=self.charges_per_s_and_account.get(name)
            )
            for name in ProcessorName
        }


def main() -> None:
    """Relay until asked to stop."""
    settings = RelaySettings()
    configure("relay", level=settings.log_level, format=settings.log_format)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    lines = lines_of(queued_at_most=settings.relay_queued_at_most, limits=settings.limits())
    pulses = {line.name: Pulse(within_s=ROUND_WITHIN_S) for line in lines}
    with observed("relay", settings, alive=lambda: all(pulse.is_alive() for pulse in pulses.values())):
        run_relay(
            lines,
            database_url=settings.database_url,
            amqp_url=settings.amqp_url,
            stop=stop,
            beat=lambda line: pulses[line].beat(),
        )


if __name__ == "__main__":
    main()
