"""A person at the console without a browser: cookies by hand, forms with the page's CSRF token."""

import asyncio
import contextlib
import re
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from datetime import timedelta
from http.cookies import SimpleCookie
from typing import Any, Protocol, TypeVar

import aiohttp

from tests.submit_service import AUDIENCE, Caller, Reply, bearer, submit_service

T = TypeVar("T")
EVERYTHING = ("billing", "billing:void", "billing:refund", "billing:approve")
# Many times what a story takes on two busy cores; only a fault waits so long.
_STORY_WITHIN_S = 120.0


def sign_in_token(practice: str = "oak", *, subject: str = "pat", **claims: Any) -> str:
    """What the upstream app signs for a person who opens the console; `claims` as for `bearer`."""
    of_consoles = {
        "permissions": EVERYTHING,
        "audience": f"{AUDIENCE}-console",
        "lifetime": timedelta(minutes=2),
        "name": subject.title(),
    }
    return bearer(practice, subject=subject, **of_consoles | claims)


class Visitor:
    """Follows no redirect by itself: tests look at each answer."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self.session, self.url = session, url
        self.cookies: dict[str, str] = {}
        self.csrf = ""

    async def send(self, method: str, path: str, *, headers: dict[str, str] | None = None, **options: Any) -> Reply:
        sent = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items()), **(headers or {})}
        async with self.session.request(
            method, self.url + path, headers=sent, allow_redirects=False, **options
        ) as response:
            body = await response.read()
            for line in response.headers.getall("Set-Cookie", []):
                for name, morsel in SimpleCookie(line).items():
                    self.cookies[name] = morsel.value
            self.cookies = {name: value for name, value in self.cookies.items() if value}
            text = body if b"%PDF" in body[:8] else body.decode()
            return Reply(response.status, text, response.headers)

    async def get(self, path: str, **query: Any) -> Reply:
        reply = await self.send("GET", path, params={name: str(value) for name, value in query.items()})
        if isinstance(reply.body, str) and (found := re.search(r'name="csrf" content="([0-9a-f]+)"', reply.body)):
            self.csrf = found[1]
        return reply

    async def post(self, path: str, form: Any = None, **fields: Any) -> Reply:
        pairs = [("csrf", self.csrf), *(form or []), *((name, str(value)) for name, value in fields.items())]
        return await self.send("POST", path, data=aiohttp.FormData(pairs))

    async def arrive(self, token: str) -> Reply:
        """Post the token as the upstream app does."""
        reply = await self.send("POST", "/console/sign-in", data={"token": token})
        if found := re.search(r'name="csrf" value="([0-9a-f]+)"', reply.body):
            self.csrf = found[1]
        return reply

    async def sign_in(self, practice: str = "oak", **claims: Any) -> "Visitor":
        await self.arrive(sign_in_token(practice, **claims))
        reply = await self.post("/console/sign-in/continue")
        assert reply.status == 303, reply.body
        await self.get(reply.headers["Location"])
        return self

    def twin(self) -> "Visitor":
        """Another browser with the same session, which may lose its cookies or forge its token for itself alone."""
        other = Visitor(self.session, self.url)
        other.cookies, other.csrf = dict(self.cookies), self.csrf
        return other

    async def follow(self, reply: Reply) -> Reply:
        assert reply.status == 303, reply.body
        return await self.get(reply.headers["Location"])


class Console:
    """The running service: people to sign in, and its database."""

    def __init__(self, caller: Caller, session: aiohttp.ClientSession) -> None:
        self.caller, self._session = caller, session

    def visitor(self) -> Visitor:
        return Visitor(self._session, self.caller.url)

    async def person(self, practice: str = "oak", **claims: Any) -> Visitor:
        return await self.visitor().sign_in(practice, **claims)

    async def sql(self, statement: str, *parameters: Any) -> list[Any]:
        return await self.caller.sql(statement, *parameters)


@contextlib.asynccontextmanager
async def console(database_url: str) -> AsyncIterator[Console]:
    async with (
        submit_service(database_url) as caller,
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session,
    ):
        yield Console(caller, session)


def with_console(database_url: str, story: Callable[[Console], Awaitable[None]]) -> None:
    async def run() -> None:
        async with console(database_url) as open_console:
            await story(open_console)

    asyncio.run(run())


class Tell(Protocol):
    """Runs a story at a console to its end, and returns what it returned."""

    def __call__(self, story: Callable[[Console], Coroutine[Any, Any, T]], /) -> T: ...


@contextlib.contextmanager
def standing_console(database_url: str) -> Iterator[Tell]:
    """A console for many stories, one after the other. Its loop goes on between them, on a thread of its own."""
    loop, stack = asyncio.new_event_loop(), contextlib.AsyncExitStack()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    def run(work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, loop).result(_STORY_WITHIN_S)

    def tell(story: Callable[[Console], Coroutine[Any, Any, T]], /) -> T:
        return run(story(opened))

    opened = run(stack.enter_async_context(console(database_url)))
    try:
        yield tell
    finally:
        run(stack.aclose())
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def draft_with(visitor: Visitor, invoices: list[str], *, payment_number: str = "") -> str:
    """A draft that has these invoices (by number) selected; its path."""
    reply = await visitor.post("/console/drafts", payment_number=payment_number)
    path = reply.headers["Location"].removesuffix("/invoices")
    page = (await visitor.get(f"{path}/invoices", size=100)).body
    ids = [row_of(page, number) for number in invoices]
    await visitor.post(f"{path}/selection", [("op", "add"), *(("invoice", one) for one in ids)])
    return path


def row_of(page: str, number: str) -> str:
    """The id of the invoice with this number."""
    found = re.search(rf'value="([0-9a-f-]{{36}})"[^>]*aria-label="{re.escape(number)},', page)
    assert found, number
    return found[1]


def field_of(page: str, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', page)
    assert found, name
    return found[1]


async def submit(visitor: Visitor, draft: str) -> Reply:
    """Confirm what the page shows."""
    page = (await visitor.get(f"{draft}/confirm")).body
    return await visitor.post(
        f"{draft}/submit", count=field_of(page, "count"), total_minor=field_of(page, "total_minor")
    )
