"""The main job on real input: import, submit, watch, void, settle, report, and compare with what really moved."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from services.development.comparison import PracticeResult, Sum, compare
from services.development.sandbox import Sandbox, call
from services.development.waiting import until
from services.submit.auth import mint
from shared.domain.money import words as money
from shared.domain.words import ProcessorName
from shared.store.statements import load

# Past the cut-off of today and of tomorrow, and the delay of both reports.
_THREE_DAYS_S = 72 * 60 * 60
_SHOWN_ROWS = 12
_SLOW_MS = 700

Batch = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Practice:
    """A practice of the demo with a token for its billing staff."""

    id: str
    name: str
    processor: ProcessorName
    token: str


def run(box: Sandbox, *, console: Console) -> list[PracticeResult]:
    """Everything after the import; the comparison of every practice with the simulators' ledgers."""
    practices = _practices(box)
    _slow_down(box, _last_vantage(practices))
    batches = {practice.id: _submit(box, practice, console) for practice in practices}
    _void_while_running(box, practices, batches, console)
    _watch(box, practices, batches, console)
    _let_days_pass(box, practices, batches, console)
    _history(box, practices, console)
    largest = max(practices, key=lambda practice: batches[practice.id]["count"])
    _report(box, largest, batches[largest.id], console)
    ledgers = {name: box.control(name, "ledger")["entries"] for name in ProcessorName}
    results = compare(box.database_url, ledgers)
    _comparison(results, console)
    return results


def _practices(box: Sandbox) -> list[Practice]:
    with psycopg.connect(box.database_url) as connection:
        rows = connection.execute(
            "SELECT external_id, name, processor FROM practice WHERE enrolled ORDER BY external_id"
        ).fetchall()
    secret = box.environment["BATCHPAY_JWT_SECRET"]
    return [
        Practice(
            id=external_id,
            name=name,
            processor=ProcessorName(processor),
            token=mint(
                secret,
                subject="demo",
                practice=external_id,
                permissions=["billing", "billing:void"],
                audience="batchpay",
                now=datetime.now(UTC),
                lifetime=timedelta(hours=1),
            ),
        )
        for external_id, name, processor in rows
    ]


def _api(box: Sandbox, practice: Practice, path: str, body: Any = None, **headers: str) -> Any:
    authorization = {"Authorization": f"Bearer {practice.token}"}
    return call(f"{box.api_url}/v1/{path}", body, headers=authorization | headers)


# --- Submit and void --------------------------------------------------------------------------------------------------


def _submit(box: Sandbox, practice: Practice, console: Console) -> Batch:
    """One batch over all eligible invoices, with the totals that the preview showed."""
    preview = _api(box, practice, "batches/preview", {"matching": {}})
    selection = {"matching": {}, "control": preview["control"]}
    batch: Batch = _api(box, practice, "batches", selection, **{"Idempotency-Key": f"demo-{practice.id}"})
    console.print(
        f"[bold]{practice.name}[/] ({practice.processor}): {batch['number']} submitted,"
        f" {batch['count']} invoices, {money(batch['total_minor'], batch['currency'])}"
    )
    return batch


def _void_while_running(
    box: Sandbox, practices: Sequence[Practice], batches: dict[str, Batch], console: Console
) -> None:
    """Void the youngest Vantage batch as soon as its first charges are through."""
    practice = _last_vantage(practices)
    batch = batches[practice.id]
    until(lambda: _batch(box, practice, batch)["approved"]["count"] > 0, "the first charge is approved")
    results = _api(box, practice, f"batches/{batch['id']}/void", {})["results"]
    said = ", ".join(f"{count} {result.replace('_', ' ')}" for result, count in sorted(results.items()) if count)
    console.print(f"[bold]{practice.name}[/]: void of {batch['number']} asked for while it runs: {said or 'no effect'}")


def _slow_down(box: Sandbox, practice: Practice) -> None:
    """Let the processor take its time with this practice's good cards, so that a void finds the batch at work."""
    with psycopg.connect(box.database_url) as connection:
        methods = connection.execute(
            "SELECT p.processor_account, m.payer_id, m.token"
            " FROM payment_method m JOIN practice p ON p.id = m.practice_id"
            " WHERE p.external_id = %s AND m.processor = p.processor",
            (practice.id,),
        ).fetchall()
    behaviours = [
        {"account": account, "payer": payer, "token": token, "behaviour": f"slow:{_SLOW_MS}"}
        for account, payer, token in methods
    ]
    call(f"{box.simulators[practice.processor]}/_control/behaviours", behaviours, method="PUT")


def _last_vantage(practices: Sequence[Practice]) -> Practice:
    return [practice for practice in practices if practice.processor is ProcessorName.VANTAGE][-1]


# --- Watch ------------------------------------------------------------------------------------------------------------


def _watch(box: Sandbox, practices: Sequence[Practice], batches: dict[str, Batch], console: Console) -> None:
    """Live progress until only payments are left whose outcome the processors have yet to show."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        bars = {
            practice.id: progress.add_task(
                f"{batches[practice.id]['number']} {practice.name}", total=batches[practice.id]["count"]
            )
            for practice in practices
        }

        def done() -> bool:
            for practice in practices:
                batch = _batch(box, practice, batches[practice.id])
                finished = batch["total"]["count"] - batch["unfinished"]["count"]
                progress.update(bars[practice.id], completed=finished)
            look_now(box.database_url)
            return _count(box, "queued", "sending", "voiding") == 0

        until(done, "every payment was sent once and every void was answered")


def _batch(box: Sandbox, practice: Practice, batch: Batch) -> Batch:
    shown: Batch = _api(box, practice, f"batches/{batch['id']}")
    return shown


def _let_days_pass(box: Sandbox, practices: Sequence[Practice], batches: dict[str, Batch], console: Console) -> None:
    """Resolve what is unknown, then let the simulated processors settle: only then can an absence be final."""
    unclear = _count(box, "unknown")
    if unclear:
        console.print(f"{unclear} outcomes are unknown (lost answers): looked up, never sent again blindly")
    console.print("Three days pass at the processors: everything settles and the reports come out")
    for name in ProcessorName:
        box.control(name, "clock", {"advance_s": _THREE_DAYS_S})

    def posted() -> bool:
        look_now(box.database_url)
        return all(_batch(box, practice, batches[practice.id])["posting"] == "posted" for practice in practices)

    until(posted, "every batch is posted")


def look_now(database_url: str) -> None:
    """Bring every look of the janitor forward to now."""
    with psycopg.connect(database_url) as connection:
        connection.execute(load("sweep")["look_now"])


def _count(box: Sandbox, *states: str) -> int:
    with psycopg.connect(box.database_url) as connection:
        row = connection.execute("SELECT count(*) FROM payment WHERE state = ANY(%s)", (list(states),)).fetchone()
    assert row
    return int(row[0])


# --- Show -------------------------------------------------------------------------------------------------------------


def _history(box: Sandbox, practices: Sequence[Practice], console: Console) -> None:
    table = Table(title="Batch Payment History", title_justify="left")
    for name in (
        "Batch ID",
        "Practice",
        "Total",
        "Approved",
        "Declined",
        "Unfinished",
        "Voided",
        "Taken out",
        "Status",
    ):
        table.add_column(name, justify="right" if name in ("Total", "Approved", "Declined") else "left")
    for practice in practices:
        for batch in _api(box, practice, "batches")["items"]:
            groups = ("total", "approved", "declined", "unfinished", "returned", "canceled")
            table.add_row(
                batch["number"],
                practice.name,
                *(_amounts(batch[group], batch["currency"]) for group in groups),
                f"{batch['status']}, {batch['posting']}",
            )
    console.print(table)


def _amounts(group: dict[str, int], currency: str) -> str:
    return f"{group['count']}  {money(group['amount_minor'], currency)}"


def _report(box: Sandbox, practice: Practice, batch: Batch, console: Console) -> None:
    """The part of one report that needs attention."""
    rows = _api(box, practice, f"batches/{batch['id']}/payments?limit=1000")["items"]
    rest = [row for row in rows if row["state"] not in ("approved", "settled")]
    table = Table(title=f"Report of {batch['number']}: {len(rest)} of {len(rows)} need attention", title_justify="left")
    for name in ("Invoice", "Client", "Card", "Number", "Amount", "Status", "Reason"):
        table.add_column(name, justify="right" if name == "Amount" else "left")
    for row in rest[:_SHOWN_ROWS]:
        method = row["method"]
        reason = row["reason"]["message"] if row["reason"] else ""
        card = f"{method['brand']} ··{method['last4']}"
        amount = money(row["amount_minor"], row["currency"])
        table.add_row(row["invoice_number"], row["client_name"], card, row["number"], amount, row["state"], reason)
    console.print(table)
    if len(rest) > _SHOWN_ROWS:
        console.print(f"and {len(rest) - _SHOWN_ROWS} more")


def _comparison(results: Sequence[PracticeResult], console: Console) -> None:
    table = Table(title="Our database against what really moved", title_justify="left")
    for name in (
        "Practice",
        "Submitted",
        "Approved",
        "Declined",
        "Not charged",
        "Voided",
        "Unfinished",
        "Taken there",
        "Equal",
    ):
        table.add_column(name, justify="left" if name in ("Practice", "Equal") else "right")
    for result in results:
        ours = (
            result.submitted, result.approved, result.declined, result.not_charged, result.voided, result.unfinished,
        )  # fmt: skip
        net = Sum(
            count=result.taken_there.count - result.voided_there.count,
            minor=result.taken_there.minor - result.voided_there.minor,
        )
        shown = (f"{each.count}  {money(each.minor, 'USD')}" for each in (*ours, net))
        table.add_row(result.practice, *shown, "[red]no[/]" if result.differences else "[green]yes[/]")
    console.print(table)
    for result in results:
        for difference in result.differences:
            console.print(f"[red]{result.practice}: {difference}[/]")
