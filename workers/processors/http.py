"""HTTP/1.1 to a processor: one call puts at most one request on the wire, under one deadline, and bounds its answer.

General clients resend: aiohttp repeats a PUT, which is how Vantage charges, when a kept connection turns out closed,
and has only a private switch against it. Here nothing is ever written twice, and what is not known is said. It costs a
quarter of such a client, which was two fifths of a worker's time. The parsing is llhttp's, as in Node.js.
"""

import asyncio
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final, cast
from urllib.parse import urlsplit

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from workers.clock import elapsed_s

# Shorter than any server's idle limit that we know of: a connection closed under a request makes an Unknown.
KEEP_ALIVE_S: Final = 15.0
HEAD_LIMIT_BYTES: Final = 64 * 1024

_UNSAFE_TARGET: Final = re.compile(r"[^\x21-\x7e]")
_UNSAFE_HEADER: Final = re.compile(r"[^\t\x20-\x7e\x80-\xff]")


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete answer; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def content_type(self) -> str:
        """The media type without its parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def as_of(self) -> datetime | None:
        """The processor's own clock, if the answer told it."""
        try:
            moment = parsedate_to_datetime(self.headers.get("date", ""))
        except ValueError:
            return None
        return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Trouble:
    """No complete answer. `sent` is False only if provably no byte of the request left."""

    sent: bool
    code: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """`total` bounds the whole call, `connect` the making of a connection, `connections` those open at once."""

    connections: int
    total: timedelta
    connect: timedelta


class HttpClient:
    """Kept connections to one host. Belongs to the event loop that first uses it."""

    def __init__(self, base_url: str, limits: Limits, *, tls: ssl.SSLContext | None = None) -> None:
        """Every target is appended to `base_url`. `tls` replaces the system's certificates; http has no use for it."""
        parts = urlsplit(base_url)
        if parts.scheme not in {"http", "https"} or parts.hostname is None:
            raise ValueError(f"a base URL is http:// or https://, a host and perhaps a path, got {base_url!r}")
        self._path = parts.path.rstrip("/")
        self._secure = parts.scheme == "https"
        self._host, self._port = parts.hostname, parts.port or (443 if self._secure else 80)
        self._host_line = f"Host: {parts.netloc.rpartition('@')[2]}\r\n"
        self._tls = (tls or ssl.create_default_context()) if self._secure else None
        self._total_s, self._connect_s = limits.total.total_seconds(), limits.connect.total_seconds()
        self._room = asyncio.Semaphore(limits.connections)
        self._idle: list[_Connection] = []

    async def send(
        self, method: str, target: str, *, headers: Mapping[str, str], body: bytes | None = None, limit_bytes: int
    ) -> Answer | Trouble:
        """Send once. Never raises for what the wire does; `limit_bytes` bounds the answer, its headers included.

        Details carry no target, because it may hold a key.
        """
        try:
            request = self._request(method, target, headers, body)
        except ValueError as error:
            return Trouble(sent=False, code="unsendable", detail=str(error))
        began_s, now_s = elapsed_s(), asyncio.get_running_loop().time()
        try:
            connection = await self._connection(now_s + self._connect_s)
        except (OSError, UnicodeError) as error:
            return Trouble(sent=False, code="not_connected", detail=type(error).__name__)
        try:
            # A process that was stopped while it waited goes on here without its timer having been asked.
            if elapsed_s() - began_s > self._connect_s:
                return Trouble(sent=False, code="not_connected", detail="connected too late")
            return await connection.exchange(request, deadline_s=now_s + self._total_s, limit_bytes=limit_bytes)
        finally:
            if connection.is_open:
                self._idle.append(connection)
            self._room.release()

    def close(self) -> None:
        while self._idle:
            self._idle.pop().abort()

    def _request(self, method: str, target: str, headers: Mapping[str, str], body: bytes | None) -> bytes:
        """Raises ValueError for what would be another request than the one that was meant."""
        target = self._path + target
        if _UNSAFE_TARGET.search(target):
            raise ValueError("the target is not encoded")
        lines = [f"{method} {target or '/'} HTTP/1.1\r\n", self._host_line]
        for name, value in headers.items():
            if _UNSAFE_HEADER.search(value):
                raise ValueError(f"the header {name} has a character that no header may have")
            lines.append(f"{name}: {value}\r\n")
        if body is None:
            return ("".join(lines) + "\r\n").encode("latin-1")
        return f"{''.join(lines)}Content-Length: {len(body)}\r\n\r\n".encode("latin-1") + body

    async def _connection(self, until_s: float) -> "_Connection":
        """A connection, and its room: the caller releases it. Raises OSError, of which TimeoutError is one, or
        UnicodeError for a name that is none.
        """
        if self._room.locked():
            async with asyncio.timeout_at(until_s):
                await self._room.acquire()
        else:
            await self._room.acquire()
        try:
            return self._kept() or await self._connect(until_s)
        except BaseException:
            self._room.release()
            raise

    def _kept(self) -> "_Connection | None":
        """The connection used last that is still good. The others close by age, or because the server closes them."""
        oldest_s = asyncio.get_running_loop().time() - KEEP_ALIVE_S
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open and connection.idle_since_s > oldest_s:
                return connection
            connection.abort()
        return None

    async def _connect(self, until_s: float) -> "_Connection":
        async with asyncio.timeout_at(until_s):
            _, connection = await asyncio.get_running_loop().create_connection(
                _Connection, self._host, self._port, ssl=self._tls
            )
        if not connection.is_open:
            raise ConnectionError("closed as soon as it was made")
        return connection


class _Connection(asyncio.Protocol):
    """One connection with one exchange at a time. Any trouble closes it for good."""

    def __init__(self) -> None:
        self.idle_since_s = 0.0
        self.is_open = False
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._parser = HttpResponseParser(self)
        self._answer: asyncio.Future[Answer | Trouble] | None = None
        self._most_bytes = 0
        self._head_left = 0

    async def exchange(self, request: bytes, *, deadline_s: float, limit_bytes: int) -> Answer | Trouble:
        """Write the request and wait for its answer."""
        self._answer = answer = self._loop.create_future()
        self._most_bytes = limit_bytes
        self._begin()
        timer = self._loop.call_at(deadline_s, self._break, "timeout", "no complete answer within the deadline")
        self._transport.write(request)
        try:
            return await answer  # type: ignore[no-any-return]  # what the future is declared to hold
        finally:
            timer.cancel()
            self._answer = None
            self.idle_since_s = self._loop.time()
            if answer.cancelled():
                self.abort()

    def abort(self) -> None:
        self.is_open = False
        self._transport.abort()

    # --- asyncio's callbacks ------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's is one in all but its class.
        self._transport, self.is_open = cast("asyncio.Transport", transport), True

    def data_received(self, data: bytes) -> None:
        if self._answer is None:
            # Nothing was asked: whatever this is, the next answer could be confused with it.
            self.abort()
            return
        self._most_bytes -= len(data)
        if self._most_bytes < 0:
            self._break("answer_too_large", "more than an answer may have")
            return
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            self._break("answer_unreadable", type(error).__name__)
        self._head_left = self._head_left if self._headed else self._head_left - len(data)
        if self._head_left < 0:
            self._break("answer_too_large", "more headers than an answer may have")

    def eof_received(self) -> None:
        """An answer without a length ends where the connection ends."""
        self.is_open = False
        if self._headed and not self._framed:
            self._complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._break("connection_broken", type(exc).__name__ if exc else "closed by the processor")

    # --- llhttp's callbacks -------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self._begin()
        if self._answer is None or self._answer.done():
            # A second answer to one request.
            self.abort()

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self._headed = True
        self._framed = "content-length" in self._headers or "transfer-encoding" in self._headers

    def on_body(self, part: bytes) -> None:
        self._parts.append(part)

    def on_message_complete(self) -> None:
        # After an interim answer the one that counts follows.
        if self._parser.get_status_code() >= 200:
            self._complete()

    # ------------------------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        self._headers: dict[str, str] = {}
        self._parts: list[bytes] = []
        self._headed = self._framed = False
        self._head_left = HEAD_LIMIT_BYTES

    def _complete(self) -> None:
        if self._answer is None or self._answer.done():
            return
        self._answer.set_result(Answer(self._parser.get_status_code(), self._headers, b"".join(self._parts)))
        if not self._framed or not self._parser.should_keep_alive():
            self.abort()

    def _break(self, code: str, detail: str) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(Trouble(sent=True, code=code, detail=detail))
        self.abort()
