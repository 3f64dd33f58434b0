"""What many seeds came to, in words: how much was simulated, which steps were seen, what went wrong."""

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Self

from shared.domain.payment import TABLE
from tests.simulation.database import Session
from tests.simulation.run import Outcome, run_seed

# Enough of a trace to see what the violation came from; the replay shows the rest.
_LAST_LINES = 40


@dataclass(slots=True)
class Tally:
    seeds: int = 0
    payments: int = 0
    steps: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    failed: list[int] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        self.seeds += 1
        self.payments += outcome.payments
        self.steps += outcome.steps
        self.faults += outcome.faults
        if outcome.violation:
            self.failed.append(outcome.seed)

    def __iadd__(self, other: "Tally") -> Self:
        self.seeds += other.seeds
        self.payments += other.payments
        self.steps += other.steps
        self.faults += other.faults
        self.failed += other.failed
        return self

    def report(self, took_s: float) -> Iterator[str]:
        seen, possible = self.steps.keys(), {(step.source, step.event, step.target) for step in TABLE}
        yield (
            f"{self.seeds} seeds, {self.payments} payments, {self.steps.total()} steps in {took_s:.0f} s"
            f" ({1000 * took_s / max(1, self.seeds):.0f} ms a seed)"
        )
        yield f"faults: {', '.join(f'{count} {name}' for name, count in sorted(self.faults.items()))}"
        yield f"{len(seen)} of {len(possible)} steps of the transition table were taken; never:"
        yield from (f"  {source} --{event}--> {target}" for source, event, target in sorted(possible - seen))
        yield f"violations: {len(self.failed)}"


def run_share(database_url: str, seeds: Sequence[int]) -> Tally:
    """Run these seeds, one after the other, and print each that fails at once: a long run may be ended."""
    tally = Tally()
    with closing(Session(database_url)) as session:
        for seed in seeds:
            outcome = run_seed(seed, session)
            tally.add(outcome)
            if outcome.violation:
                print(failure(outcome), file=sys.stderr, flush=True)  # noqa: T201  # the command's output
    return tally


def failure(outcome: Outcome) -> str:
    """A failed seed: what was violated, what happened last, and the command that shows it again."""
    return "\n".join(
        [
            f"seed {outcome.seed}: {outcome.violation}",
            *outcome.trace[-_LAST_LINES:],
            f"again, in full: python -m tests.simulation --seed {outcome.seed} --trace",
        ]
    )
