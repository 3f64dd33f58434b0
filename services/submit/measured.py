"""How long requests take, for the metrics: nothing of what they ask or who asks."""

import time
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.telemetry.metrics import HTTP_REQUEST_SECONDS

# A caller may invent methods; a label for each would grow for ever.
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Measured:
    """ASGI middleware. A request is over when its answer begins: a live stream has no end of its own."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began_s = time.perf_counter()
        method = scope["method"] if scope["method"] in _METHODS else "other"

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                HTTP_REQUEST_SECONDS.labels(method, message["status"]).observe(time.perf_counter() - began_s)
            await send(message)

        await self._app(scope, receive, sending)
