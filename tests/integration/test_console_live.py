"""The stream that keeps the history and the report alive."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from shared.store.batch_status import recompute
from shared.store.pool import open_pool
from tests import builders
from tests.console_client import Console, Visitor, draft_with, submit, with_console
from tests.submit_service import seed

WITHIN_S = 15


@pytest.fixture
def url(database_url: str) -> str:
    seed(database_url)
    return database_url


class Stream:
    """What the browser's EventSource hears: the last text of every event."""

    def __init__(self) -> None:
        self.heard: dict[str, str] = {}
        self._news = asyncio.Condition()

    async def listen(self, visitor: Visitor, query: str) -> None:
        cookie = {"Cookie": f"__Host-batchpay={visitor.cookies['__Host-batchpay']}"}
        async with visitor.session.get(f"{visitor.url}/console/batches/live{query}", headers=cookie) as reply:
            assert reply.headers["Content-Type"].startswith("text/event-stream")
            name, lines = "", []
            async for raw in reply.content:
                field, _, value = raw.decode().rstrip("\n").partition(": ")
                if field == "event":
                    name, lines = value, []
                elif field == "data":
                    lines.append(value)
                elif not field and name:
                    async with self._news:
                        self.heard[name] = "\n".join(lines)
                        self._news.notify_all()

    async def until(self, name: str, text: str) -> None:
        async with asyncio.timeout(WITHIN_S), self._news:
            await self._news.wait_for(lambda: name in self.heard and text in self.heard[name])


@asynccontextmanager
async def listening(visitor: Visitor, query: str = "") -> AsyncIterator[Stream]:
    stream = Stream()
    task = asyncio.create_task(stream.listen(visitor, query))
    try:
        yield stream
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def decline(console: Console, number: str) -> None:
    """Take a payment to its end."""
    await console.sql(
        "UPDATE payment SET state = 'sending', claim_token = gen_random_uuid(), lease_until = now() WHERE number = %s",
        number,
    )
    await console.sql(
        "UPDATE payment SET state = 'declined', claim_token = NULL, lease_until = NULL, finished_at = now(),"
        " reason_code = 'insufficient_funds' WHERE number = %s",
        number,
    )
    await count(console, number)


async def count(console: Console, number: str) -> None:
    """What the aggregator does."""
    async with open_pool(console.caller.database_url, process="test", most=1) as pool:
        [(batch,)] = await console.sql("SELECT batch_id FROM payment WHERE number = %s", number)
        await recompute(pool, [batch], actor="test")


def test_cells_follow_the_batch_to_its_end_and_the_end_is_said(url: str) -> None:
    async def story(console: Console) -> None:
        pat = await console.person()
        await submit(pat, await draft_with(pat, ["INV-1", "INV-2"]))
        async with listening(pat) as stream:
            await stream.until("BP-1001.progress", "0 of 2")
            await decline(console, "100001")
            await stream.until("BP-1001.progress", "1 of 2")
            await stream.until("BP-1001.declined", "$1.00")
            await stream.until("BP-1001.marker", "Not enough money or credit.")
            await decline(console, "100002")
            await stream.until("BP-1001.status", "Not charged")
            await stream.until("say", "Batch BP-1001 is finished.")
            assert stream.heard["BP-1001.progress"] == ""

    with_console(url, story)


def test_the_totals_and_tabs_of_an_open_report_follow_and_nothing_of_other_batches_is_sent(url: str) -> None:
    async def story(console: Console) -> None:
        pat, lee = await console.person(), await console.person(subject="lee")
        await submit(pat, await draft_with(pat, ["INV-1", "INV-2"]))
        await submit(pat, await draft_with(pat, ["INV-4"]))
        report = (await lee.get("/console/batches/BP-1001")).body
        assert 'sse-connect="/console/batches/live?batch=BP-1001"' in report
        async with listening(lee, "?batch=BP-1001") as stream:
            await stream.until("BP-1001.totals", "$3.00")
            await stream.until("BP-1001.n-attention", "0")
            await decline(console, "100001")
            await stream.until("BP-1001.n-attention", "1")
            await stream.until("BP-1001.totals", "$2.00")
            await decline(console, "100002")
            await stream.until("say", "Batch BP-1001 is finished. 0 approved, $0.00. 2 declined.")
            assert not any(name.startswith("BP-1002") for name in stream.heard)

    with_console(url, story)


def test_the_start_is_said_to_who_submitted_and_to_nobody_else(url: str) -> None:
    async def story(console: Console) -> None:
        pat, lee = await console.person(), await console.person(subject="lee")
        await submit(pat, await draft_with(pat, ["INV-1", "INV-2"]))
        async with listening(pat) as stream, listening(lee) as other:
            await stream.until("say", "Batch BP-1001 is being charged: 2 payments, $3.00.")
            await other.until("beat", "")
            assert "say" not in other.heard

    with_console(url, story)


def test_the_first_problem_is_said_and_the_end_counts_what_is_being_checked(url: str) -> None:
    async def story(console: Console) -> None:
        pat = await console.person()
        await submit(pat, await draft_with(pat, ["INV-1", "INV-2", "INV-3"]))
        [(first,)] = await console.sql("SELECT id FROM payment WHERE number = '100001'")
        with psycopg.connect(console.caller.database_url) as connection:
            builders.paid(connection, first, "approved")
        await count(console, "100001")
        async with listening(pat) as stream:
            await stream.until("BP-1001.progress", "1 of 3")
            assert "say" not in stream.heard, "it had begun before"
            await decline(console, "100002")
            await stream.until(
                "say", "Batch BP-1001 has its first problem: 1 declined, $2.00. Not enough money or credit."
            )
            await lost_track(console, "100003", 1)
            await stream.until("say", "Batch BP-1001 is finished. 1 approved, $1.00. 1 declined, 1 being checked.")

    with_console(url, story)


def test_who_has_no_live_updates_can_ask_for_the_cells_as_they_are_now(url: str) -> None:
    async def story(console: Console) -> None:
        pat, other = await console.person(), await console.person("elm")
        await submit(pat, await draft_with(pat, ["INV-1", "INV-2"]))
        await submit(pat, await draft_with(pat, ["INV-4"]))
        asked = "/console/batches/cells?batch=BP-1001&batch=BP-7777&batch=x"
        before = await console.sql("SELECT seen_at FROM console_session ORDER BY 1")
        cells = await pat.get(asked)
        assert cells.status == 200
        assert '<template data-cell="BP-1001.progress">' in cells.body
        assert "0 of 2" in cells.body
        said = 'data-say="BP-1001" data-stage="progress 0">Batch BP-1001: 0 of 2 payments finished.<'
        assert said in cells.body
        assert "BP-1002" not in cells.body
        assert "BP-1001.totals" not in cells.body
        assert "BP-1001.totals" in (await pat.get(f"{asked}&report=true")).body
        assert "BP-1001" not in (await other.get(asked)).body
        assert await console.sql("SELECT seen_at FROM console_session ORDER BY 1") == before, "it is no activity"

    with_console(url, story)


def test_a_paused_processor_is_said_where_the_batch_waits(url: str) -> None:
    async def story(console: Console) -> None:
        pat = await console.person()
        await submit(pat, await draft_with(pat, ["INV-1", "INV-2"]))
        async with listening(pat) as stream:
            await stream.until("BP-1001.progress", "You can leave this page")
            await console.sql("INSERT INTO processor_pause (processor, paused_by, reason) VALUES ('vantage', 'x', 'y')")
            await stream.until("BP-1001.progress", "Charging at Vantage is paused")
            await stream.until("BP-1001.progress", "paused at 0 of 2. No card is charged twice: 2 payments wait.")
            await stream.until("BP-1001.status", "Paused")
            await stream.until("say", "Charging at Vantage is paused. Batch BP-1001 is paused at 0 of 2.")
            await console.sql("DELETE FROM processor_pause")
            await stream.until("BP-1001.progress", "You can leave this page")

    with_console(url, story)


async def lost_track(console: Console, number: str, minutes: int) -> None:
    """A send that nobody answered, so long ago."""
    await console.sql("UPDATE payment SET state = 'sending', claim_token = uuid7(), lease_until = now()"
        " WHERE number = %s", number)  # fmt: skip
    [(payment,)] = await console.sql("SELECT id FROM payment WHERE number = %s", number)
    with psycopg.connect(console.caller.database_url) as connection:
        sent_at = datetime.now(UTC) - timedelta(minutes=minutes)
        builders.attempt(connection, payment, first_send_at=sent_at, last_send_at=sent_at, last_claimed_at=sent_at)
        connection.execute("UPDATE payment SET state = 'unknown', next_check_at = now() WHERE id = %s", [payment])


def test_a_processor_that_does_not_answer_and_payments_that_are_stuck_are_said(url: str) -> None:
    async def story(console: Console) -> None:
        pat = await console.person()
        await submit(pat, await draft_with(pat, ["INV-1", "INV-2", "INV-3"]))
        await lost_track(console, "100001", 1)
        assert "is not answering" not in (await pat.get("/console/batches")).body
        await lost_track(console, "100002", 31)
        page = (await pat.get("/console/batches")).body
        for said in (
            "Vantage is not answering", "Paused: Vantage is not answering", "Batch BP-1001 is paused at 0 of 3",
            "2 payments are being checked, 1 waits. We go on by ourselves when Vantage answers. Last try ",
            "1 payment has had no outcome for 30 minutes", "$2.00 may or may not have been charged",
        ):  # fmt: skip
            assert said in page
        clinician = await console.person(subject="dr1", permissions=("billing", "own_clients"), clinician="oak-dr1")
        assert "no outcome for 30 minutes" not in (await clinician.get("/console/batches")).body

    with_console(url, story)


def test_a_clinician_hears_of_own_clients_only(url: str) -> None:
    async def story(console: Console) -> None:
        pat = await console.person()
        await submit(pat, await draft_with(pat, ["INV-1", "INV-2"]))
        await submit(pat, await draft_with(pat, ["INV-4"]))
        clinician = await console.person(
            subject="dr1", permissions=("billing", "billing:void", "own_clients"), clinician="oak-dr1"
        )
        async with listening(clinician) as stream:
            await stream.until("BP-1001.progress", "0 of 1")
            await stream.until("beat", "")
            assert not any(name.startswith("BP-1002") for name in stream.heard)
            assert stream.heard["BP-1001.actions"] == ""

    with_console(url, story)


def test_the_stream_of_another_practice_is_silent(url: str) -> None:
    async def story(console: Console) -> None:
        pat, other = await console.person(), await console.person("elm")
        await submit(pat, await draft_with(pat, ["INV-1"]))
        async with listening(other) as stream, listening(pat) as own:
            await own.until("BP-1001.progress", "0 of 1")
            await stream.until("beat", "")
            assert set(stream.heard) == {"beat"}

    with_console(url, story)


def test_signing_out_ends_the_stream(url: str) -> None:
    async def story(console: Console) -> None:
        pat = await console.person()
        await console.sql("UPDATE console_session SET ended_at = now()")
        reply = await pat.get("/console/batches/live")
        assert reply.status == 401

    with_console(url, story)
