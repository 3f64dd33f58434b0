"""What the demo day ends with: every payment against the simulators' truth ledgers, and every finding."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from rich.console import Console
from rich.table import Table

from shared.domain.finding_kinds import suggestion
from shared.domain.words import ProcessorName

_NOTHING = "nothing"
# How a charge stands here, by the simulators' word for it.
_EQUAL: Mapping[str, frozenset[str]] = {
    "taken": frozenset({"settled"}),
    "voided": frozenset({"voided"}),
    "refunded": frozenset({"refunded"}),
    "charged_back": frozenset({"settled, disputed"}),
    _NOTHING: frozenset({"declined", "failed", "skipped", "canceled"}),
}


@dataclass(frozen=True, slots=True)
class Found:
    practice: str
    kind: str
    detail: str


@dataclass(frozen=True, slots=True)
class DayResult:
    """`pairs` counts payments by practice and how they stand here and there."""

    pairs: Counter[tuple[str, str, str]]
    differences: Sequence[str]
    findings: Sequence[Found]


def read_result(database_url: str, ledgers: Mapping[ProcessorName, Sequence[Mapping[str, Any]]]) -> DayResult:
    there = {
        (name.value, fact["reference"]): fact for name in ledgers for fact in ledgers[name] if fact["kind"] == "charge"
    }
    with psycopg.connect(database_url) as connection:
        payments = connection.execute(
            "SELECT pr.name, p.processor, a.reference, p.amount_minor, p.state || CASE WHEN EXISTS ("
            " SELECT FROM dispute d WHERE d.payment_id = p.id AND d.standing <> 'won') THEN ', disputed' ELSE '' END"
            " FROM payment p JOIN practice pr ON pr.id = p.practice_id LEFT JOIN attempt a ON a.id = p.current_attempt"
        ).fetchall()
        findings = connection.execute(
            "SELECT pr.name, f.kind, f.detail FROM finding f JOIN practice pr ON pr.id = f.practice_id ORDER BY f.id"
        ).fetchall()
    pairs: Counter[tuple[str, str, str]] = Counter()
    differences = []
    for practice, processor, reference, amount_minor, state in payments:
        fact = there.pop((processor, reference), None)
        stands = fact["state"] if fact else _NOTHING
        pairs[practice, state, stands] += 1
        if state not in _EQUAL.get(stands, ()) or (fact and fact["amount_minor"] != amount_minor):
            differences.append(f"{reference} is {state} over {amount_minor} here, {stands} there")
    found = [Found(*row) for row in findings]
    differences += [
        f"{fact['processor_ref']} took {fact['amount_minor']} there, and nobody found it"
        for fact in there.values()
        if not any(fact["processor_ref"] in one.detail for one in found)
    ]
    return DayResult(pairs, differences, found)


def show(result: DayResult, console: Console) -> None:
    table = Table("Practice", "Here", "There", "Payments", "Equal", title="Every payment", title_justify="left")
    for (practice, here, there), count in sorted(result.pairs.items()):
        equal = here in _EQUAL.get(there, ())
        table.add_row(practice, here, there, str(count), "[green]yes[/]" if equal else "[red]no[/]")
    console.print(table)
    findings = Table("Practice", "Kind", "What", "What to do", title="Every finding", title_justify="left")
    for one in result.findings:
        findings.add_row(one.practice, one.kind, one.detail, suggestion(one.kind))
    console.print(findings)
    for difference in result.differences:
        console.print(f"[red]{difference}[/]")
