"""`batchpay demo` as a person runs it, and the comparison that its exit code stands for."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from services.development.comparison import PracticeResult, compare
from services.development.servers import Servers
from shared.domain.words import ProcessorName
from tests import builders
from tests.journeys.exports import Client, Export
from tests.journeys.outsiders import charge_behind_our_back
from tests.journeys.sandboxes import SAMPLE, SETTINGS, virtual_host
from tests.waiting import eventually

VANTAGE, STRIPE = ProcessorName.VANTAGE, ProcessorName.STRIPE
# On two busy cores; it takes a quarter of this on idle ones.
DEMO_WITHIN_S = 200.0


@contextmanager
def demo(servers: Servers, folder: Path, output: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`batchpay demo FOLDER` on the servers of this run, in a virtual host of its own."""
    with virtual_host(servers) as (own, _), output.open("wb") as written:
        environment = {
            **os.environ,
            **SETTINGS,
            "BATCHPAY_SERVERS": "environment",
            "BATCHPAY_DATABASE_URL": own.database_url,
            "BATCHPAY_AMQP_URL": own.amqp_url,
        }
        command = [sys.executable, "-c", "from services.cli.main import app; app()", "demo", str(folder)]
        running = subprocess.Popen(command, env=environment, stdout=written, stderr=subprocess.STDOUT)
        try:
            yield running
        finally:
            running.terminate()
            running.wait(timeout=60)


def test_the_demo_on_the_sample_ends_well(servers: Servers, tmp_path: Path) -> None:
    output = tmp_path / "output"
    with demo(servers, SAMPLE, output) as running:
        code = running.wait(DEMO_WITHIN_S)
    shown = output.read_text()
    assert code == 0, shown
    assert shown.count(" yes ") == 3, shown
    assert "void of BP-1001 asked for while it runs" in shown
    assert "Traceback" not in shown


def test_the_demo_ends_with_1_when_money_moved_that_is_not_in_our_books(servers: Servers, tmp_path: Path) -> None:
    export = Export(processor=VANTAGE)
    clients = [export.client() for _ in range(3)]
    output = tmp_path / "output"
    with demo(servers, export.write(tmp_path / export.id), output) as running:
        reference = eventually(
            lambda: charged_aside(running.pid, export, clients[0]), within_s=60, what="the simulator answers"
        )
        code = running.wait(DEMO_WITHIN_S)
    shown = " ".join(output.read_text().split())
    assert code == 1, shown
    assert f"{reference} took 777 there, not here" in shown


def charged_aside(pid: int, export: Export, client: Client) -> str | None:
    """Charge with the credentials of the demo's own worker; None while its simulator does not answer yet."""
    for process in psutil.Process(pid).children(recursive=True):
        if "workers.charge" in process.cmdline() and process.environ().get("BATCHPAY_CHARGE_PROCESSOR") == "vantage":
            try:
                return charge_behind_our_back(process.environ(), export, client, amount_minor=777)
            except AssertionError:
                return None
    return None


# --- The comparison ---------------------------------------------------------------------------------------------------

Fact = dict[str, Any]


@pytest.fixture
def books(database_url: str) -> tuple[str, list[Fact]]:
    """A database with three approved charges, one void and one decline; and a ledger that agrees with it."""
    with psycopg.connect(database_url) as connection:
        made = builders.submitted(connection, 5)
        facts = []
        for n, payment in enumerate(made.payments[:4]):
            attempt = builders.paid(connection, payment, state="settled")
            account, reference = connection.execute(
                "SELECT account, reference FROM attempt WHERE id = %s", [attempt]
            ).fetchone() or ("", "")
            facts.append(
                {
                    "kind": "charge",
                    "account": account,
                    "reference": reference,
                    "amount_minor": 5_000,
                    "state": "voided" if n == 3 else "taken",
                }
            )
        connection.execute("UPDATE payment SET state = 'voided' WHERE id = %s", [made.payments[3]])
        connection.execute("UPDATE payment SET state = 'skipped' WHERE id = %s", [made.payments[4]])
    return database_url, [*facts, {**facts[3], "kind": "void"}]


def compared(books: tuple[str, list[Fact]], facts: list[Fact]) -> PracticeResult:
    ledgers: Mapping[ProcessorName, list[Fact]] = {VANTAGE: facts, STRIPE: []}
    *strangers, result = compare(books[0], ledgers)
    assert all(stranger.differences for stranger in strangers)
    return result


@pytest.mark.unsound("it is voided and skipped by hand")
def test_equal_books_show_no_difference(books: tuple[str, list[Fact]]) -> None:
    result = compared(books, books[1])
    assert result.differences == ()
    assert (result.approved.count, result.voided.count, result.not_charged.count) == (3, 1, 1)
    assert (result.taken_there.minor, result.voided_there.minor) == (20_000, 5_000)


@pytest.mark.unsound("it is voided and skipped by hand")
@pytest.mark.parametrize(
    ("falsify", "said"),
    [
        (lambda facts: facts[1:], "took nothing there"),
        (lambda facts: [facts[0], *facts], "was charged twice"),
        (lambda facts: [{**facts[0], "reference": "forged"}, *facts], "took 5000 there, not here"),
        (lambda facts: [{**facts[0], "amount_minor": 5_001}, *facts[1:]], "took 5001 there, 5000 here"),
        (lambda facts: [{**facts[0], "state": "voided"}, *facts[1:]], "is voided there, settled here"),
        (lambda facts: [*facts[:3], {**facts[3], "state": "taken"}, facts[4]], "is taken there, voided here"),
        (lambda facts: [{**facts[0], "account": "another"}, *facts[1:]], "took nothing there"),
        (lambda facts: [{**facts[0], "state": "refunded"}, *facts[1:]], "is refunded there, settled here"),
    ],
    ids=["lost", "double", "forged", "amount", "voided there", "voided here", "account", "refunded there"],
)
def test_every_falsified_ledger_is_a_difference(
    books: tuple[str, list[Fact]], falsify: Callable[[list[Fact]], list[Fact]], said: str
) -> None:
    (difference,) = compared(books, falsify(books[1])).differences
    assert said in difference


@pytest.mark.parametrize("way", [[], ["sending"], ["sending", "unknown"]], ids=["queued", "sending", "unknown"])
def test_an_unfinished_payment_is_a_difference(database_url: str, way: list[str]) -> None:
    with psycopg.connect(database_url) as connection:
        (payment,) = builders.submitted(connection, 1).payments
        for state in way:
            connection.execute(
                "UPDATE payment SET state = %s, claim_token = gen_random_uuid(), lease_until = now() WHERE id = %s",
                [state, payment],
            )
    assert compared((database_url, []), []).differences == ("1 payments are unfinished",)


@pytest.mark.unsound("it is voided and skipped by hand")
def test_a_charge_of_an_account_that_no_batch_was_for_is_a_difference(books: tuple[str, list[Fact]]) -> None:
    stranger = {**books[1][0], "account": "999", "reference": "demo-stranger-1"}
    results = compare(books[0], {VANTAGE: [*books[1], stranger], STRIPE: []})
    assert any(result.differences for result in results), "money moved at the processor and nobody says so"
