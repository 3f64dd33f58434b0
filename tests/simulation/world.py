"""What all parts of one simulation share."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from uuid import UUID, uuid4

from shared.domain.words import ProcessorName
from tests.simulation.clock import Clock
from tests.simulation.database import Session
from tests.simulation.gates import Gates
from tests.simulation.trace import Trace
from tests.simulation.weather import Weather
from workers.processors.port import Timing
from workers.processors.stripe.adapter import TIMING as STRIPE
from workers.processors.vantage.adapter import TIMING as VANTAGE


class Violation(Exception):  # noqa: N818 - it reads as the fact it states
    """Something happened that must never happen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What is wired in. A test that wants to see a protection missed gives another one here."""

    timings: Mapping[ProcessorName, Timing] = field(
        default_factory=lambda: {ProcessorName.VANTAGE: VANTAGE, ProcessorName.STRIPE: STRIPE}
    )
    new_token: Callable[[], UUID] = uuid4
    # Commits that report success and are none.
    forgotten_commits: float = 0.0
    # How long Stripe remembers a key, and how far ahead of the truth Vantage dates its reports.
    key_memory_s: float = 24 * 3600
    report_ahead_s: float = 0.0
    # An adapter that takes no answer for a refusal, and one whose HTTP client sends again by itself.
    silence_is_refusal: bool = False
    resends_by_itself: bool = False
    # An adapter that sends a refund once more where the wire is silent.
    refunds_again: bool = False


@dataclass(slots=True, kw_only=True)
class World:
    random: Random
    clock: Clock
    trace: Trace
    gates: Gates
    session: Session
    weather: Weather
    parts: Parts
    faults: Counter[str] = field(default_factory=Counter)
    violation: Violation | None = None

    def forbid(self, what: str) -> None:
        """Ends the simulation, whoever catches the exception: our workers catch what a processor raises."""
        self.violation = self.violation or Violation(what)
        raise self.violation

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def strikes(self, fault: str) -> bool:
        """Whether this fault of the weather happens now."""
        struck = self.chance(getattr(self.weather, fault))
        self.faults[fault] += struck
        return struck
