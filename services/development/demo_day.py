"""One day of two processors: charge before the cut-off, void, charge after it, settle, give back, reconcile."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import psycopg
from rich.console import Console

from services.development.day_result import DayResult, read_result, show_money
from services.development.demo import Practice, look_now
from services.development.sandbox import Sandbox, call, sandbox
from services.development.servers import Servers
from services.development.waiting import until
from services.submit.auth import mint
from shared.domain.books_day import day_of
from shared.domain.money import words as money
from shared.domain.settlement_day import NEW_YORK, REPORT_DELAY, cut_off, settlement_day
from shared.domain.words import ProcessorName
from shared.store.statements import load

# A whole day in a minute: what waits for the janitor waits for less than its usual second.
_SWEEP_EVERY_S: Final = "0.25"
_MINUTE: Final = timedelta(minutes=1)
_VOIDED_EACH: Final = 2
_REFUNDED_EACH: Final = 1
_OUTSIDE_MINOR: Final = 7_700
# Sends since the clocks were set, by the database's clock, get the time that the processors' clocks showed.
_DATE_SENDS: Final = (
    "UPDATE attempt SET first_send_at = d.at, last_send_at = d.at FROM (SELECT %s::timestamptz AS at) d"
    " WHERE last_send_at BETWEEN %s AND clock_timestamp()"
)

VANTAGE, STRIPE = ProcessorName.VANTAGE, ProcessorName.STRIPE


@contextmanager
def day_sandbox(servers: Servers, *, vault: Path, run_directory: Path) -> Iterator[Sandbox]:
    """A sandbox whose simulated Stripe tells what happens outside of Batchpay, and whose janitor looks often."""

    def settings(_common: Mapping[str, str]) -> Mapping[str, Mapping[str, str]]:
        return {"janitor": {"BATCHPAY_SWEEP_EVERY_S": _SWEEP_EVERY_S}}

    with sandbox(
        servers, vault=vault, run_directory=run_directory, name="day", webhooks=True, settings=settings
    ) as box:
        yield box


def run(box: Sandbox, *, console: Console) -> DayResult:
    """The whole day; what became of every payment, here and there."""
    day = _Day(box, console, practices=_practices(box))
    console.print(f"The settlement day {day.day} ends at 17:00 in New York.")
    end = cut_off(day.day)
    day.clock_is(end - 5 * _MINUTE)
    day.charge(half=0)
    day.void_some()
    day.clock_is(end + 5 * _MINUTE)
    day.charge(half=1)
    day.clock_is(cut_off(day.day + timedelta(days=1)) + REPORT_DELAY + _MINUTE)
    day.settle()
    day.refund_some()
    day.happens_outside()
    day.clock_is(cut_off(day.day + timedelta(days=2)) + REPORT_DELAY + _MINUTE)
    day.reconcile()
    show_money(day.money(), console)
    return read_result(box.database_url, {name: box.control(name, "ledger")["entries"] for name in ProcessorName})


def _practices(box: Sandbox) -> list[Practice]:
    with psycopg.connect(box.database_url) as connection:
        rows = connection.execute(
            "SELECT external_id, name, processor FROM practice WHERE enrolled ORDER BY external_id"
        ).fetchall()
    return [
        Practice(id=row[0], name=row[1], processor=ProcessorName(row[2]), token=_token(box, row[0])) for row in rows
    ]


def _token(box: Sandbox, practice: str) -> str:
    return mint(
        box.environment["BATCHPAY_JWT_SECRET"],
        subject="demo",
        practice=practice,
        permissions=["billing", "billing:void", "billing:refund"],
        audience="batchpay",
        now=datetime.now(UTC),
        lifetime=timedelta(hours=1),
    )


class _Day:
    """The day under way. Processors' clocks are set; our database's cannot be, so its dates of sends follow them."""

    def __init__(self, box: Sandbox, console: Console, *, practices: Sequence[Practice]) -> None:
        self.day = settlement_day(datetime.now(UTC))
        self._box, self._console, self._practices = box, console, practices
        self._moments: list[tuple[datetime, datetime]] = []
        self._batches: list[tuple[Practice, dict[str, Any]]] = []
        self._invoices = {practice.id: self._ready(practice) for practice in practices}

    # --- time ---------------------------------------------------------------------------------------------------------

    def clock_is(self, moment: datetime) -> None:
        """Set the processors' clocks; what was sent until now keeps the time at which they executed it."""
        with psycopg.connect(self._box.database_url) as connection:
            if self._moments:
                connection.execute(_DATE_SENDS, self._moments[-1])
            row = connection.execute("SELECT clock_timestamp()").fetchone()
        assert row
        for name in ProcessorName:
            self._box.control(name, "clock", {"set": moment.isoformat()})
        self._moments.append((moment, row[0]))
        self._console.print(f"[bold]{moment.astimezone(NEW_YORK):%A, %H:%M}[/] in New York:")

    # --- charge and void ----------------------------------------------------------------------------------------------

    def charge(self, *, half: int) -> None:
        """Submit one half of every practice's invoices and wait for the processors' answers."""
        for practice in self._practices:
            selection: dict[str, Any] = {"invoices": self._invoices[practice.id][half::2]}
            selection["control"] = self._api(practice, "batches/preview", selection)["control"]
            batch = self._api(practice, "batches", selection, **{"Idempotency-Key": f"{practice.id}-{half}"})
            self._batches.append((practice, batch))
            total = money(batch["total_minor"], batch["currency"])
            self._console.print(f"  {practice.name}: {batch['number']} charges {batch['count']} invoices, {total}")
        until(self._answered, "every charge was answered or is looked up")

    def _ready(self, practice: Practice) -> list[str]:
        """All invoices that can be charged: both halves, because a declined one is ready again."""
        rows = self._api(practice, "invoices?show=ready&sort=invoice&limit=200")["items"]
        return [row["invoice"] for row in rows]

    def _answered(self) -> bool:
        """Nothing is on its way, and nothing will be sent again: a repetition would be dated by another clock."""
        look_now(self._box.database_url)
        with psycopg.connect(self._box.database_url) as connection:
            row = connection.execute(
                "SELECT count(*) FROM payment WHERE state IN ('queued', 'sending', 'voiding')"
                " OR (state = 'unknown' AND processor = 'stripe')"
            ).fetchone()
        return row == (0,)

    def void_some(self) -> None:
        for practice in self._of(VANTAGE):
            for payment in self._payments(practice, "approved")[:_VOIDED_EACH]:
                self._api(practice, f"payments/{payment['id']}/void", {})
                self._console.print(f"  {practice.name}: void of {payment['invoice_number']} asked for")
        until(self._answered, "every void was answered")

    # --- settle and give back -----------------------------------------------------------------------------------------

    def settle(self) -> None:
        def posted() -> bool:
            look_now(self._box.database_url)
            return all(
                self._api(practice, f"batches/{batch['id']}")["posting"] == "posted"
                for practice, batch in self._batches
            )

        until(posted, "every batch is posted")
        self._console.print(f"  {len(self._batches)} batches are posted")

    def refund_some(self) -> None:
        for practice in self._practices:
            for payment in self._payments(practice, "settled")[:_REFUNDED_EACH]:
                self._api(practice, f"payments/{payment['id']}/refund", {})
                self._console.print(f"  {practice.name}: refund of {payment['invoice_number']} asked for")
        until(self._refunded, "every refund was answered")

    def _refunded(self) -> bool:
        look_now(self._box.database_url)
        with psycopg.connect(self._box.database_url) as connection:
            row = connection.execute("SELECT count(*) FROM payment WHERE state = 'refunding'").fetchone()
        return row == (0,)

    def happens_outside(self) -> None:
        """At each processor somebody refunds in the dashboard, a bank takes a charge back, a terminal charges."""
        for name, dispute in ((VANTAGE, "chargeback"), (STRIPE, "dispute")):
            practice = self._of(name)[0]
            refunded, disputed = self._payments(practice, "settled")[:2]
            self._happens(name, practice, "refund", refunded)
            self._happens(name, practice, dispute, disputed)
            self._box.control(
                name, "faults", {"event": "charge", "account": self._account(practice), "amount_minor": _OUTSIDE_MINOR}
            )
            self._console.print(f"  {practice.name}: outside of Batchpay, a refund, a {dispute} and a charge")

    def _happens(self, name: ProcessorName, practice: Practice, event: str, payment: Mapping[str, Any]) -> None:
        attempts = self._api(practice, f"payments/{payment['id']}")["attempts"]
        reference = next(one["reference"] for one in attempts if one["kind"] == "charge")
        what = {"event": event, "account": self._account(practice), "reference": reference}
        self._box.control(name, "faults", what)

    # --- reconcile ----------------------------------------------------------------------------------------------------

    def reconcile(self) -> None:
        """Compare every day that the processors' clocks have shown, as each of them counts days."""
        with psycopg.connect(self._box.database_url, autocommit=True) as connection:
            asked = [
                (practice, day, _ask_comparison(connection, practice, day))
                for practice in self._practices
                for day in sorted({day_of(practice.processor, moment) for moment, _ in self._moments})[:-1]
            ]
            for practice, day, comparison in asked:
                _, failure, complete, lines, caught_up = _comparison(connection, comparison)
                said = failure or _compared(lines, caught_up) + ("" if complete else ", not complete")
                self._console.print(f"  {practice.name}: books of {day:%A, %B %-d} compared: {said}")

    def money(self) -> list[tuple[str, str, dict[str, Any]]]:
        """What each batch brought, by its practice and number."""
        return [
            (practice.name, batch["number"], self._api(practice, f"batches/{batch['id']}/money"))
            for practice, batch in sorted(self._batches, key=lambda one: (one[0].name, one[1]["number"]))
        ]

    # --- asking -------------------------------------------------------------------------------------------------------

    def _of(self, name: ProcessorName) -> list[Practice]:
        return [practice for practice in self._practices if practice.processor is name]

    def _payments(self, practice: Practice, state: str) -> list[dict[str, Any]]:
        rows = [
            row
            for owner, batch in self._batches
            if owner is practice
            for row in self._api(practice, f"batches/{batch['id']}/payments?limit=1000")["items"]
        ]
        return [row for row in rows if row["state"] == state]

    def _account(self, practice: Practice) -> str:
        with psycopg.connect(self._box.database_url) as connection:
            row = connection.execute(
                "SELECT processor_account FROM practice WHERE external_id = %s", (practice.id,)
            ).fetchone()
        assert row
        return str(row[0])

    def _api(self, practice: Practice, path: str, body: Any = None, **headers: str) -> Any:
        authorization = {"Authorization": f"Bearer {practice.token}"}
        return call(f"{self._box.api_url}/v1/{path}", body, headers=authorization | headers)


def _ask_comparison(connection: psycopg.Connection, practice: Practice, day: date) -> UUID:
    asked = connection.execute(
        load("reconciliations")["ask"], {"practice": practice.id, "day": day, "asked_by": "demo"}
    ).fetchone()
    assert asked
    found: UUID = asked[0]
    return found


def _comparison(connection: psycopg.Connection, asked: UUID) -> tuple[Any, ...]:
    """The answer to a comparison, waited for."""

    def answer() -> tuple[Any, ...] | None:
        return connection.execute(load("reconciliations")["answer_of"], {"id": asked}).fetchone()

    until(lambda: bool((row := answer()) and row[0]), "the books are compared")
    row = answer()
    assert row
    return row


def _compared(lines: int, caught_up: int) -> str:
    shown = f"{lines} line" + ("" if lines == 1 else "s")
    if not caught_up:
        return shown
    return f"{shown}, {caught_up} payment{'' if caught_up == 1 else 's'} corrected by {'it' if lines == 1 else 'them'}"
