"""The report of a run: a table for people and a JSON file."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from tests.chaos.verdict import Verdict

# More lines would hide the others.
_SHOWN: Final = 20


@dataclass(frozen=True, kw_only=True)
class Report:
    """A run and its verdict."""

    seed: int
    minutes: float
    faults: Mapping[str, int]
    restarts: Mapping[str, int]
    batches: int
    voids_asked: int
    refunds_asked: int
    longest_answer_s: float
    quiet_after_s: float
    verdict: Verdict


def write(report: Report, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = asdict(report) | {"good": report.verdict.good}
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")


def show(report: Report, console: Console) -> None:
    """Faults, what was done meanwhile, and the verdict."""
    faults = Table(title=f"Faults of seed {report.seed} in {report.minutes:g} minutes", title_justify="left")
    faults.add_column("Fault")
    faults.add_column("Times", justify="right")
    for kind, times in sorted(report.faults.items()):
        faults.add_row(kind.replace("_", " "), str(times))
    faults.add_row("[bold]all[/]", f"[bold]{sum(report.faults.values())}[/]")
    console.print(faults)
    results = Table(title="What came of it", title_justify="left")
    results.add_column("")
    results.add_column("", justify="right")
    for name, value in _results(report):
        results.add_row(name, value)
    console.print(results)
    for wrong in _wrong(report.verdict)[:_SHOWN]:
        console.print(f"[red]{wrong}[/]")


def _results(report: Report) -> list[tuple[str, str]]:
    verdict = report.verdict
    return [
        ("batches acknowledged", str(report.batches)),
        ("voids asked for", str(report.voids_asked)),
        ("refunds of a batch asked for", str(report.refunds_asked)),
        ("payments", str(verdict.payments)),
        *((f"  {state}", str(count)) for state, count in verdict.states.items()),
        ("processes started again", str(sum(report.restarts.values()))),
        ("outcomes lost track of", str(verdict.unknowns)),
        ("  of these resolved", str(verdict.unknowns_resolved)),
        ("longest time to resolution", f"{verdict.longest_resolution_s:.1f} s"),
        ("longest wait for an answer of the API", f"{report.longest_answer_s:.1f} s"),
        ("quiet by itself after the healing", f"{report.quiet_after_s:.1f} s"),
        ("on the review list", str(verdict.review_items)),
        ("unfinished", _verdict(verdict.unfinished)),
        ("invariants broken", _verdict(len(verdict.broken_invariants))),
        ("differences from the processors' ledgers", _verdict(len(verdict.differences))),
        ("lost payments", _verdict(len(verdict.lost_payments))),
        ("given back twice", _verdict(len(verdict.double_returns))),
        ("double charges", _verdict(len(verdict.double_charges))),
    ]


def _verdict(count: int) -> str:
    return f"[bold {'red' if count else 'green'}]{count}[/]"


def _wrong(verdict: Verdict) -> list[str]:
    return [
        *verdict.double_charges,
        *verdict.double_returns,
        *verdict.lost_payments,
        *verdict.differences,
        *verdict.broken_invariants,
    ]
