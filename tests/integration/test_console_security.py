"""Who may do and see what at the console, and what a hostile page, token or import cannot do."""

import csv
import io
import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import pytest
from fastapi.routing import APIRoute
from pypdf import PdfReader

from services.submit.console import words
from services.submit.console.app import MODULES
from services.submit.edge import MOST_BODY_BYTES
from services.submit.limits import SUBMITS
from tests.conftest import broken_rules
from tests.console_client import (
    EVERYTHING,
    Console,
    Tell,
    Visitor,
    draft_with,
    standing_console,
    submit,
    with_console,
)
from tests.integration.test_console_live import listening
from tests.integration.test_hostile_requests import WAITING_REFUND
from tests.shared_servers import Shared, create_database, database_url_of, drop_database, unique
from tests.submit_service import Reply, seed

# A text that is a tag, an attribute's end, a template and a script's end at once.
HOSTILE = "\"'><img src=x onerror=alert(1)></script>{{111*111}}<b>"


@pytest.fixture
def url(database_url: str) -> str:
    seed(database_url)
    return database_url


def routes(*methods: str) -> list[tuple[str, str]]:
    """Every route of the console, from the application's own list: a new one is tested without a change here."""
    found = [
        (method, f"/console{route.path}")
        for module in MODULES
        for route in module.router.routes
        if isinstance(route, APIRoute)
        for method in sorted(route.methods & set(methods))
    ]
    assert found, "no route was found, so nothing would be tested"
    return found


POSTS = [path for _, path in routes("POST")]
PRIVATE = routes("GET", "POST")


async def things(console: Console, practice: str) -> dict[str, str]:
    """Ids of this practice for every path parameter: a draft, a submitted batch, a payment, a batch that waits."""
    owner = await console.person(practice)
    await submit(owner, await draft_with(owner, ["INV-1", "INV-2"]))
    await console.sql("UPDATE practice SET approval_ceiling_minor = 100 WHERE external_id = %s", practice)
    await submit(owner, await draft_with(owner, ["INV-5"]))
    await console.sql("UPDATE practice SET approval_ceiling_minor = NULL")
    draft = await draft_with(owner, ["INV-3"])
    [(payment,)] = await console.sql(
        "SELECT p.id::text FROM payment p JOIN practice r ON r.id = p.practice_id WHERE r.external_id = %s"
        " ORDER BY p.id LIMIT 1",
        practice,
    )
    [(refund,)] = await console.sql(WAITING_REFUND, payment)
    return {
        "draft_id": draft.rsplit("/", 1)[1], "batch": "BP-1001", "payment": payment, "waiting": "BP-1002",
        "refund": str(refund),
    }  # fmt: skip


def filled(path: str, ids: dict[str, str]) -> str:
    values = ids | ({"batch": ids["waiting"]} if "approvals/{batch}" in path else {})
    return re.sub(r"\{(\w+)[^}]*\}", lambda found: values[found[1]], path)


FORM = {
    "count": 2, "total_minor": 300, "op": "clear", "reason": "no", "theme": "dark", "back": "/console/batches",
    "payment_number": "",
}  # fmt: skip


# --- Every route refuses ----------------------------------------------------------------------------------------------


class Guarded(NamedTuple):
    """A console with things of oak's that nobody may change, and who is signed in: a namesake of pat's is at elm."""

    tell: Tell
    ids: dict[str, str]
    pat: Visitor
    lee: Visitor
    namesake: Visitor


@pytest.fixture(scope="module")
def standing(shared: Shared) -> Iterator[Guarded]:
    """One for all tests of refusals: no request of theirs may leave a trace that another could find."""
    name = unique("batchpay_console")
    url = database_url_of(shared.servers.database_url, name)
    create_database(shared.servers.database_url, name, template=shared.template)
    try:
        seed(url)
        with standing_console(url) as tell:
            ids, people = tell(settled_in)
            yield Guarded(tell, ids, *people)
        assert broken_rules(url) == []
    finally:
        drop_database(shared.servers.database_url, name)


async def settled_in(console: Console) -> tuple[dict[str, str], list[Visitor]]:
    ids = await things(console, "oak")
    return ids, [await console.person(), await console.person(subject="lee"), await console.person("elm")]


@pytest.fixture
def guarded(standing: Guarded) -> Iterator[Guarded]:
    """It is the same when the test is over. What a test does to its cookies and tokens is its own."""
    before = standing.tell(state)
    yield standing._replace(pat=standing.pat.twin(), lee=standing.lee.twin(), namesake=standing.namesake.twin())
    assert standing.tell(state) == before


@pytest.mark.parametrize("path", POSTS)
def test_every_post_needs_the_token_of_its_session(guarded: Guarded, path: str) -> None:
    async def story(console: Console) -> None:
        for forged in ("", "0" * 64, guarded.lee.csrf):
            guarded.pat.csrf = forged
            reply = await guarded.pat.post(filled(path, guarded.ids), **FORM)
            assert reply.status == 403
            assert "This page is out of date" in reply.body
        assert (await console.sql("SELECT count(*) FROM batch WHERE void_requested_at IS NOT NULL")) == [(0,)]

    guarded.tell(story)


@pytest.mark.parametrize(("method", "path"), PRIVATE, ids=str)
def test_without_a_session_no_route_shows_or_does_anything(guarded: Guarded, method: str, path: str) -> None:
    async def story(console: Console) -> None:
        stranger = console.visitor()
        reply = await stranger.send(method, filled(path, guarded.ids), data=FORM if method == "POST" else None)
        allowed = {401, 403} if path != "/console/" else {303}
        assert reply.status in allowed
        assert "Client 0" not in reply.body

    guarded.tell(story)


WITH_IDS = [(method, path) for method, path in routes("GET", "POST") if "{" in path]


@pytest.mark.parametrize(("method", "path"), WITH_IDS, ids=str)
def test_another_practices_ids_are_not_found_and_nothing_changes(guarded: Guarded, method: str, path: str) -> None:
    outsider, ids = guarded.namesake, guarded.ids
    missing = {
        "draft_id": ids["payment"], "payment": ids["draft_id"], "batch": "BP-9", "waiting": "BP-9",
        "refund": ids["payment"],
    }  # fmt: skip

    async def ask(path: str) -> Reply:
        return await (outsider.get(path) if method == "GET" else outsider.post(path, **FORM))

    async def story(_: Console) -> None:
        reply, nowhere = await ask(filled(path, ids)), await ask(filled(path, missing))
        assert (reply.status, nowhere.status) == (404, 404)
        assert reply.body == nowhere.body

    guarded.tell(story)


async def state(console: Console) -> list[Any]:
    return await console.sql(
        "SELECT (SELECT array_agg((b.status, b.void_requested_by)) FROM batch b),"
        " (SELECT array_agg((p.state, p.version) ORDER BY p.id) FROM payment p),"
        " (SELECT array_agg((a.decision) ORDER BY a.id) FROM approval a),"
        " (SELECT array_agg((a.decision) ORDER BY a.id) FROM refund_approval a),"
        " (SELECT array_agg((d.invoice_id, d.cleared) ORDER BY d) FROM draft_invoice d)"
    )


def test_a_colleagues_draft_is_not_found(url: str) -> None:
    async def story(console: Console) -> None:
        draft = await draft_with(await console.person(), ["INV-1"])
        lee = await console.person(subject="lee")
        assert (await lee.get(f"{draft}/invoices")).status == 404
        assert (await lee.post(f"{draft}/submit", count=1, total_minor=100)).status == 404

    with_console(url, story)


@pytest.mark.parametrize(
    ("missing", "paths"),
    [
        ("billing:void", ["/console/batches/{batch}/void", "/console/payments/{payment}/void"]),
        ("billing:refund", ["/console/batches/{batch}/refund", "/console/payments/{payment}/refund"]),
        (
            "billing:approve",
            [
                "/console/approvals/{batch}/approve",
                "/console/approvals/{batch}/send-back",
                "/console/approvals/refunds/{refund}/approve",
                "/console/approvals/refunds/{refund}/send-back",
            ],
        ),
    ],
)
def test_a_missing_permission_is_named_and_nothing_changes(url: str, missing: str, paths: list[str]) -> None:
    async def story(console: Console) -> None:
        ids = await things(console, "oak")
        rest = tuple(one for one in EVERYTHING if one != missing)
        lee = await console.person(subject="lee", permissions=rest)
        before = await state(console)
        for path in paths:
            reply = await lee.post(filled(path, ids), **FORM)
            assert reply.status == 403
            assert "Ask the owner of your practice for the permission" in reply.body
        assert await state(console) == before
        pages = [(await lee.get(page)).body for page in ("/console/batches", "/console/batches/BP-1001")]
        assert not any("Void…" in page for page in pages if missing == "billing:void")

    with_console(url, story)


def test_a_clinician_sees_own_clients_only_in_every_place(url: str) -> None:
    async def story(console: Console) -> None:
        pat = await console.person()
        draft = await draft_with(pat, [f"INV-{n}" for n in range(1, 6)], payment_number="SECRET-1")
        await submit(pat, draft)
        clinician = await console.person(
            subject="dr1", permissions=("billing", "billing:void", "own_clients"), clinician="oak-dr1"
        )
        history = (await clinician.get("/console/batches")).body
        report = (await clinician.get("/console/batches/BP-1001")).body
        text = (await clinician.get("/console/batches/BP-1001.csv")).body
        own, others = ("INV-1", "INV-3", "INV-5"), ("INV-2", "INV-4")
        for said in own:
            assert said in report
            assert said in text
        for page in (history, report, text):
            assert not any(said in page for said in (*others, "$15.00", "5 payments", "Void batch"))
        assert "SECRET-1" not in history
        assert "Payment number SECRET-1" not in report
        assert "$9.00" in history
        assert words.HIDDEN in report
        assert report.count("are hidden.") == 1
        assert (await clinician.get("/console/batches/BP-1001/void")).status == 403
        [(hidden,)] = await console.sql(
            "SELECT p.id FROM payment p JOIN invoice i ON i.id = p.invoice_id WHERE i.external_id = 'oak-i2'"
        )
        assert (await clinician.get(f"/console/payments/{hidden}")).status == 404
        assert (await clinician.post(f"/console/payments/{hidden}/void")).status == 404
        assert "BP-1001" not in (await clinician.get("/console/batches", q="SECRET")).body
        draft = await draft_with(clinician, [])
        listed = (await clinician.get(f"{draft}/invoices", size=100)).body
        assert not any(f"{number}," in listed for number in ("INV-2", "INV-4", "INV-6"))

    with_console(url, story)


def test_a_clinician_whose_clients_are_all_there_sees_no_masked_line(url: str) -> None:
    async def story(console: Console) -> None:
        clinician = await console.person(subject="dr1", permissions=("billing", "own_clients"), clinician="oak-dr1")
        await submit(clinician, await draft_with(clinician, ["INV-1", "INV-3"]))
        assert "are hidden." not in (await clinician.get("/console/batches/BP-1001")).body

    with_console(url, story)


TEXTS = [
    "UPDATE practice SET name = %s WHERE external_id = 'oak'",
    "UPDATE client SET name = %s",
    "UPDATE clinician SET name = %s",
    "UPDATE invoice SET number = %s WHERE external_id = 'oak-i1'",
    "UPDATE session SET description = %s",
    "UPDATE payment_method SET brand = %s",
    "UPDATE person SET name = %s",
]  # fmt: skip


@pytest.mark.parametrize("statement", TEXTS)
def test_no_imported_text_becomes_markup(url: str, statement: str) -> None:
    async def story(console: Console) -> None:
        pat = await console.person()
        draft = await draft_with(pat, ["INV-1", "INV-2"])
        await console.sql(statement, HOSTILE)
        pages = [(await pat.get(path)).body for path in ("/console/new", f"{draft}/invoices", f"{draft}/confirm")]
        await submit(pat, draft)
        [(payment,)] = await console.sql("SELECT id::text FROM payment ORDER BY id LIMIT 1")
        await console.sql("UPDATE payment SET review_reason = %s", HOSTILE)
        [(refund,)] = await console.sql(WAITING_REFUND, payment)
        await console.sql("UPDATE refund_approval SET refund_reason = %s", HOSTILE)
        paths = (
            "/console/batches", "/console/batches/BP-1001", "/console/batches/BP-1001/void", "/console/review",
            f"/console/payments/{payment}", f"/console/payments/{payment}/void",
            f"/console/payments/{payment}/refund", f"/console/review/{payment}/resolve", "/console/approvals",
            f"/console/approvals/refunds/{refund}", "/console/review?show=resolved",
        )  # fmt: skip
        pages += [(await pat.get(path)).body for path in paths]
        for page in pages:
            assert "<img" not in page
            assert "12321" not in page

    with_console(url, story)


def test_imported_text_is_only_text_in_files_and_live_updates(url: str) -> None:
    async def story(console: Console) -> None:
        pat = await console.person()
        for statement in TEXTS:
            await console.sql(statement, HOSTILE)
        await console.sql("UPDATE invoice SET number = '=1+1' WHERE external_id = 'oak-i2'")
        await submit(pat, await draft_with_all(pat))
        await console.sql("UPDATE payment SET review_reason = %s", HOSTILE)
        table = (await pat.get("/console/batches/BP-1001.csv")).body
        rows = list(csv.DictReader(io.StringIO(table.lstrip("\ufeff"))))
        assert {row["Client"] for row in rows} == {HOSTILE}
        assert not any(cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row.values())
        paper = PdfReader(io.BytesIO((await pat.get("/console/batches/BP-1001.pdf")).body))
        assert "onerror=alert(1)" in paper.pages[0].extract_text().replace("\n", "")
        catalog = str(paper.trailer["/Root"])
        assert not any(active in catalog for active in ("/JavaScript", "/OpenAction", "/Launch", "/URI"))
        async with listening(pat) as stream:
            await stream.until("beat", "")
            await stream.until("BP-1001.progress", "finished")
            assert not any("<img" in html for html in stream.heard.values())

    with_console(url, story)


async def draft_with_all(visitor: Visitor) -> str:
    reply = await visitor.post("/console/drafts")
    path = reply.headers["Location"].removesuffix("/invoices")
    await visitor.post(f"{path}/selection", op="matching")
    return path


def test_another_practices_invoices_cannot_be_selected(url: str) -> None:
    async def story(console: Console) -> None:
        other = await console.person("elm")
        draft = await draft_with(other, [])
        theirs = await console.sql("SELECT id::text FROM invoice WHERE external_id LIKE 'oak-%%'")
        reply = await other.post(f"{draft}/selection", [("op", "add"), *(("invoice", row[0]) for row in theirs)])
        assert "0 selected" in reply.body
        assert await console.sql("SELECT * FROM draft_invoice") == []

    with_console(url, story)


def test_a_flood_of_submits_is_told_to_wait_and_keeps_the_selection(url: str) -> None:
    async def story(console: Console) -> None:
        pat = await console.person()
        draft = await draft_with(pat, ["INV-1"])
        for _ in range(SUBMITS):
            reply = await pat.post(f"{draft}/submit", count=1, total_minor=99)
            assert reply.status == 409
        reply = await pat.post(f"{draft}/submit", count=1, total_minor=100)
        assert reply.status == 429
        assert "No card was charged" in reply.body
        assert "1 selected" in (await pat.get(f"{draft}/invoices")).body

    with_console(url, story)


def test_a_body_that_is_too_long_is_refused_with_nothing_done(url: str) -> None:
    async def story(console: Console) -> None:
        pat = await console.person()
        for path in ("/console/drafts", "/console/sign-in"):
            reply = await pat.send("POST", path, data=io.BytesIO(b"payment_number=" + b"x" * MOST_BODY_BYTES))
            assert reply.status == 413
        assert await console.sql("SELECT * FROM draft") == []

    with_console(url, story)


# Pages that show nobody's data: no client, no amount of a client.
NO_CLIENTS: Final = {
    "/console/", "/console/batches", "/console/batches/live", "/console/batches/cells", "/console/new",
    "/console/numbers", "/console/drafts/{draft_id}/number", "/console/approvals", "/console/batches/{batch}/void",
    "/console/batches/{batch}/refund",
}  # fmt: skip


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/console/batches", "q"),
        ("/console/batches/BP-1001", "q"),
        ("{draft}/invoices", "q.client"),
        ("{draft}/invoices", "q.amount"),
        ("{draft}/invoices", "from"),
        ("/console/numbers", "payment_number"),
    ],
)
def test_no_query_text_becomes_markup(url: str, path: str, query: str) -> None:
    async def story(console: Console) -> None:
        pat = await console.person()
        draft = await draft_with(pat, ["INV-2"])
        await submit(pat, await draft_with(pat, ["INV-1"]))
        reply = await pat.get(path.format(draft=draft), **{query: HOSTILE[:40]})
        assert "<img" not in reply.body

    with_console(url, story)


def test_every_view_of_clients_data_is_in_the_audit_log(url: str) -> None:
    async def story(console: Console) -> None:
        pat = await console.person()
        ids = await things(console, "oak")
        await console.sql("UPDATE payment SET review_reason = 'x'")
        pages = {
            f"/console/drafts/{ids['draft_id']}/invoices": "invoices.viewed",
            f"/console/drafts/{ids['draft_id']}/confirm": "draft.viewed",
            "/console/batches/BP-1001": "report.viewed",
            "/console/batches/BP-1001.csv": "report.exported_csv",
            "/console/batches/BP-1001.pdf": "report.exported_pdf",
            f"/console/payments/{ids['payment']}/void": "payment.viewed",
            f"/console/payments/{ids['payment']}/refund": "payment.viewed",
            f"/console/review/{ids['payment']}/resolve": "payment.viewed",
            f"/console/payments/{ids['payment']}": "payment.viewed",
            "/console/review": "review.viewed",
            "/console/approvals/BP-1002": "approval.viewed",
            f"/console/approvals/refunds/{ids['refund']}": "refund_approval.viewed",
        }
        for path, action in pages.items():
            [(before,)] = await console.sql("SELECT coalesce(max(id), 0) FROM audit_entry")
            assert (await pat.get(path)).status == 200
            entries = await console.sql("SELECT actor, action FROM audit_entry WHERE id > %s", before)
            assert entries == [("pat", action)]
        known = {filled(path, ids) for path in NO_CLIENTS} | set(pages)
        assert {filled(path, ids) for _, path in routes("GET")} == known, "is a client shown there, and written down?"

    with_console(url, story)


def test_every_answer_keeps_the_page_to_itself(url: str) -> None:
    async def story(console: Console) -> None:
        pat = await console.person()
        stranger = console.visitor()
        answers = [
            await pat.get("/console/batches"),
            await stranger.get("/console/batches"),
            await pat.get("/console/nowhere"),
            await stranger.get("/console/sign-in"),
        ]
        for reply in answers:
            policy = reply.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert reply.headers["X-Content-Type-Options"] == "nosniff"
            assert reply.headers["Referrer-Policy"] == "no-referrer"
            assert reply.headers["Cache-Control"] == "no-store"
            assert not re.search(r"<script(?! src=\"/console/static/)|\sstyle=|\son\w+=|https?://", reply.body)

    with_console(url, story)


def test_our_own_files_are_served_and_nothing_beside_them(url: str) -> None:
    async def story(console: Console) -> None:
        visitor: Visitor = console.visitor()
        for name in ("console.css", "console.js", "vendor/htmx.min.js", "vendor/htmx-sse.js", "icon.svg"):
            assert (await visitor.get(f"/console/static/{name}")).status == 200
        assert (await visitor.get("/console/static/../pages.py")).status == 404
        assert (await visitor.get("/console/static/%2e%2e/pages.py")).status == 404

    with_console(url, story)
