"""Stripe's webhooks: events signed as Stripe signs them, posted to one URL, retried while it does not answer 2xx."""

import asyncio
import hashlib
import hmac
import json
import secrets
import time
from collections import deque
from collections.abc import Mapping
from typing import Any

import aiohttp

from workers.simulators.clock import Clock

# Stripe retries for days. Here a receiver that stays down that long is a failed test.
ATTEMPTS = 8
FIRST_PAUSE_S = 0.1
ANSWER_TIMEOUT_S = 10
EVENTS_KEPT = 10_000
API_VERSION = "2026-01-28"


def signature(payload: bytes, secret: str, signed_at: int) -> str:
    """The `Stripe-Signature` header of a payload."""
    digest = hmac.new(secret.encode(), f"{signed_at}.".encode() + payload, hashlib.sha256).hexdigest()
    return f"t={signed_at},v1={digest}"


class Webhooks:
    """Events are made only while a receiver is set; deliveries run beside the requests that cause them."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._url = ""
        self._secret = ""
        self._sent: deque[bytes] = deque(maxlen=EVENTS_KEPT)
        self._deliveries: set[asyncio.Task[None]] = set()
        self._session: aiohttp.ClientSession | None = None

    def receiver(self, url: str, secret: str) -> None:
        """Where events go from now on; an empty URL stops them."""
        self._url, self._secret = url, secret

    def announce(self, event_type: str, account: str, body: Mapping[str, Any]) -> None:
        if not self._url:
            return
        event = {
            "id": f"evt_{secrets.token_hex(12)}",
            "object": "event",
            "account": account,
            "api_version": API_VERSION,
            "created": int(self._clock.now().timestamp()),
            "data": {"object": body},
            "livemode": False,
            "pending_webhooks": 1,
            "request": {"id": None, "idempotency_key": None},
            "type": event_type,
        }
        payload = json.dumps(event).encode()
        self._sent.append(payload)
        self._start(payload)

    def redeliver(self) -> int:
        """Send everything again, newest first: receivers must bear repetition and any order."""
        for payload in reversed(self._sent):
            self._start(payload)
        return len(self._sent)

    def clear(self) -> None:
        self.receiver("", "")
        self._sent.clear()

    async def close(self) -> None:
        for delivery in self._deliveries:
            delivery.cancel()
        await asyncio.gather(*self._deliveries, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    def _start(self, payload: bytes) -> None:
        delivery = asyncio.get_running_loop().create_task(self._deliver(self._url, self._secret, payload))
        self._deliveries.add(delivery)
        delivery.add_done_callback(self._deliveries.discard)

    async def _deliver(self, url: str, secret: str, payload: bytes) -> None:
        for attempt in range(ATTEMPTS):
            if await self._post(url, secret, payload):
                return
            await asyncio.sleep(FIRST_PAUSE_S * 2**attempt)

    async def _post(self, url: str, secret: str, payload: bytes) -> bool:
        session = self._session = self._session or aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=ANSWER_TIMEOUT_S)
        )
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            # Signed by the real clock: receivers refuse what is older than five minutes by theirs.
            "Stripe-Signature": signature(payload, secret, int(time.time())),
        }
        try:
            async with session.post(url, data=payload, headers=headers) as response:
                return 200 <= response.status < 300
        except (aiohttp.ClientError, TimeoutError):
            return False
