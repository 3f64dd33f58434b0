"""No statement reads more because the past is longer.

Each is explained and run twice on the same live rows: with half a history and with all of it. What it reads then may
depend on how much it was asked for, not on what lies behind.
"""

import asyncio
import re
from collections.abc import Iterator
from typing import Any, Final, Literal, NamedTuple

import psycopg
import pytest

from shared.store import batches, drafts, statements
from shared.store.batches import NEWEST_FIRST
from shared.store.paging import Order
from shared.store.pool import connection_options
from shared.store.scope import Scope
from tests.integration.plan_books import questions_of_books
from tests.integration.plan_history import CLINICIAN, PRACTICE, begin, pass_time
from tests.integration.plan_operations import questions_of_operations
from tests.integration.plan_questions import Question, questions_of_work
from tests.integration.plan_screens import DRAFT, questions_of_screens
from tests.shared_servers import Shared, create_database, database_url_of, drop_database, unique

HALF, WHOLE = 2_000, 4_000  # batches

GROWING: Final = {
    "approval", "attempt", "audit_entry", "batch", "delivery", "dispute", "draft", "draft_invoice", "finding",
    "invoice", "payment", "payment_event", "processor_fee", "reconciliation", "refund_approval", "resolution",
    "session", "webhook",
}  # fmt: skip

# What reads more when there is more, or reads nothing, and why that is right.
NOT_ASKED: Final = {
    "invariant": "looks at every row, once an hour at most",
    "catalog_staging": "makes empty tables",
    "scope.become": "reads no table",
    "outbox": "its rows go when they have left; test_relay.py asks with many of them",
    "batches.counts": "counts the practice's batches for the history's tabs: index entries, one an evening",
    "batches.sorted": "sorts the practice's batches by what a person clicked on: an index for each column would cost"
    " every charge",
}

# Pages for each row asked for: a lookup in the index and its row, in the widest join (13 tables, some of them twice:
# the wizard's list judges an invoice to find its place and again to show it) and in the widest write (a payment's
# nine indexes with its events). Which of several good plans PostgreSQL takes depends on the rows that ANALYZE drew: the
# wizard's list was seen to read from 14 to 18 pages a row.
PAGES_TO_BEGIN: Final = 60
PAGES_A_ROW_READ: Final = 24
PAGES_A_ROW_WRITTEN: Final = 40

# How a statement's plan comes about: for its parameters, kept for any (which PostgreSQL decides after five
# executions), and kept on the workers' connections.
Way = Literal["bound", "kept", "keyed"]
BY_WORKERS: Final = {"payment", "attempt"}
# Their twins never prepare them: a plan for any parameters would be a bad one.
NEVER_KEPT: Final = {"batches.newest_own", "drafts.refresh"}

PARAMETER: Final = re.compile(r"%\((\w+)\)[sb]")
EXPLAIN: Final = "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON)"


class Reading(NamedTuple):
    """What one execution read. `rows` are those of growing tables, whether they were wanted or not."""

    pages: int
    rows: int
    scanned: set[str]
    wrote: bool


class Answer(NamedTuple):
    asked: Question
    way: Way
    half: Reading
    whole: Reading


class Connections(NamedTuple):
    plain: psycopg.Connection
    keyed: psycopg.Connection


@pytest.fixture(scope="module")
def database(shared: Shared) -> Iterator[str]:
    """One for the module, filled by hand: not a sound one in all it holds."""
    name = unique("batchpay_plans")
    create_database(shared.servers.database_url, name, template=shared.template)
    try:
        yield database_url_of(shared.servers.database_url, name)
    finally:
        drop_database(shared.servers.database_url, name)


@pytest.fixture(scope="module")
def answers(database: str) -> dict[str, list[Answer]]:
    """By `file.statement`: a reading for each question and way."""
    with (
        psycopg.connect(database, autocommit=True, **connection_options("plain")) as plain,
        psycopg.connect(database, autocommit=True, **connection_options("keyed", keyed=True)) as keyed,
    ):
        connections = Connections(plain, keyed)
        begin(plain)
        pass_time(plain, first=1, last=HALF)
        half = ask_all(connections)
        pass_time(plain, first=HALF + 1, last=WHOLE)
        whole = ask_all(connections)
    return {
        name: [
            Answer(*asked, before, after) for (asked, before), (_, after) in zip(half[name], whole[name], strict=True)
        ]
        for name in half
    }


def ask_all(connections: Connections) -> dict[str, list[tuple[tuple[Question, Way], Reading]]]:
    questions = (
        questions_of_work(connections.plain) | questions_of_screens() | questions_of_books() | questions_of_operations()
    )
    return {
        name: [((one, way), ask(connections, name, one, way)) for one in asked for way in ways(name)]
        for name, asked in questions.items()
    }


def ways(name: str) -> list[Way]:
    kept: list[Way] = [] if name in NEVER_KEPT else ["kept"]
    return ["bound", *kept, "keyed"] if name.partition(".")[0] in BY_WORKERS else ["bound", *kept]


def ask(connections: Connections, name: str, question: Question, way: Way) -> Reading:
    file, statement = name.split(".")
    text = statements.load(file)[statement]
    connection = connections.keyed if way == "keyed" else connections.plain
    with connection.transaction(force_rollback=True):
        for preparation in question.before:
            connection.execute(preparation.encode())
        explain = explain_bound if way == "bound" else explain_kept
        return reading(explain(connection, text, question.parameters))


def explain_bound(connection: psycopg.Connection, text: str, parameters: dict[str, Any]) -> Any:
    return connection.execute(f"{EXPLAIN} {text}".encode(), parameters).fetchone()


def explain_kept(connection: psycopg.Connection, text: str, parameters: dict[str, Any]) -> Any:
    """As psycopg and PostgreSQL do it: the plan is chosen at the sixth execution."""
    names = list(dict.fromkeys(PARAMETER.findall(text)))
    execute = f"EXECUTE asked ({', '.join(f'%({name})s' for name in names)})" if names else "EXECUTE asked"
    as_prepared = PARAMETER.sub(lambda match: f"${names.index(match[1]) + 1}", text).replace("%%", "%")
    connection.execute(f"PREPARE asked AS {as_prepared}".encode())
    try:
        with psycopg.ClientCursor(connection) as cursor:
            for _ in range(5):
                cursor.execute(f"EXPLAIN {execute}".encode(), parameters)
            return cursor.execute(f"{EXPLAIN} {execute}".encode(), parameters).fetchone()
    finally:
        connection.execute("DEALLOCATE asked")


def reading(row: Any) -> Reading:
    plan = row[0][0]["Plan"]
    scans = [node for node in nodes(plan) if "Scan" in node["Node Type"] and node.get("Relation Name") in GROWING]
    return Reading(
        # Not simply the root's: a statement's last writes are run behind it and not counted in it.
        pages=max(pages(node) for node in nodes(plan)),
        rows=round(sum(rows_looked_at(scan) for scan in scans)),
        scanned={scan["Relation Name"] for scan in scans if scan["Node Type"] == "Seq Scan" and scan["Actual Loops"]},
        wrote=any(node["Node Type"] == "ModifyTable" for node in nodes(plan)),
    )


def nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan, *(inner for child in plan.get("Plans", []) for inner in nodes(child))]


def pages(node: dict[str, Any]) -> int:
    return int(node["Shared Hit Blocks"] + node["Shared Read Blocks"])


def rows_looked_at(scan: dict[str, Any]) -> float:
    left_out = scan.get("Rows Removed by Filter", 0) + scan.get("Rows Removed by Index Recheck", 0)
    return float((scan["Actual Rows"] + left_out) * scan["Actual Loops"])


NAMES: Final = [
    name
    for path in sorted(statements.FOLDER.glob("*.sql"))
    for name in (f"{path.stem}.{statement}" for statement in statements.load(path.stem))
    if NOT_ASKED.keys().isdisjoint({name, path.stem})
]


@pytest.mark.parametrize("name", NAMES)
def test_what_a_statement_reads_depends_on_what_it_is_asked_for(name: str, answers: dict[str, list[Answer]]) -> None:
    for asked, way, half, whole in answers[name]:
        told = f"{way}, {asked.rows} rows: {half} -> {whole}"
        pages_a_row = PAGES_A_ROW_WRITTEN if whole.wrote else PAGES_A_ROW_READ
        assert not whole.scanned, told
        assert whole.pages <= PAGES_TO_BEGIN + asked.rows * pages_a_row, told
        assert whole.rows <= max(half.rows * 1.1, asked.rows), told


def test_every_statement_is_asked(answers: dict[str, list[Answer]]) -> None:
    assert answers.keys() == set(NAMES)


def test_statements_whose_plans_must_not_be_kept_are_never_prepared(database: str, answers: dict[str, Any]) -> None:
    assert answers
    newest = Order(sort=NEWEST_FIRST, descending=True, limit=1)

    async def prepared() -> list[Any]:
        async with await psycopg.AsyncConnection.connect(database) as connection:
            for _ in range(connection.prepare_threshold + 1):
                own = Scope(practice_id=PRACTICE, clinician_id=CLINICIAN)
                await batches.page(connection, own, posting=None, order=newest)
                await drafts.refresh(connection, draft_id=DRAFT)
            cursor = await connection.execute("SELECT statement FROM pg_prepared_statements", prepare=False)
            return await cursor.fetchall()

    assert asyncio.run(prepared()) == []
