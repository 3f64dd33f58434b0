"""Our code against simulated processors, messages, commits and processes; and that the simulation sees what it must.

More seeds: `make simulate SEEDS=10000`.
"""

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from uuid import UUID

import pytest

from services.development.servers import Servers
from shared.domain.words import ProcessorName
from tests.shared_servers import unique
from tests.simulation.database import Session, simulated_database
from tests.simulation.run import Outcome, run_seed
from tests.simulation.tally import failure
from tests.simulation.world import STRIPE, VANTAGE, Parts
from workers.processors.port import Timing

SEEDS = range(1, 101)
# In so many seeds a missing protection must be missed; the rarest shows in one of a hundred.
ENOUGH = range(1, 501)
# Where the rarest showed last is looked at first: nothing else depends on it.
LIKELY = 87


@pytest.fixture(scope="module")
def session(servers: Servers) -> Iterator[Session]:
    with simulated_database(servers.database_url, unique("simulation")) as url, closing(Session(url)) as opened:
        yield opened


@pytest.mark.parametrize("seeds", [SEEDS[n : n + 50] for n in range(0, len(SEEDS), 50)], ids=lambda s: f"from {s[0]}")
def test_every_payment_ends_as_the_processors_books_say(session: Session, seeds: range) -> None:
    for seed in seeds:
        outcome = run_seed(seed, session)
        assert outcome.violation is None, failure(outcome)


def test_a_seed_is_replayed_exactly(servers: Servers, session: Session) -> None:
    """In another database and another order: a failing seed of a long run fails alone too."""
    seeds = range(1, 16)
    once = {seed: run_seed(seed, session) for seed in seeds}
    with simulated_database(servers.database_url, unique("simulation")) as url, closing(Session(url)) as another:
        for seed in reversed(seeds):
            assert run_seed(seed, another).trace == once[seed].trace


class _HastyTiming(Timing):
    """A lease that is over long before its owner gives up."""

    @property
    def lease(self) -> timedelta:
        return timedelta(seconds=10)


def _hasty(timing: Timing) -> Timing:
    return _HastyTiming(
        send_budget=timedelta(days=30),
        total_deadline=timing.total_deadline,
        record_margin=timing.record_margin,
        key_lifetime=timing.key_lifetime,
    )


WITHOUT = {
    "own tokens": Parts(new_token=lambda: UUID(int=7)),
    "a lasting commit": Parts(forgotten_commits=0.05),
    "a send budget": Parts(timings={ProcessorName.VANTAGE: _hasty(VANTAGE), ProcessorName.STRIPE: _hasty(STRIPE)}),
    "keys that are kept for a day": Parts(key_memory_s=600),
    "reports that are dated right": Parts(report_ahead_s=36 * 3600),
    "unknown on silence": Parts(silence_is_refusal=True),
    "one request for each refund": Parts(refunds_again=True),
    "one request for each call": Parts(resends_by_itself=True),
}


@pytest.mark.parametrize("protection", WITHOUT)
def test_a_missing_protection_is_missed(session: Session, protection: str) -> None:
    assert _first_violation(session, WITHOUT[protection]) is not None


def _first_violation(session: Session, parts: Parts) -> Outcome | None:
    outcomes = (run_seed(seed, session, parts) for seed in (LIKELY, *ENOUGH))
    return next((outcome for outcome in outcomes if outcome.violation), None)
