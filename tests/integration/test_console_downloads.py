"""The report as files: what a spreadsheet and a binder get."""

import csv
import io
import re

import psycopg
import pytest
from pypdf import PdfReader

from services.submit.console.downloads import harmless
from tests import builders
from tests.console_client import Console, draft_with, submit, with_console
from tests.submit_service import seed


@pytest.fixture
def url(database_url: str) -> str:
    seed(database_url)
    return database_url


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx"])
def test_a_cell_is_never_a_formula(text: str) -> None:
    assert harmless(text) == f"'{text}"
    assert harmless("Åsa") == "Åsa"


def test_a_csv_holds_every_payment_as_plain_text(url: str) -> None:
    async def story(console: Console) -> None:
        pat = await console.person()
        await console.sql('UPDATE client SET name = \'=HYPERLINK("https://evil.example","x")\'')
        await submit(pat, await draft_with(pat, ["INV-1", "INV-2"], payment_number="OCT"))
        reply = await pat.get("/console/batches/BP-1001.csv")
        assert reply.headers["Content-Disposition"] == 'attachment; filename="BP-1001.csv"'
        assert reply.body.startswith("\ufeff")
        rows = list(csv.DictReader(io.StringIO(reply.body.lstrip("\ufeff"))))
        assert [(row["Invoice"], row["Amount"], row["Currency"], row["Status"]) for row in rows] == [
            ("INV-1", "1.00", "USD", "Waiting"),
            ("INV-2", "2.00", "USD", "Waiting"),
        ]
        assert {row["Client"][:2] for row in rows} == {"'="}
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d-0[45]:00", rows[0]["Submitted"])

    with_console(url, story)


def test_a_pdf_begins_with_what_needs_attention_and_every_sheet_says_whose_it_is(url: str) -> None:
    async def story(console: Console) -> None:
        pat = await console.person()
        await submit(pat, await draft_with(pat, ["INV-1", "INV-2", "INV-3"]))
        [(approved,), (declined,), (late,)] = await console.sql("SELECT id FROM payment ORDER BY amount_minor")
        with psycopg.connect(console.caller.database_url) as connection:
            builders.paid(connection, approved, "approved")
        for state, finished in (("sending", "NULL"), ("declined", "now()")):
            await console.sql(
                f"UPDATE payment SET state = '{state}', finished_at = {finished},"  # noqa: S608  # our own words
                " claim_token = CASE WHEN %s THEN gen_random_uuid() END, lease_until = CASE WHEN %s THEN now() END,"
                " reason_code = CASE WHEN NOT %s THEN 'insufficient_funds' END WHERE id = %s",
                state == "sending", state == "sending", state == "sending", declined,
            )  # fmt: skip
        await console.sql("UPDATE payment SET review_reason = 'asked by the bank' WHERE id = %s", late)
        pages = PdfReader(io.BytesIO((await pat.get("/console/batches/BP-1001.pdf")).body)).pages
        said = pages[0].extract_text()
        assert said.index("INV-3") < said.index("INV-2") < said.index("INV-1")
        for expected in ("Charging, pending", "Oak, batch BP-1001.", "Printed "):
            assert expected in said
        assert "1 payments" not in said
        assert re.search(r"\d:\d\d:\d\d", said), "finished to the second"

    with_console(url, story)


def test_a_pdf_is_a_file_to_keep(url: str) -> None:
    async def story(console: Console) -> None:
        pat = await console.person()
        await console.sql("UPDATE client SET name = 'Ægir Łukasz Ξένος ' || repeat('W', 60)")
        await submit(pat, await draft_with(pat, ["INV-1", "INV-2"]))
        reply = await pat.get("/console/batches/BP-1001.pdf")
        assert (reply.status, reply.headers["Content-Type"]) == (200, "application/pdf")
        assert reply.body.startswith(b"%PDF-")
        assert b"/Count 1" in reply.body
        said = PdfReader(io.BytesIO(reply.body)).pages[0].extract_text()
        assert re.search(r"Printed \w+ \d+, \d{4}, ", said), "a paper is read another day: it never says today"
        assert "Today" not in said
        actions = await console.sql("SELECT action FROM audit_entry WHERE action LIKE 'report.exported%%'")
        assert actions == [("report.exported_pdf",)]

    with_console(url, story)
