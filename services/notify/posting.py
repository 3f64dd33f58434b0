"""One webhook request: signed, to an address that is on the internet, bounded in time and in what is read."""

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from errno import EACCES
from http import HTTPStatus
from importlib.metadata import version
from typing import Any, Final, Literal

import aiohttp
import structlog
from standardwebhooks import Webhook

from shared.domain.delivering import webhook_id
from shared.domain.receivers import is_development, is_public, url_fault

# A receiver that works on the event before it answers has this long; it should answer first.
ANSWERED_WITHIN_S: Final = 15.0
CONNECTED_WITHIN_S: Final = 5.0
KEEP_ALIVE_S: Final = 30.0

_log = structlog.get_logger()

# How a request ended, in our own words: metrics and the list of deliveries show them.
Outcome = Literal["delivered", "gone", "refused", "redirected", "timeout", "unreachable", "address_refused"]


@dataclass(frozen=True, slots=True)
class Answer:
    """`status` is what the receiver answered, if it did."""

    outcome: Outcome
    status: int | None = None


class AddressRefusedError(OSError):
    """The receiver's name leads into our own network."""


def open_session(environment: str) -> aiohttp.ClientSession:
    """The connections to all receivers, without cookies and without proxies that the environment names."""

    def open_socket(info: Any) -> socket.socket:
        """The last gate before a connection: here the address is the one that is connected to, whatever a name says."""
        family, kind, protocol, _, address = info
        if not is_development(environment) and not is_public(str(address[0])):
            raise AddressRefusedError(EACCES, "not an address on the internet")
        return socket.socket(family, kind, protocol)

    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_S, socket_factory=open_socket),
        timeout=aiohttp.ClientTimeout(total=ANSWERED_WITHIN_S, sock_connect=CONNECTED_WITHIN_S),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": f"Batchpay/{version('batchpay')}", "Content-Type": "application/json"},
        trust_env=False,
        auto_decompress=False,
    )


async def post(
    session: aiohttp.ClientSession, *, environment: str, url: str, event_id: str, body: str, secrets: Sequence[str]
) -> Answer:
    """Send one event. Whatever the receiver does is an answer; nothing is raised. Redirects are not followed.

    Of the answer only the head counts. The rest is not waited for, so a receiver cannot fill our memory or our time.
    """
    if url_fault(url, environment=environment):
        return Answer("address_refused")
    headers = signed(event_id, body, secrets, now=datetime.now(UTC))
    try:
        async with session.post(url, data=body.encode(), headers=headers, allow_redirects=False) as response:
            return _judged(response.status)
    except TimeoutError:
        return Answer("timeout")
    except aiohttp.ClientConnectorError as error:
        return Answer("address_refused" if isinstance(error.os_error, AddressRefusedError) else "unreachable")
    except (aiohttp.ClientError, OSError, ValueError):
        return Answer("unreachable")
    except Exception:  # noqa: BLE001  # unrecorded, the request would be made again every minute, for ever
        _log.exception("webhook_request_failed", event_id=event_id)
        return Answer("unreachable")


def signed(event_id: str, body: str, secrets: Sequence[str], *, now: datetime) -> dict[str, str]:
    """The headers of Standard Webhooks, with a signature for each secret that is valid now."""
    name = webhook_id(event_id)
    return {
        "webhook-id": name,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(Webhook(secret).sign(name, now, body) for secret in secrets),
    }


def _judged(status: int) -> Answer:
    if 200 <= status < 300:
        return Answer("delivered", status)
    if status == HTTPStatus.GONE:
        return Answer("gone", status)
    return Answer("redirected" if 300 <= status < 400 else "refused", status)
