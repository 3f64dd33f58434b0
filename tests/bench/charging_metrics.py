"""The comparisons of charging: side by side, contender after contender in each round, over and over."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from tests.bench.charging import charge_round
from tests.bench.contenders import Contender, baseline, engine, engine_without_books
from tests.bench.ground import Ground
from tests.bench.measurements import Measurements, Row, Target
from tests.bench.statistics import Spread, ratios

Say = Callable[[str], None]

RATE: Final = "charges/s"
CPU: Final = "CPU us/charge"
WORKER_CPU: Final = "of it the worker"
EFFICIENCY: Final = "in-flight efficiency"
MEMORY: Final = "worker MB"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """`charges` and `quick_charges` are measured in each round, at this latency of the processor."""

    processor: str
    latency_ms: int
    charges: int
    quick_charges: int

    @property
    def name(self) -> str:
        return f"{self.processor}-{self.latency_ms}ms"


SCENARIOS: Final = {
    scenario.name: scenario
    for scenario in (
        Scenario(processor="vantage", latency_ms=50, charges=5_000, quick_charges=2_000),
        Scenario(processor="vantage", latency_ms=0, charges=8_000, quick_charges=2_000),
        Scenario(processor="vantage", latency_ms=300, charges=2_000, quick_charges=640),
        Scenario(processor="stripe", latency_ms=50, charges=5_000, quick_charges=2_000),
        Scenario(processor="stripe", latency_ms=0, charges=8_000, quick_charges=2_000),
        Scenario(processor="stripe", latency_ms=300, charges=2_000, quick_charges=640),
    )
}


def contenders(scenario: Scenario) -> list[Contender]:
    name = scenario.processor
    ours = [*engine(name), engine_without_books(name)]
    if scenario.latency_ms > 50:
        return ours[:2]
    if scenario.latency_ms == 0:
        ours += engine(name, processes=2)
    if name == "vantage":
        return [
            *ours,
            *(baseline("dramatiq", name, books) for books in ("light", "same_rows", "none")),
            *(baseline("pool", name, books) for books in ("light", "same_rows", "none")),
            *(baseline("celery", name, books) for books in ("light", "none")),
        ]
    return [
        *ours,
        *(baseline("dramatiq", charger, books) for books in ("light", "none") for charger in (name, "stripe_tuned")),
        *(baseline("pool", charger, books) for books in ("light", "none") for charger in (name, "stripe_tuned")),
        baseline("celery", name, "light"),
    ]


def compare(
    ground: Ground,
    scenario: Scenario,
    measured: Measurements,
    *,
    rounds: int,
    quick: bool,
    only: Sequence[str],
    say: Say,
) -> None:
    """Run every contender in every round, then add the table and the targets of this scenario."""
    charges = scenario.quick_charges if quick else scenario.charges
    entered = [each for each in contenders(scenario) if not only or each.name in only]
    raw = measured.raw[scenario.name]
    for n in range(rounds):
        for contender in entered:
            result = charge_round(ground, contender, charges=charges, latency_ms=scenario.latency_ms)
            raw.append({"contender": contender.name, "round": n, **asdict(result)})
            say(
                f"{scenario.name} {n + 1}/{rounds} {contender.name}: {result.rate:,.0f}/s,"
                f" {result.cpu_us['total']:,.0f} us CPU/charge"
            )
    measured.tables[scenario.name] = [_row(contender, raw) for contender in entered]
    measured.targets += _targets(scenario, raw, {contender.name for contender in entered})


def _row(contender: Contender, raw: Iterable[dict[str, Any]]) -> Row:
    mine = [each for each in raw if each["contender"] == contender.name]
    values = {
        RATE: Spread.of(each["rate"] for each in mine),
        CPU: Spread.of(each["cpu_us"]["total"] for each in mine),
        WORKER_CPU: Spread.of(each["cpu_us"]["worker"] for each in mine),
        MEMORY: Spread.of(each["worker_memory_mb"] for each in mine),
    }
    if mine[0]["in_flight_efficiency"] is not None:
        values[EFFICIENCY] = Spread.of(each["in_flight_efficiency"] for each in mine)
    return Row(name=contender.name, title=contender.title, values=values)


# --- Targets ----------------------------------------------------------------------------------------------------------


def _targets(scenario: Scenario, raw: Sequence[dict[str, Any]], entered: set[str]) -> list[Target]:
    """Those whose two sides were both measured here."""

    def cpu(name: str) -> list[float]:
        return [each["cpu_us"]["total"] for each in raw if each["contender"] == name]

    def rate(name: str) -> list[float]:
        return [each["rate"] for each in raw if each["contender"] == name]

    def pairs(ours: Iterable[str], theirs: Iterable[str]) -> Iterable[tuple[str, str]]:
        return ((one, other) for other in theirs for one in ours if {one, other} <= entered)

    wire = {"vantage": "Vantage wire", "stripe": "Stripe SDK"}[scenario.processor]
    at = f"{wire}, {scenario.latency_ms} ms"
    engines = ("engine", "engine-hinted", "engine-x2", "engine-hinted-x2")
    found: list[Target] = []
    if scenario.latency_ms == 50:
        for one, other in pairs(engines, ("dramatiq-light", "dramatiq-light-tuned", "dramatiq-same_rows")):
            value = ratios(cpu(one), cpu(other))
            found.append(Target(metric=f"CPU per charge, {at}: {one} / {other}", value=value, bound=0.45, at_most=True))
        for one, other in pairs(engines[:2], ("engine-no-books",)):
            value = ratios(cpu(one), cpu(other))
            found.append(Target(metric=f"durability tax, {at}: {one} / {other}", value=value, bound=1.30, at_most=True))
    if scenario.latency_ms == 0:
        for bound, kind in ((3.0, "dramatiq"), (1.8, "pool")):
            for one, other in pairs(engines, (f"{kind}-light", f"{kind}-light-tuned", f"{kind}-same_rows")):
                value = ratios(rate(one), rate(other))
                found.append(
                    Target(metric=f"saturated rate, {at}: {one} / {other}", value=value, bound=bound, at_most=False)
                )
    if scenario.processor == "stripe" and scenario.latency_ms <= 50:
        for one, other in pairs(engines, ("pool-none",)):
            value = ratios(rate(one), rate(other))
            found.append(Target(metric=f"rate, {at}: {one} / {other}", value=value, bound=1.5, at_most=False))
    if scenario.latency_ms:
        for one, _ in pairs(engines[:2], engines[:1]):
            value = Spread.of(each["in_flight_efficiency"] for each in raw if each["contender"] == one)
            found.append(Target(metric=f"in-flight efficiency, {at}: {one}", value=value, bound=0.95, at_most=False))
    return found
