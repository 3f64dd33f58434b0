"""Billing from the command line: submit, status, history, report, void, refund; each against the real service."""

import asyncio
import csv
import io
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import psycopg
import pytest

from tests import builders
from tests.aggregating import aggregated
from tests.command_line import Ended, batchpay
from tests.submit_service import Caller, bearer, seed, with_service

Batchpay = Callable[..., Ended]


@pytest.fixture
def url(database_url: str) -> str:
    seed(database_url)
    return database_url


def at_a_shell(database_url: str, story: Callable[[Batchpay], None], *, token: str | None = None) -> None:
    """Play a story whose commands reach the service with a token for practice oak."""

    async def serve(caller: Caller) -> None:
        def call(*words: str, **options: str | None) -> Ended:
            environment = {"BATCHPAY_API_URL": caller.url, "BATCHPAY_API_TOKEN": token or bearer()}
            return batchpay(*words, **{**environment, **options})  # type: ignore[arg-type]  # typed is one of them

        await asyncio.to_thread(story, call)

    with_service(database_url, serve)


def test_a_batch_is_submitted_followed_reported_and_voided(url: str, tmp_path: Path) -> None:
    file = tmp_path / "invoices.txt"
    file.write_text("oak-i1\noak-i2\n\noak-i3\n")

    def story(call: Batchpay) -> None:
        submitted = call("submit", "oak", "--invoices", str(file), "--yes")
        assert submitted.code == 0, submitted.err
        assert "3 invoices, $6.00, through vantage." in submitted.out
        assert "BP-1001: 3 invoices, $6.00 submitted." in submitted.out
        shown = call("status", "BP-1001", "--once", "--json").json
        assert (shown["total"]["count"], shown["unfinished"]["count"], shown["status"]) == (3, 3, "processing")
        assert "BP-1001" in call("history", "--show", "pending").out
        assert call("history", "--show", "posted").out == "There are no batches.\n"
        rows = list(csv.DictReader(io.StringIO(call("report", "BP-1001", "--csv").out)))
        assert [(row["Invoice"], row["Amount"], row["Status"]) for row in rows] == [
            ("INV-1", "1.00", "queued"),
            ("INV-2", "2.00", "queued"),
            ("INV-3", "3.00", "queued"),
        ]
        one = call("void", rows[0]["Payment"], "--yes", "--wait").out
        assert "      1 canceled: It was taken out before it was sent. There is nothing to do.\n" in one
        assert ("INV-1" in one, "INV-2" in one) == (True, False)
        rest = call("void", "BP-1001", "--yes", "--json").json
        assert rest["results"] == {"canceled": 2, "nothing_to_void": 1}
        assert [(each["payment"], each["result"]) for each in rest["payments"]] == [
            (rows[0]["Payment"], "nothing_to_void"),
            (rows[1]["Payment"], "canceled"),
            (rows[2]["Payment"], "canceled"),
        ]
        assert [row["state"] for row in call("report", "BP-1001", "--json").json] == ["canceled"] * 3
        aggregated(url, UUID(shown["id"]))
        done = call("status", shown["id"])
        assert (done.code, "voided, posted" in done.out) == (0, True)

    at_a_shell(url, story)


def test_a_settled_batch_is_refunded_where_a_void_is_too_late(url: str) -> None:
    def story(call: Batchpay) -> None:
        call("submit", "oak", "--matching", "invoice=INV-1", "--yes")
        (row,) = call("report", "BP-1001", "--json").json
        early = call("refund", row["id"], "--yes")
        assert (early.code, "not settled yet. Void it instead" in early.err) == (1, True)
        with psycopg.connect(url) as connection:
            builders.paid(connection, row["id"])
        assert "1 too late: Too late: the charge is settled. Refund it instead." in call("void", "BP-1001", "--yes").out
        asked = call("refund", "BP-1001", "--yes", "--json").json
        assert asked["results"] == {"refunding": 1}
        again = call("refund", "BP-1001", "--yes").out
        assert again == "      1 already asked: The refund is asked for already. Wait for the processor's answer.\n"

    at_a_shell(url, story, token=bearer(permissions=("billing", "billing:void", "billing:refund")))


def test_a_refund_keeps_its_reason_and_waits_above_the_limit(url: str) -> None:
    def story(call: Batchpay) -> None:
        assert call("submit", "oak", "--matching", "invoice=INV-1", "--yes").code == 0
        [row] = call("report", "BP-1001", "--json").json
        with psycopg.connect(url) as connection:
            builders.paid(connection, UUID(row["id"]))
            connection.execute("UPDATE practice SET refund_limit_minor = 99")
        said = call("refund", row["id"], "--reason", "Cancelled in time", "--yes").out
        assert "needs approval: It is above the practice's refund limit" in said
        with psycopg.connect(url) as connection:
            waits = connection.execute("SELECT refund_reason, total_minor FROM refund_approval").fetchall()
            assert waits == [("Cancelled in time", 100)]
            connection.execute("UPDATE practice SET refund_limit_minor = NULL")
        assert call("refund", "BP-1001", "--reason", "Cancelled in time", "--yes").code == 0
        [after] = call("report", "BP-1001", "--json").json
        assert (after["state"], after["refund_reason"]) == ("refunding", "Cancelled in time")

    at_a_shell(url, story, token=bearer(permissions=("billing", "billing:refund")))


def test_everything_or_what_matches_can_be_submitted(url: str) -> None:
    def story(call: Batchpay) -> None:
        matching = ("--matching", "amount_from_minor=500", "--matching", "client=client")
        assert call("submit", "oak", *matching, "--yes", "--json").json["count"] == 2
        assert call("submit", "oak", "--all", "--yes", "--json").json["count"] == 4
        nothing = call("submit", "oak", "--all", "--yes")
        assert (nothing.code, nothing.err) == (1, "None of these invoices can be charged. Nothing was done.\n")

    at_a_shell(url, story)


def test_the_same_key_submits_once(url: str) -> None:
    def story(call: Batchpay) -> None:
        again = ("submit", "oak", "--matching", "invoice=INV-1", "--key", "k-1", "--yes", "--json")
        first = call(*again)
        assert "--key k-1" in first.err
        assert call("history", "--json").json[0]["number"] == first.json["number"]

    at_a_shell(url, story)


def test_nothing_is_submitted_or_voided_unless_somebody_agrees(url: str) -> None:
    def story(call: Batchpay) -> None:
        unasked = call("submit", "oak", "--all")
        assert (unasked.code, "Add --yes" in unasked.err) == (2, True)
        assert call("history", "--json").json == []

    at_a_shell(url, story)


def test_a_refusal_names_the_field_the_value_and_the_fix(url: str, tmp_path: Path) -> None:
    file = tmp_path / "invoices.txt"
    file.write_text("oak-i1\noak-i1\n")

    def story(call: Batchpay) -> None:
        twice = call("submit", "oak", "--invoices", str(file), "--yes")
        assert twice.code == 1
        assert "invoices=" in twice.err
        assert "the invoice 'oak-i1' is listed twice" in twice.err
        assert "Correct it and send the request again." in twice.err
        for wrong in ("colour=red", "amount_from_minor=much"):
            refused = call("submit", "oak", "--matching", wrong, "--yes")
            assert (refused.code, wrong.partition("=")[0] in refused.err) == (2, True)

    at_a_shell(url, story)


def test_a_token_of_another_practice_charges_nobody(url: str) -> None:
    def story(call: Batchpay) -> None:
        ended = call("submit", "elm", "--all", "--yes")
        assert ended.code == 2
        assert ended.err == "PRACTICE is 'elm', but BATCHPAY_API_TOKEN is for 'oak'. Nothing was done.\n"

    at_a_shell(url, story)


def test_what_is_missing_or_not_permitted_is_said(url: str) -> None:
    def story(call: Batchpay) -> None:
        assert "There is nothing here" in call("status", "BP-77", "--once").err
        assert "no batch and no payment 'BP-77'" in call("void", "BP-77", "--yes").err
        assert "Set BATCHPAY_API_TOKEN" in call("history", BATCHPAY_API_TOKEN=None).err
        assert "no token of Batchpay" in call("submit", "oak", "--all", BATCHPAY_API_TOKEN="x").err
        assert "must begin with http" in call("history", BATCHPAY_API_URL="file:///etc/passwd").err
        nobody = call("history", BATCHPAY_API_URL="http://127.0.0.1:9")
        assert (nobody.code, "No answer from http://127.0.0.1:9" in nobody.err) == (1, True)

    at_a_shell(url, story)


def test_a_void_without_the_permission_is_refused(url: str) -> None:
    def story(call: Batchpay) -> None:
        number = call("submit", "oak", "--all", "--yes", "--json").json["number"]
        refused = call("void", number, "--yes")
        assert (refused.code, "`billing:void`" in refused.err) == (1, True)

    at_a_shell(url, story, token=bearer(permissions=("billing",)))
