"""The comparisons of charging: side by side, contender after contender in each round, over and over."""

from collections import defaultdict
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
        Scenario(processor="vantage", latency_ms=50, charges=10_000, quick_charges=2_000),
        Scenario(processor="vantage", latency_ms=0, charges=5_000, quick_charges=2_000),
        Scenario(processor="vantage", latency_ms=300, charges=2_000, quick_charges=640),
        Scenario(processor="stripe", latency_ms=50, charges=10_000, quick_charges=2_000),
        Scenario(processor="stripe", latency_ms=0, charges=5_000, quick_charges=2_000),
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
    measured.targets += _targets(scenario, raw)


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

_ENGINES: Final = ("engine", "engine-hinted", "engine-x2", "engine-hinted-x2")
_WIRES: Final = {"vantage": "Vantage wire", "stripe": "Stripe SDK"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Each of `ours` against each of `theirs`, by CPU or by rate, in the scenarios that `where` names."""

    what: str
    where: tuple[str, ...]
    theirs: tuple[str, ...]
    by: str
    bound: float
    ours: tuple[str, ...] = _ENGINES


def _with_books(kind: str) -> tuple[str, ...]:
    return tuple(f"{kind}-{books}" for books in ("light", "light-tuned", "same_rows"))


_AT_50: Final = ("vantage-50ms", "stripe-50ms")
_AT_0: Final = ("vantage-0ms", "stripe-0ms")
_COMPARISONS: Final = (
    Comparison(what="CPU per charge", where=_AT_50, theirs=_with_books("dramatiq"), by=CPU, bound=0.45),
    Comparison(what="durability tax", where=_AT_50, theirs=("engine-no-books",), by=CPU, bound=1.30, ours=_ENGINES[:2]),
    Comparison(what="saturated rate", where=_AT_0, theirs=_with_books("dramatiq"), by=RATE, bound=3.0),
    Comparison(what="saturated rate", where=_AT_0, theirs=_with_books("pool"), by=RATE, bound=1.8),
    Comparison(what="rate", where=("stripe-0ms", "stripe-50ms"), theirs=("pool-none",), by=RATE, bound=1.5),
)


def _targets(scenario: Scenario, raw: Sequence[dict[str, Any]]) -> list[Target]:
    """Those whose two sides were both measured here."""
    values: dict[str, dict[str, list[float]]] = {RATE: defaultdict(list), CPU: defaultdict(list)}
    efficiency: dict[str, list[float]] = defaultdict(list)
    for each in raw:
        values[RATE][each["contender"]].append(each["rate"])
        values[CPU][each["contender"]].append(each["cpu_us"]["total"])
        if each["in_flight_efficiency"] is not None and each["contender"] in _ENGINES:
            efficiency[each["contender"]].append(each["in_flight_efficiency"])
    at = f"{_WIRES[scenario.processor]}, {scenario.latency_ms} ms"
    compared = [
        Target(
            metric=f"{comparison.what}, {at}: {one} / {other}",
            value=ratios(values[comparison.by][one], values[comparison.by][other]),
            bound=comparison.bound,
            at_most=comparison.by == CPU,
        )
        for comparison in _COMPARISONS
        if scenario.name in comparison.where
        for other in comparison.theirs
        for one in comparison.ours
        if values[RATE][one] and values[RATE][other]
    ]
    return compared + [
        Target(metric=f"in-flight efficiency, {at}: {name}", value=Spread.of(found), bound=0.95, at_most=False)
        for name, found in efficiency.items()
    ]
