"""Runs seeds and keeps what came of each."""

from collections import Counter
from dataclasses import dataclass

from tests.simulation.database import Session
from tests.simulation.simulation import Simulation
from tests.simulation.world import Parts, Violation

_STEPS = "SELECT from_state, event, to_state, count(*) FROM payment_event GROUP BY 1, 2, 3"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """`steps` counts the payments' steps by state, event and state."""

    seed: int
    violation: str | None
    trace: list[str]
    sha256: str
    payments: int
    steps: Counter[tuple[str, str, str]]
    faults: Counter[str]


def run_seed(seed: int, session: Session, parts: Parts | None = None) -> Outcome:
    """Simulate one seed in an empty database and empty it again."""
    simulation = Simulation(seed, session, parts or Parts())
    violation: str | None = None
    try:
        simulation.run()
    except Violation as error:
        violation = str(error)
    outcome = Outcome(
        seed=seed,
        violation=violation,
        trace=simulation.world.trace.lines,
        sha256=simulation.world.trace.sha256,
        payments=session.rows("SELECT count(*) FROM payment")[0][0],
        steps=Counter({(row[0], row[1], row[2]): row[3] for row in session.rows(_STEPS)}),
        faults=simulation.world.faults,
    )
    session.clear()
    return outcome
