"""A receiver of webhooks behind a real socket, that answers as it is told to."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NamedTuple

from aiohttp import web

Answer = Callable[["Got"], Awaitable[web.StreamResponse]]


class Got(NamedTuple):
    path: str
    headers: dict[str, str]
    body: str
    request: web.Request


class Receiver:
    """What came, in its order. `answer` may be replaced at any time."""

    def __init__(self) -> None:
        self.url = ""
        self.got: list[Got] = []
        self.answer: Answer = always(200)
        self._released = asyncio.Event()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        got = Got(request.path, headers, await request.text(), request)
        self.got.append(got)
        return await self.answer(got)

    async def hold(self, _got: Got) -> web.StreamResponse:
        """An answer that does not come before `release`."""
        await self._released.wait()
        return web.Response()

    def release(self) -> None:
        self._released.set()

    def at(self, path: str) -> list[Got]:
        return [one for one in self.got if one.path == path]


def always(status: int, **headers: str) -> Answer:
    async def answer(_got: Got) -> web.StreamResponse:
        return web.Response(status=status, headers=headers)

    return answer


def in_turn(*statuses: int) -> Answer:
    """Each status once, the last one for ever."""
    left = list(statuses)

    async def answer(_got: Got) -> web.StreamResponse:
        return web.Response(status=left.pop(0) if len(left) > 1 else left[0])

    return answer


@contextlib.asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", receiver.handle)
    runner: Any = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield receiver
    finally:
        receiver.release()
        await runner.cleanup()
