"""What the demo day ends with: every payment against the simulators' truth ledgers, and every finding."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.rows import class_row
from rich.console import Console
from rich.table import Table

from services.cli.findings import payment_of
from shared.domain import money
from shared.domain.finding_kinds import suggestion
from shared.domain.words import ProcessorName
from shared.store.findings import Listed
from shared.store.statements import load

_NOTHING = "nothing"
# How a charge stands here, by the simulators' word for it.
_EQUAL: Mapping[str, frozenset[str]] = {
    "taken": frozenset({"settled"}),
    "voided": frozenset({"voided"}),
    "refunded": frozenset({"refunded"}),
    "charged_back": frozenset({"settled, disputed"}),
    _NOTHING: frozenset({"declined", "failed", "skipped", "canceled"}),
}


_SUMS = ("gross", "fees", "voided", "refunded", "disputed", "net", "pending", "posted")


@dataclass(frozen=True, slots=True)
class DayResult:
    """`pairs` counts payments by practice and how they stand here and there; a finding comes with its practice."""

    pairs: Counter[tuple[str, str, str]]
    differences: Sequence[str]
    findings: Sequence[tuple[str, Listed]]


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
        found = _findings(connection)
    pairs: Counter[tuple[str, str, str]] = Counter()
    differences = []
    for practice, processor, reference, amount_minor, state in payments:
        fact = there.pop((processor, reference), None)
        stands = fact["state"] if fact else _NOTHING
        pairs[practice, state, stands] += 1
        if state not in _EQUAL.get(stands, ()) or (fact and fact["amount_minor"] != amount_minor):
            differences.append(f"{reference} is {state} over {amount_minor} here, {stands} there")
    differences += [
        f"{fact['processor_ref']} took {fact['amount_minor']} there, and nobody found it"
        for fact in there.values()
        if not any(fact["processor_ref"] in one.detail for _, one in found)
    ]
    return DayResult(pairs, differences, found)


def _findings(connection: psycopg.Connection) -> list[tuple[str, Listed]]:
    practices = connection.execute("SELECT external_id, name FROM practice ORDER BY name").fetchall()
    with connection.cursor(row_factory=class_row(Listed)) as cursor:
        return [
            (name, one)
            for practice, name in practices
            for one in cursor.execute(load("findings")["listed"], {"practice": practice, "all": True}).fetchall()
        ]


def show(result: DayResult, console: Console) -> None:
    table = Table(
        "Practice", "In Batchpay", "At the processor", "Payments", "Equal", title="Every payment", title_justify="left"
    )
    for (practice, here, there), count in sorted(result.pairs.items()):
        equal = here in _EQUAL.get(there, ())
        stands = there.replace("_", " ")
        table.add_row(practice, here, stands, str(count), "[green]yes[/]" if equal else "[red]no[/]")
    console.print(table)
    console.print(_said(result))
    findings = Table("Practice", "Kind", "Payment", "What", "What to do", title="Every finding", title_justify="left")
    for practice, one in result.findings:
        findings.add_row(practice, one.kind, payment_of(one), one.detail, suggestion(one.kind))
    console.print(findings)
    for difference in result.differences:
        console.print(f"[red]{difference}[/]")


def _said(result: DayResult) -> str:
    """The table in one sentence."""
    count = sum(result.pairs.values())
    if result.differences:
        return f"[red]{count} payments, {len(result.differences)} differences[/]"
    return f"[green]{count} payments: each is here what it is there.[/]"


def show_money(batches: Sequence[tuple[str, str, Mapping[str, Any]]], console: Console) -> None:
    """What each batch brought: practice, number and sums in minor units of US dollars, as the sample has them."""
    table = Table("Practice", "Batch", title="Where the money is", title_justify="left")
    for name in _SUMS:
        table.add_column(name.capitalize(), justify="right")
    for practice, number, sums in batches:
        table.add_row(practice, number, *(money.words(sums[f"{name}_minor"], "USD") for name in _SUMS))
    console.print(table)
