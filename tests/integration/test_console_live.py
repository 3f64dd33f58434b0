"""The stream that keeps the history and the report alive."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from shared.store.batch_status import recompute
from shared.store.pool import open_pool
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

    async def listen(self, visitor: Visitor) -> None:
        cookie = {"Cookie": f"__Host-batchpay={visitor.cookies['__Host-batchpay']}"}
        async with visitor.session.get(f"{visitor.url}/console/batches/live", headers=cookie) as reply:
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
async def listening(visitor: Visitor) -> AsyncIterator[Stream]:
    stream = Stream()
    task = asyncio.create_task(stream.listen(visitor))
    try:
        yield stream
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def decline(console: Console, number: str) -> None:
    """Take a payment to its end, and let the aggregator count."""
    await console.sql(
        "UPDATE payment SET state = 'sending', claim_token = gen_random_uuid(), lease_until = now() WHERE number = %s",
        number,
    )
    await console.sql(
        "UPDATE payment SET state = 'declined', claim_token = NULL, lease_until = NULL, finished_at = now(),"
        " reason_code = 'insufficient_funds' WHERE number = %s",
        number,
    )
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
