import asyncio
from collections.abc import Callable
from datetime import timedelta

import pytest

from tests.console_client import Console, draft_with, sign_in_token, with_console
from tests.submit_service import bearer, seed


@pytest.fixture
def url(database_url: str) -> str:
    seed(database_url)
    return database_url


def test_a_token_shows_who_and_where_and_continue_begins_a_session(url: str) -> None:
    async def story(console: Console) -> None:
        visitor = console.visitor()
        token = sign_in_token(name="Pat Doe")
        reply = await visitor.arrive(token)
        assert reply.status == 200
        assert "Pat Doe" in reply.body
        assert "Oak" in reply.body
        assert "See and submit batches, void payments" in reply.body
        assert token not in reply.body
        assert (await console.sql("SELECT count(*) FROM console_session")) == [(0,)]
        reply = await visitor.post("/console/sign-in/continue")
        assert (reply.status, reply.headers["Location"]) == (303, "/console/batches")
        [cookie] = [line for line in reply.headers.getall("Set-Cookie") if line.startswith("__Host-batchpay=")]
        assert {"HttpOnly", "Secure", "SameSite=lax", "Path=/"} <= set(cookie.split("; "))
        assert "No batches yet" in (await visitor.get("/console/batches")).body
        assert (await console.sql("SELECT actor, action FROM audit_entry")) == [("pat", "session.began")]

    with_console(url, story)


def test_the_database_holds_neither_the_cookie_nor_the_token(url: str) -> None:
    async def story(console: Console) -> None:
        visitor = await console.person()
        [(row,)] = await console.sql("SELECT s::text || t::text FROM console_session s, used_sign_in t")
        assert visitor.cookies["__Host-batchpay"] not in row

    with_console(url, story)


@pytest.mark.parametrize(
    "make",
    [
        bearer,
        lambda: sign_in_token(audience="batchpay"),
        lambda: sign_in_token(secret="another secret, which is long enough too"),
        lambda: sign_in_token(lifetime=timedelta(minutes=-5)),
        lambda: sign_in_token(lifetime=timedelta(hours=1)),
        lambda: sign_in_token("no-such-practice"),
        lambda: sign_in_token(clinician="elm-dr1", permissions=("billing", "own_clients")),
        lambda: "eyJhbGciOiJub25lIn0.eyJzdWIiOiJwYXQiLCJwcmFjdGljZSI6Im9hayIsInBlcm1pc3Npb25zIjpbXX0.",
        lambda: "",
        lambda: "x" * 3000,
    ],
    ids=[
        "for the API", "wrong audience", "forged", "expired", "lives too long", "unknown practice",
        "clinician of another practice", "alg none", "empty", "garbage",
    ],
)  # fmt: skip
def test_every_token_that_is_not_a_fresh_sign_in_token_gets_the_same_page(url: str, make: Callable[[], str]) -> None:
    """Tokens are made here: old ones would be refused for their age alone."""

    async def story(console: Console) -> None:
        reply = await console.visitor().arrive(make())
        assert reply.status == 401
        assert "This sign-in link no longer works" in reply.body
        assert "Set-Cookie" not in reply.headers

    with_console(url, story)


def test_a_token_works_once(url: str) -> None:
    async def story(console: Console) -> None:
        token = sign_in_token()
        first, second = console.visitor(), console.visitor()
        await first.arrive(token)
        await second.arrive(token)
        replies = await asyncio.gather(
            first.post("/console/sign-in/continue"), second.post("/console/sign-in/continue")
        )
        assert sorted(reply.status for reply in replies) == [303, 401]

    with_console(url, story)


def test_continue_without_the_page_of_this_browser_is_refused(url: str) -> None:
    async def story(console: Console) -> None:
        visitor = console.visitor()
        await visitor.arrive(sign_in_token())
        visitor.csrf = "0" * 64
        assert (await visitor.post("/console/sign-in/continue")).status == 403
        assert (await console.visitor().post("/console/sign-in/continue")).status == 403

    with_console(url, story)


def test_without_the_permission_there_is_no_session(url: str) -> None:
    async def story(console: Console) -> None:
        reply = await console.visitor().arrive(sign_in_token(permissions=("billing:void",)))
        assert "Continue" not in reply.body
        assert "Ask the owner of your practice" in reply.body

    with_console(url, story)


def test_signing_out_ends_the_session_also_for_a_copied_cookie(url: str) -> None:
    async def story(console: Console) -> None:
        visitor = await console.person()
        copied = dict(visitor.cookies)
        assert "You are signed out" in (await visitor.post("/console/sign-out")).body
        assert "__Host-batchpay" not in visitor.cookies
        visitor.cookies = copied
        assert (await visitor.get("/console/batches")).status == 401

    with_console(url, story)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE console_session SET seen_at = now() - interval '30 minutes 1 second'",
        "UPDATE console_session SET created_at = now() - interval '8 hours 1 second'",
    ],
    ids=["idle", "long"],
)
def test_a_session_ends_and_tells_that_the_work_is_saved(url: str, statement: str) -> None:
    async def story(console: Console) -> None:
        visitor = await console.person()
        draft = await draft_with(visitor, ["INV-1", "INV-2"])
        await console.sql(statement)
        reply = await visitor.get(f"{draft}/invoices", show="ready")
        assert reply.status == 401
        assert "A draft with 2 selected invoices" in reply.body
        assert "Client 0" not in reply.body
        await visitor.arrive(sign_in_token())
        reply = await visitor.post("/console/sign-in/continue")
        assert reply.headers["Location"] == f"{draft}/invoices?show=ready"
        assert "<strong>2 selected</strong>" in (await visitor.follow(reply)).body

    with_console(url, story)


def test_activity_keeps_a_session_alive_and_watching_does_not(url: str) -> None:
    async def story(console: Console) -> None:
        visitor = await console.person()
        await console.sql("UPDATE console_session SET seen_at = now() - interval '20 minutes'")
        async with visitor.session.get(
            f"{visitor.url}/console/batches/live",
            headers={"Cookie": f"__Host-batchpay={visitor.cookies['__Host-batchpay']}"},
        ) as stream:
            assert stream.status == 200
            await stream.content.readline()
        [(idle,)] = await console.sql("SELECT now() - seen_at > interval '19 minutes' FROM console_session")
        assert idle
        await visitor.post("/console/session")
        [(idle,)] = await console.sql("SELECT now() - seen_at > interval '19 minutes' FROM console_session")
        assert not idle

    with_console(url, story)


def test_htmx_is_told_to_load_the_page_when_the_session_is_over(url: str) -> None:
    async def story(console: Console) -> None:
        reply = await console.visitor().send("GET", "/console/batches", headers={"HX-Request": "true"})
        assert (reply.status, reply.headers["HX-Redirect"]) == (401, "/console/sign-in")
        assert reply.body == ""

    with_console(url, story)


def test_the_page_to_come_back_to_is_only_one_of_ours(url: str) -> None:
    async def story(console: Console) -> None:
        visitor = console.visitor()
        await visitor.arrive(sign_in_token())
        visitor.cookies["__Host-batchpay-return"] = "https://evil.example/console/"
        reply = await visitor.post("/console/sign-in/continue")
        assert reply.headers["Location"] == "/console/batches"

    with_console(url, story)


def test_too_many_tries_have_to_wait(url: str) -> None:
    async def story(console: Console) -> None:
        visitor = console.visitor()
        statuses = [(await visitor.arrive("wrong")).status for _ in range(31)]
        assert statuses == [401] * 30 + [429]

    with_console(url, story)


def test_thirty_people_at_one_address_sign_in_within_a_minute_and_nobody_guesses_more_at_the_second_step(
    url: str,
) -> None:
    async def story(console: Console) -> None:
        for n in range(30):
            page = await console.visitor().sign_in(subject=f"person-{n}")
            assert (await page.get("/console/batches")).status == 200
        visitor = console.visitor()
        assert (await visitor.post("/console/sign-in/continue")).status == 429

    with_console(url, story)
