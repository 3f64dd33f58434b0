"""One HTTP request to Vantage, at most once on the wire, with a deadline for all of it and a bounded answer."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import aiohttp
from yarl import URL

# aiohttp sends an idempotent request again when a kept connection turns out closed, and Vantage charges with PUT.
_RESENDS = "_retry_connection"
# Shorter than any server's idle limit that we know of: a connection closed under a request makes an Unknown.
_KEEP_ALIVE_S = 15.0


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete HTTP answer. `as_of` is the processor's own clock, if the answer told it."""

    status: int
    content_type: str
    body: bytes
    as_of: datetime | None


@dataclass(frozen=True, slots=True)
class Trouble:
    """No complete answer. `sent` is False only if provably no byte of the request left."""

    sent: bool
    code: str
    detail: str


class ResendGuardMissingError(RuntimeError):
    """aiohttp no longer has the switch that keeps it from resending a PUT; charging would not be safe."""


class Transport:
    """One reused session. It is made at the first request because it belongs to the running event loop."""

    def __init__(self, *, total_deadline: timedelta, connect_deadline: timedelta, connections: int) -> None:
        if _RESENDS not in aiohttp.ClientSession.ATTRS:
            raise ResendGuardMissingError(ResendGuardMissingError.__doc__)
        self._total_s = total_deadline.total_seconds()
        self._connect_s = connect_deadline.total_seconds()
        self._connections = connections
        self._session: aiohttp.ClientSession | None = None

    async def send(
        self, method: str, url: URL, *, headers: Mapping[str, str], body: bytes | None, limit_bytes: int
    ) -> Answer | Trouble:
        """Never raises for what the wire does; details carry no URL, because a report's holds the key."""
        try:
            async with asyncio.timeout(self._total_s):
                return await self._exchange(method, url, headers, body, limit_bytes)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            return Trouble(sent=False, code="not_connected", detail=type(error).__name__)
        except TimeoutError:
            return Trouble(sent=True, code="timeout", detail=f"no complete answer within {self._total_s:g} s")
        except Exception as error:  # noqa: BLE001 - whatever broke after the first byte, the charge may stand
            return Trouble(sent=True, code="connection_lost", detail=type(error).__name__)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _exchange(
        self, method: str, url: URL, headers: Mapping[str, str], body: bytes | None, limit_bytes: int
    ) -> Answer | Trouble:
        session = self._session or self._open()
        async with session.request(method, url, headers=headers, data=body, allow_redirects=False) as response:
            chunks = bytearray()
            async for chunk in response.content.iter_any():
                chunks += chunk
                if len(chunks) > limit_bytes:
                    response.close()
                    return Trouble(sent=True, code="answer_too_large", detail=f"more than {limit_bytes} bytes")
            return Answer(response.status, response.content_type, bytes(chunks), _moment(response.headers.get("Date")))

    def _open(self) -> aiohttp.ClientSession:
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._connections, keepalive_timeout=_KEEP_ALIVE_S),
            timeout=aiohttp.ClientTimeout(total=None, connect=self._connect_s),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
        )
        setattr(session, _RESENDS, False)
        self._session = session
        return session


def _moment(text: str | None) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text or "")
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
