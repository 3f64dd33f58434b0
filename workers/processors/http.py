"""HTTP/1.1 to a processor: one call puts at most one request on the wire, and bounds its answer in time and size.

General clients resend: aiohttp repeats a PUT, which is how Vantage charges, when a kept connection turns out closed,
and has only a private switch against it. Here nothing is ever written twice, and what is not known is said. It costs a
quarter of such a client, which was two fifths of a worker's time.
"""

import asyncio
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from urllib.parse import urlsplit

from workers.processors.connection import Answer, Connection, Trouble
from workers.processors.departure import AT_ONCE, Departure
from workers.turns import Turns, Waiting

# Shorter than any server's idle limit that we know of: a connection closed under a request makes an Unknown.
KEEP_ALIVE_S: Final = 15.0
# For so many connections there may be one more for what goes first. Requests leave in groups, so their answers come in
# bursts: what goes first would wait for the next burst.
_OTHERS_FOR_ONE_FIRST: Final = 8

_UNSAFE_TARGET: Final = re.compile(r"[^\x21-\x7e]")
_UNSAFE_HEADER: Final = re.compile(r"[^\t\x20-\x7e\x80-\xff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """`connect` bounds the wait for a connection, and the making of one; `total` what follows from the first byte on.

    At most `connections` are at work at once, and an eighth more for what goes first.
    """

    connections: int
    total: timedelta
    connect: timedelta


class HttpClient:
    """Kept connections to one host. Belongs to the event loop that first uses it."""

    def __init__(
        self, base_url: str, limits: Limits, *, named_by: re.Pattern[bytes], tls: ssl.SSLContext | None = None
    ) -> None:
        """Every target is appended to `base_url`. `tls` replaces the system's certificates; http has no use for it.

        `named_by` is found in each success (200) that names what it is about. Any other answer ends its connection: if
        a broken server or proxy sends it twice, its copy would be taken for the answer to the request that follows.
        """
        parts = urlsplit(base_url)
        if parts.scheme not in {"http", "https"} or parts.hostname is None:
            raise ValueError(f"a base URL is http:// or https://, a host and perhaps a path, got {base_url!r}")
        self._path = parts.path.rstrip("/")
        self._secure = parts.scheme == "https"
        self._host, self._port = parts.hostname, parts.port or (443 if self._secure else 80)
        self._host_line = f"Host: {parts.netloc.rpartition('@')[2]}\r\n"
        self._named_by = named_by
        self._tls = (tls or ssl.create_default_context()) if self._secure else None
        self.total_s, self.connect_s = limits.total.total_seconds(), limits.connect.total_seconds()
        self.turns = Turns(limits.connections, beyond=limits.connections // _OTHERS_FOR_ONE_FIRST)
        self._idle: list[Connection] = []

    async def send(
        self,
        method: str,
        target: str,
        *,
        headers: Mapping[str, str],
        body: bytes | None = None,
        limit_bytes: int,
        departure: Departure = AT_ONCE,
    ) -> Answer | Trouble:
        """Send once. Never raises for what the wire does; `limit_bytes` bounds the answer, its headers included.

        Details carry no target, because it may hold a key.
        """
        try:
            request = self._request(method, target, headers, body)
        except ValueError as error:
            return Trouble(sent=False, code="unsendable", detail=str(error))
        return await _Exchange(self, request, limit_bytes, departure).result()

    def close(self) -> None:
        while self._idle:
            self._idle.pop().abort()

    def kept(self) -> Connection | None:
        """The connection used last that is still good. The others close by age, or because the server closes them."""
        oldest_s = asyncio.get_running_loop().time() - KEEP_ALIVE_S
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open and connection.idle_since_s > oldest_s:
                return connection
            connection.abort()
        return None

    def keep(self, connection: Connection) -> None:
        """For the next request, unless something closed it."""
        if connection.is_open:
            self._idle.append(connection)

    def names_its_request(self, answer: Answer | Trouble) -> bool:
        return isinstance(answer, Answer) and answer.status == 200 and self._named_by.search(answer.body) is not None

    async def connect(self) -> Connection:
        """Raises OSError, of which TimeoutError is one, or UnicodeError for a name that is none."""
        async with asyncio.timeout(self.connect_s):
            _, connection = await asyncio.get_running_loop().create_connection(
                Connection, self._host, self._port, ssl=self._tls
            )
        if not connection.is_open:
            raise ConnectionError("closed as soon as it was made")
        return connection

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


class _Exchange:
    """One request on its way: its turn, a connection, the last check, the first byte, the answer.

    Each step calls the next. Whoever's answer comes passes the turn on, so that the next request is on the wire before
    the event loop does anything else.
    """

    def __init__(self, client: HttpClient, request: bytes, limit_bytes: int, departure: Departure) -> None:
        self._client = client
        self._request, self._limit_bytes = request, limit_bytes
        self._departure = departure
        self._loop = asyncio.get_running_loop()
        self._result: asyncio.Future[Answer | Trouble] = self._loop.create_future()
        self._has_turn = False
        self._connecting: asyncio.Task[Connection] | None = None
        self._connection: Connection | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def result(self) -> Answer | Trouble:
        waiting = self._client.turns.take(self._begin, first=self._departure.first)
        if waiting:
            self._timer = self._loop.call_later(self._client.connect_s, self._waited_too_long, waiting)
        try:
            return await self._result
        except asyncio.CancelledError:
            self._abandon(waiting)
            raise

    def _begin(self) -> None:
        self._has_turn = True
        connection = self._client.kept()
        if connection:
            self._leave(connection)
        else:
            self._connecting = self._loop.create_task(self._client.connect())
            self._connecting.add_done_callback(self._connected)

    def _connected(self, connecting: asyncio.Task[Connection]) -> None:
        if connecting.cancelled():
            return
        error = connecting.exception()
        if isinstance(error, OSError | UnicodeError):
            self._end(Trouble(sent=False, code="not_connected", detail=type(error).__name__))
        elif error:
            self._fail(error)
        else:
            self._leave(connecting.result())

    def _leave(self, connection: Connection) -> None:
        try:
            self._depart(connection)
        except Exception as error:  # noqa: BLE001  # a bug here must not become that of the one whose turn has ended
            connection.abort()
            self._fail(error)

    def _depart(self, connection: Connection) -> None:
        # Whoever was cancelled in this moment does not know it yet.
        if self._result.cancelled() or not self._departure.may_go():
            self._client.keep(connection)
            # Not within this call: everybody who waits may be kept back, each within the one before.
            self._loop.call_soon(self._end, Trouble(sent=False, code="kept_back", detail="it may not be sent any more"))
            return
        self._stop_timer()
        self._timer = self._loop.call_later(self._client.total_s, connection.expire)
        self._connection = connection
        connection.ask(self._request, self._answered, limit_bytes=self._limit_bytes)

    def _answered(self, answer: Answer | Trouble) -> None:
        assert self._connection
        if self._client.names_its_request(answer):
            self._client.keep(self._connection)
        else:
            self._connection.abort()
        self._end(answer)

    def _waited_too_long(self, waiting: Waiting) -> None:
        if not self._has_turn:
            waiting.give_up()
            self._end(Trouble(sent=False, code="not_connected", detail="no connection fell free"))

    def _abandon(self, waiting: Waiting | None) -> None:
        """Whoever wanted the answer was cancelled."""
        if waiting:
            waiting.give_up()
        if self._connecting:
            self._connecting.cancel()
        if self._connection and self._has_turn:
            self._connection.abort()
        self._pass_on()

    def _end(self, result: Answer | Trouble) -> None:
        self._pass_on()
        if not self._result.done():
            self._result.set_result(result)

    def _fail(self, error: BaseException) -> None:
        self._pass_on()
        if not self._result.done():
            self._result.set_exception(error)

    def _pass_on(self) -> None:
        self._stop_timer()
        if self._has_turn:
            self._has_turn = False
            self._client.turns.pass_on()

    def _stop_timer(self) -> None:
        if self._timer:
            self._timer.cancel()
