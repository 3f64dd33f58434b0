"""`python -m tests.bench`: measures, and writes tests/bench/results/.

python -m tests.bench                                 everything, 5 rounds: more than an hour
python -m tests.bench --quick                         everything once, with few charges: does the bench work?
python -m tests.bench --only vantage-50ms --only submit --rounds 3
python -m tests.bench --only vantage-0ms --contender engine --contender pool-light
"""

import tempfile
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from tests.bench import console, results, system_metrics
from tests.bench.charging_metrics import SCENARIOS, compare
from tests.bench.ground import Ground, ground
from tests.bench.measurements import Measurements
from tests.bench.picture import draw

_SYSTEM = {
    "submit": system_metrics.submit,
    "end-to-end": system_metrics.whole_runs,
    "small-behind-large": system_metrics.small_batches,
    "batch-size": system_metrics.batch_sizes,
    "console": console.pages,
}
METRICS = (*SCENARIOS, *_SYSTEM)
_console = Console(stderr=True, highlight=False)


def main(
    only: Annotated[list[str] | None, typer.Option(help=f"Of {', '.join(METRICS)}.")] = None,
    contender: Annotated[list[str] | None, typer.Option(help="Of the charging comparisons only these.")] = None,
    rounds: Annotated[int, typer.Option(min=1)] = 5,
    name: Annotated[str, typer.Option(help="The results' file name, without ending.")] = "latest",
    *,
    quick: Annotated[bool, typer.Option(help="One round of few charges.")] = False,
) -> None:
    """Measure Batchpay beside its baselines on private servers of this machine."""
    wanted = only or list(METRICS)
    if unknown := set(wanted) - set(METRICS):
        raise typer.BadParameter(f"no metric {', '.join(sorted(unknown))}; there are {', '.join(METRICS)}")
    measured, rounds = Measurements(), 1 if quick else rounds
    with tempfile.TemporaryDirectory(prefix="batchpay-bench-") as directory, ground(Path(directory)) as here:
        about = results.facts(here.servers, quick=quick, rounds=rounds)
        for metric in wanted:
            _measure(metric, here, measured, rounds=rounds, quick=quick, contenders=contender or [])
            # After each metric, so that a run that is cut short has not been for nothing.
            raw, text = results.write(measured, about, name=name)
            draw(measured, raw.with_suffix(".svg"))
    _console.print(text.read_text())
    _console.print(f"written: {raw}, {text} and the picture beside them")


def _measure(
    metric: str, here: Ground, measured: Measurements, *, rounds: int, quick: bool, contenders: list[str]
) -> None:
    measure = partial(compare, scenario=SCENARIOS[metric], only=contenders) if metric in SCENARIOS else _SYSTEM[metric]
    measure(here, measured=measured, rounds=rounds, quick=quick, say=_console.print)


if __name__ == "__main__":
    typer.run(main)
