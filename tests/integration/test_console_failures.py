"""What the console answers when the database is busy or away: a page that says whether money moved."""

import asyncio

import psycopg
import pytest

from tests.console_client import Console, draft_with, submit, with_console
from tests.submit_service import Caller, bearer, seed, with_service

# As if another submit had always taken the key a moment before: the same error at the same statement.
ALWAYS_FASTER = """
CREATE FUNCTION somebody_was_faster() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'somebody was faster' USING ERRCODE = 'unique_violation'; END $$;
CREATE TRIGGER faster BEFORE INSERT ON batch FOR EACH STATEMENT EXECUTE FUNCTION somebody_was_faster();
"""


@pytest.fixture
def url(database_url: str) -> str:
    seed(database_url)
    return database_url


def test_who_loses_every_race_is_told_that_nothing_was_charged_and_keeps_the_selection(url: str) -> None:
    async def story(console: Console) -> None:
        pat = await console.person()
        draft = await draft_with(pat, ["INV-1"])
        await console.sql(ALWAYS_FASTER)
        reply = await submit(pat, draft)
        assert reply.status == 503
        assert "The batch was not submitted" in reply.body
        assert "No card was charged" in reply.body
        assert "tell support this code" in reply.body
        assert "1 selected" in (await pat.get(f"{draft}/invoices")).body
        await console.sql("DROP TRIGGER faster ON batch")
        assert (await submit(pat, draft)).headers["Location"].startswith("/console/batches?new=BP-")

    with_console(url, story)


def test_the_interface_says_so_too_and_when_to_come_again(url: str) -> None:
    async def story(caller: Caller) -> None:
        await caller.sql(ALWAYS_FASTER)
        reply = await caller.submit(["oak-i1"], 100)
        assert (reply.status, reply.body["code"], reply.headers["Retry-After"]) == (503, "busy", "1")
        assert await caller.sql("SELECT * FROM payment") == []

    with_service(url, story)


def test_a_second_person_who_loses_every_race_is_told_so(url: str) -> None:
    async def story(console: Console) -> None:
        await console.sql("UPDATE practice SET approval_ceiling_minor = 50")
        pat, lee = await console.person(), await console.person(subject="lee")
        await submit(pat, await draft_with(pat, ["INV-1"]))
        await console.sql(ALWAYS_FASTER)
        await lee.get("/console/approvals/BP-1001")
        reply = await lee.post("/console/approvals/BP-1001/approve", count=1, total_minor=100)
        assert reply.status == 503
        assert await console.sql("SELECT decision FROM approval") == [(None,)]
        other = console.caller.as_(bearer(permissions=("billing", "billing:approve")))
        await console.sql("UPDATE approval SET requested_by = 'kim'")
        answer = await other.post("/v1/approvals/BP-1001/approve", {"control": {"count": 1, "total_minor": 100}})
        assert (answer.status, answer.body["code"]) == (503, "busy")

    with_console(url, story)


def test_who_may_not_do_something_is_told_what_they_may_and_which_permission_is_missing(url: str) -> None:
    async def story(console: Console) -> None:
        pat = await console.person(permissions=("billing", "billing:refund"))
        await submit(pat, await draft_with(pat, ["INV-1"]))
        reply = await pat.post("/console/batches/BP-1001/void", count=1, total_minor=100)
        assert reply.status == 403
        for said in (
            "You cannot void payments", "Your account may see and submit batches, refund payments.",
            "the permission “Void payments”", "Nothing was changed.",
        ):  # fmt: skip
            assert said in reply.body

    with_console(url, story)


def test_a_connection_that_ends_is_said_with_what_is_not_known(url: str) -> None:
    async def story(console: Console) -> None:
        pat = await console.person()
        draft = await draft_with(pat, ["INV-1"])
        async with await psycopg.AsyncConnection.connect(url) as locker:
            await locker.execute("LOCK TABLE console_session")
            waiting = asyncio.create_task(pat.get(f"{draft}/confirm"))
            await _until_it_waits(url)
            await locker.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
                " AND application_name = 'batchpay-submit' AND wait_event_type = 'Lock'"
            )
            reply = await waiting
        assert reply.status == 503
        for said in ("We cannot reach our database", "we do not know yet", "pressing again is safe"):
            assert said in reply.body
        assert (await pat.get(f"{draft}/confirm")).status == 200

    with_console(url, story)


async def _until_it_waits(url: str) -> None:
    async with asyncio.timeout(20), await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        found = None
        while found is None:
            cursor = await connection.execute(
                "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
            )
            found = await cursor.fetchone()
