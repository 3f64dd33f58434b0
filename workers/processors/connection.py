"""One HTTP/1.1 connection to a processor: a request at a time, and its answer or why there is none.

The parsing is llhttp's, as in Node.js.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

HEAD_LIMIT_BYTES: Final = 64 * 1024


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


class Connection(asyncio.Protocol):
    """One connection with one request at a time. Any trouble closes it for good."""

    def __init__(self) -> None:
        self.idle_since_s = 0.0
        self.is_open = False
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._parser = HttpResponseParser(self)
        self._tell: Callable[[Answer | Trouble], None] | None = None
        self._answer: Answer | Trouble | None = None
        self._most_bytes = 0
        self._head_left = 0

    def ask(self, request: bytes, tell: Callable[[Answer | Trouble], None], *, limit_bytes: int) -> None:
        """Write the request; `tell` is called once with its answer, unless the connection is aborted before."""
        self._tell, self._answer = tell, None
        self._most_bytes = limit_bytes
        self._begin()
        self._transport.write(request)

    def expire(self) -> None:
        """The answer has taken too long."""
        self._break("timeout", "no complete answer within the deadline")
        self._deliver()

    def abort(self) -> None:
        """Close at once; whatever was asked is not answered."""
        self._tell = None
        self._close()

    # --- asyncio's callbacks ------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's is one in all but its class.
        self._transport, self.is_open = cast("asyncio.Transport", transport), True

    def data_received(self, data: bytes) -> None:
        if self._tell is None:
            # Nothing was asked: whatever this is, the next answer could be confused with it.
            self._close()
            return
        self._read(data)
        # Only now: what else came with the answer has closed the connection, which must not carry another request.
        self._deliver()

    def _read(self, data: bytes) -> None:
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
        if self._tell and self._headed and not self._framed:
            self._complete()
            self._deliver()

    def connection_lost(self, exc: Exception | None) -> None:
        self._break("connection_broken", type(exc).__name__ if exc else "closed by the processor")
        self._deliver()

    # --- llhttp's callbacks -------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self._begin()
        if self._answer is not None:
            # A second answer to one request.
            self._close()

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
        if self._answer is not None:
            return
        self._answer = Answer(self._parser.get_status_code(), self._headers, b"".join(self._parts))
        if not self._framed or not self._parser.should_keep_alive():
            self._close()

    def _break(self, code: str, detail: str) -> None:
        self._answer = self._answer or Trouble(sent=True, code=code, detail=detail)
        self._close()

    def _close(self) -> None:
        self.is_open = False
        self._transport.abort()

    def _deliver(self) -> None:
        """Tell the answer, if it is there and somebody waits for it."""
        if self._tell and self._answer:
            tell, self._tell = self._tell, None
            self.idle_since_s = self._loop.time()
            tell(self._answer)
