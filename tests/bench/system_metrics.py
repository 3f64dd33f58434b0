"""The comparisons of submitting, publishing, whole runs and batch sizes."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Final

from tests.bench.charging import Round, charge_round
from tests.bench.charging_metrics import CPU, MEMORY, RATE, WORKER_CPU, Say
from tests.bench.contenders import IN_FLIGHT, engine
from tests.bench.ground import Ground, Place
from tests.bench.measurements import Measurements, Row, Target
from tests.bench.publishing import HandedOver, send_loop, windowed
from tests.bench.statistics import Spread, ratios
from tests.bench.whole import end_to_end, small_behind_large, submitted

SECONDS: Final = "seconds"
_LATENCY_MS: Final = 50


def submit(ground: Ground, measured: Measurements, *, rounds: int, quick: bool, say: Say) -> None:
    """Ten thousand invoices: submitted durably over HTTP, or their messages sent by Dramatiq one by one."""
    size = 2_000 if quick else 10_000
    ways: dict[str, tuple[str, Callable[[], HandedOver]]] = {
        "submit": (
            f"Batchpay: one HTTP request, {size:,} payments, hints and the audit entry committed",
            lambda: submitted(ground, invoices=size),
        ),
        "send-classic": (
            "Dramatiq send() in a loop, confirmed, classic queue, no rows",
            lambda: _at_place(ground, lambda place: send_loop(place, messages=size, quorum=False)),
        ),
        "send-quorum": (
            "Dramatiq send() in a loop, confirmed, quorum queue, no rows",
            lambda: _at_place(ground, lambda place: send_loop(place, messages=size, quorum=True)),
        ),
        "windowed": (
            "pika with a window of confirms, quorum queue, no rows (as the relay publishes)",
            lambda: _at_place(ground, lambda place: windowed(place, messages=size)),
        ),
    }
    found: dict[str, list[HandedOver]] = {name: [] for name in ways}
    for n in range(rounds):
        for name, (_, measure) in ways.items():
            result = measure()
            found[name].append(result)
            measured.raw["submit"].append({"contender": name, "round": n, "size": size, **asdict(result)})
            say(
                f"submit {n + 1}/{rounds} {name}: {result.seconds:.3f} s for {size:,}, {result.cpu_us:,.0f} us CPU each"
            )
    measured.tables["submit"] = [
        Row(
            name=name,
            title=title,
            values={
                SECONDS: Spread.of(each.seconds for each in found[name]),
                "CPU us each": Spread.of(each.cpu_us for each in found[name]),
            },
        )
        for name, (title, _) in ways.items()
    ]
    ours = [each.seconds for each in found["submit"]]
    for other in ("send-classic", "send-quorum"):
        value = ratios([each.seconds for each in found[other]], ours)
        metric = f"durable submit of {size:,}: times faster than {other}"
        measured.targets.append(Target(metric=metric, value=value, bound=40, at_most=False))


def whole_runs(ground: Ground, measured: Measurements, *, rounds: int, quick: bool, say: Say) -> None:
    """From the submit request to the last payment recorded, against the time the processor alone needs."""
    charges = 2_000 if quick else 10_000
    runs = []
    for n in range(rounds):
        run = end_to_end(ground, charges=charges, latency_ms=_LATENCY_MS, slots=IN_FLIGHT)
        runs.append(run)
        measured.raw["end-to-end"].append({"round": n, **asdict(run)})
        say(f"end-to-end {n + 1}/{rounds}: {run.seconds:.2f} s, the processor's share {run.least_seconds:.2f} s")
    value = Spread.of(run.seconds / run.least_seconds for run in runs)
    metric = f"end to end, {charges:,} payments at {_LATENCY_MS} ms: time / (N x latency / {IN_FLIGHT})"
    measured.targets.append(Target(metric=metric, value=value, bound=1.10, at_most=True))
    measured.tables["end-to-end"] = [
        Row(
            name="end-to-end",
            title=f"{charges:,} payments, submit, relay, worker, aggregator, notify and janitor running",
            values={
                SECONDS: Spread.of(run.seconds for run in runs),
                "submit seconds": Spread.of(run.submit_seconds for run in runs),
                CPU: Spread.of(sum(run.cpu_us.values()) for run in runs),
            },
        )
    ]


def batch_sizes(ground: Ground, measured: Measurements, *, rounds: int, quick: bool, say: Say) -> None:
    """The same charges in many small batches or in one large one; at least so many in each case."""
    sizes, least = ((10, 100, 1_000), 1_000) if quick else ((10, 100, 1_000, 10_000, 100_000), 10_000)
    contender = engine("vantage")[0]
    found: dict[int, list[Round]] = {size: [] for size in sizes}
    for n in range(rounds):
        for size in sizes:
            result = charge_round(ground, contender, charges=max(least, size), latency_ms=0, batch_size=size)
            found[size].append(result)
            measured.raw["batch-size"].append({"batch_size": size, "round": n, **asdict(result)})
            say(
                f"batch-size {n + 1}/{rounds} {size:,}: {result.cpu_us['total']:,.0f} us CPU/charge,"
                f" worker {result.worker_memory_mb:.0f} MB"
            )
    measured.tables["batch-size"] = [
        Row(
            name=f"{size}",
            title=f"batches of {size:,}",
            values={
                CPU: Spread.of(each.cpu_us["total"] for each in results),
                WORKER_CPU: Spread.of(each.cpu_us["worker"] for each in results),
                RATE: Spread.of(each.rate for each in results),
                MEMORY: Spread.of(each.worker_memory_mb for each in results),
            },
        )
        for size, results in found.items()
    ]
    for what, column in (("CPU per charge", CPU), ("worker memory", MEMORY)):
        medians = [row.values[column].median for row in measured.tables["batch-size"]]
        value = Spread(max(medians) / min(medians), 1.0, max(medians) / min(medians), rounds)
        metric = f"{what}, batches of {sizes[0]:,} to {sizes[-1]:,}: dearest / cheapest size"
        measured.targets.append(Target(metric=metric, value=value, bound=1.15, at_most=True))


def small_batches(ground: Ground, measured: Measurements, *, rounds: int, quick: bool, say: Say) -> None:
    """Five invoices behind a large batch that runs."""
    large, probes = (10_000, 4) if quick else (50_000, 10)
    rounds_found = []
    for n in range(rounds):
        result = small_behind_large(ground, large=large, probes=probes, latency_ms=_LATENCY_MS)
        rounds_found.append(result)
        measured.raw["small-behind-large"].append({"round": n, **asdict(result)})
        alone, behind = Spread.of(result.alone_s), Spread.of(result.behind_s)
        say(f"small-behind-large {n + 1}/{rounds}: alone {alone.median:.3f} s, behind {behind.median:.3f} s")
    measured.tables["small-behind-large"] = [
        Row(
            name=name,
            title=title,
            values={SECONDS: Spread.of(seconds for each in rounds_found for seconds in getattr(each, field))},
        )
        for name, title, field in (
            ("alone", "five invoices, submit to final, nothing else running", "alone_s"),
            ("behind", f"the same behind a running batch of {large:,}", "behind_s"),
        )
    ]
    value = ratios(
        [Spread.of(each.behind_s).median for each in rounds_found],
        [Spread.of(each.alone_s).median for each in rounds_found],
    )
    metric = f"five invoices behind a running batch of {large:,} / alone"
    measured.targets.append(Target(metric=metric, value=value, bound=2.0, at_most=True))


def _at_place(ground: Ground, measure: Callable[[Place], HandedOver]) -> HandedOver:
    with ground.place() as place:
        return measure(place)
