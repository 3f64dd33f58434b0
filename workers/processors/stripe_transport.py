"""The HTTP connection under the Stripe SDK: one call, one request, one deadline; its failures say what is known.

The SDK's own aiohttp client is not used because it reads the body outside of its error handling (a truncated answer
escapes as a raw aiohttp error), follows redirects, bounds neither the body nor the whole call, and opens at most 100
connections whatever is in flight.
"""

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

import aiohttp

# Four pages' worth of the largest list that we ask for; a longer answer is not one of Stripe's.
MAX_BODY_BYTES = 8 * 1024 * 1024
# Stripe keeps idle connections for minutes. Giving them up earlier makes "closed just as we sent" rare.
KEEP_ALIVE_S = 20
# What the adapter reads. Leaving out the rest spares the SDK its dashboard links and its `Stripe-Notice` warnings,
# which would be raised as exceptions after the charge wherever warnings are errors.
KEPT_HEADERS = ("date", "request-id", "retry-after")


class NeverSentError(Exception):
    """No byte of the request left this process: the connection was not made."""


class InterruptedSendError(Exception):
    """The request may have been received: the connection or the deadline broke after it was made."""

    def __init__(self, code: str, cause: BaseException | None = None) -> None:
        super().__init__(f"{code}: {type(cause).__name__}" if cause else code)
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class TransportLimits:
    """`total` bounds the whole call, a dripping answer included; `read` one silence; `connect` pool and handshake."""

    connections: int
    total: timedelta
    read: timedelta
    connect: timedelta


class Transport:
    """Kept-alive connections to one host. The session is made on first use because it belongs to the running loop."""

    def __init__(self, limits: TransportLimits, *, tls: ssl.SSLContext | None) -> None:
        self._limits = limits
        self._tls = tls
        self._session: aiohttp.ClientSession | None = None

    async def request(
        self, method: str, url: str, headers: Mapping[str, str], body: str | None
    ) -> tuple[bytes, int, dict[str, str]]:
        """Send once and return (body, status, kept headers in lower case).

        Raises NeverSentError and InterruptedSendError, nothing else.
        """
        try:
            async with asyncio.timeout(self._limits.total.total_seconds()):
                return await self._exchange(method, url, headers, body)
        # These two come only from aiohttp's connector, which hands out a connection before anything is written to it:
        # refused, no such name, failed TLS handshake, not connected in time.
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise NeverSentError(type(error).__name__) from error
        except TimeoutError as error:
            raise InterruptedSendError("timeout", error) from error
        except (aiohttp.ClientError, OSError) as error:
            raise InterruptedSendError("connection_broken", error) from error

    async def _exchange(
        self, method: str, url: str, headers: Mapping[str, str], body: str | None
    ) -> tuple[bytes, int, dict[str, str]]:
        session = self._session or self._open()
        data = None if body is None else body.encode()
        async with session.request(method, url, headers=headers, data=data, allow_redirects=False) as response:
            content = await _bounded(response)
            kept = {name: value for name in KEPT_HEADERS if (value := response.headers.get(name)) is not None}
            return content, response.status, kept

    def _open(self) -> aiohttp.ClientSession:
        limits = self._limits
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=limits.connections,
                keepalive_timeout=KEEP_ALIVE_S,
                ssl=self._tls if self._tls is not None else True,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(
                total=None, connect=limits.connect.total_seconds(), sock_read=limits.read.total_seconds()
            ),
            skip_auto_headers=("Accept", "Accept-Encoding"),
            trust_env=False,
        )
        # aiohttp repeats idempotent methods after a broken connection. A POST is none, so no charge is ever repeated;
        # this makes it true for every method. A test counts requests and fails if the attribute moves.
        session._retry_connection = False  # noqa: SLF001
        self._session = session
        return session

    async def close(self) -> None:
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    content = response.content
    body = await content.readany()
    if content.at_eof():
        return body
    chunks = [body]
    size = len(body)
    while chunk := await content.readany():
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            raise InterruptedSendError("answer_too_long")
        chunks.append(chunk)
    return b"".join(chunks)
