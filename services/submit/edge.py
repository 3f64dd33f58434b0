"""What happens to every request before it is looked at: it gets an id, and a body that is too long is refused."""

import re
from typing import Final
from uuid import uuid4

from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.submit.problems import problem_response

# 50,000 invoice ids of 60 characters are 3 MB.
MOST_BODY_BYTES: Final = 4 * 1024 * 1024
# 100,000 rows of 600 bytes. They are never in memory together.
MOST_PUSH_BYTES: Final = 64 * 1024 * 1024
_PUSHES: Final = "/v1/practices/"
_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")


class _TooLongError(Exception):
    """The body is longer than allowed."""


class Edge:
    """ASGI middleware. The id is the caller's `X-Request-Id` if it is a plain one, else a new one; it is sent back."""

    def __init__(self, app: ASGIApp, *, most_body_bytes: int = MOST_BODY_BYTES) -> None:
        self._app, self._most = app, most_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        given = headers.get(b"x-request-id", b"")
        scope["request_id"] = given.decode() if _REQUEST_ID.fullmatch(given) else uuid4().hex
        started, seen = False, 0
        pushes = scope["method"] == "PUT" and scope["path"].startswith(_PUSHES)
        most = MOST_PUSH_BYTES if pushes else self._most

        async def receiving() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > most:
                raise _TooLongError
            return message

        async def sending(message: Message) -> None:
            nonlocal started
            if seen > most and not started:
                raise _TooLongError  # who read the body took our first one for a broken request
            if message["type"] == "http.response.start":
                started = True
                MutableHeaders(scope=message)["X-Request-Id"] = scope["request_id"]
            await send(message)

        try:
            length = headers.get(b"content-length", b"0")
            if not length.isdigit() or int(length) > most:
                raise _TooLongError  # noqa: TRY301  # one answer for both ways to be too long
            await self._app(scope, receiving, sending)
        except _TooLongError:
            if started:
                raise
            seen = 0  # this answer may pass
            await _too_long(most, request_id=scope["request_id"])(scope, receive, sending)


def _too_long(most_bytes: int, *, request_id: str) -> Response:
    return problem_response(
        413,
        "body_too_large",
        f"A request may have {most_bytes} bytes. Nothing was done. Send fewer rows at a time; a batch may select all"
        " that match.",
        request_id=request_id,
        headers={"Connection": "close"},
    )
