"""The simulated Stripe's wire: callers, idempotency keys and trouble on the way."""

import asyncio
import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from email.utils import format_datetime

from aiohttp import web

from workers.simulators.behaviour import Behaviour, Kind
from workers.simulators.core import Core
from workers.simulators.faults import hang, reset, truncate
from workers.simulators.stripe.book import Book
from workers.simulators.stripe.errors import (
    Answer,
    internal,
    key_in_use,
    key_mismatch,
    no_access,
    rate_limited,
    unauthorized,
)
from workers.simulators.stripe.idempotency import Key, Keys
from workers.simulators.stripe.requests import fingerprint, read_form

CONTENT_TYPE = "application/json"
RETRY_AFTER_S = 1
_HTML = b"<html><head><title>502 Bad Gateway</title></head><body>Bad Gateway</body></html>"
_GARBLED = b'{"id": "pi_", "object": "payment_int\x00'


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: the connected account and the idempotency key (empty for none); `form` is what it sent or queries."""

    account: str
    key: str
    mark: str
    form: Mapping[str, str]

    @property
    def slot(self) -> Key | None:
        return (self.account, self.key) if self.key else None


class Wire:
    """One request from its first byte to its answer. `refused_accounts` revoked their access (a control event)."""

    def __init__(self, core: Core, keys: Keys, book: Book) -> None:
        self.core = core
        self.keys = keys
        self.book = book
        self.refused_accounts: set[str] = set()

    async def enter(self, request: web.Request) -> Caller | web.Response:
        """Read, authenticate, replay: a Response is the whole answer already."""
        body = await self.core.receive(request)
        _, _, api_key = request.headers.get("Authorization", "").partition(" ")
        if not api_key.startswith(("sk_test_", "sk_live_", "rk_test_", "rk_live_")):
            return self.respond(unauthorized(api_key))
        account = request.headers.get("Stripe-Account", "")
        if not account.startswith("acct_") or account in self.refused_accounts:
            return self.respond(no_access(account))
        if request.method == "GET":
            return Caller(account, "", "", request.query)
        key, mark = request.headers.get("Idempotency-Key", ""), fingerprint(request.path, body)
        caller = Caller(account, key, mark, read_form(body))
        return self._replay(caller) or caller

    async def perform(
        self, request: web.Request, caller: Caller, behaviour: Behaviour, execute: Callable[[], Answer]
    ) -> web.StreamResponse:
        """Execute with the trouble that `behaviour` asks for, before or after."""
        before = await self._before(request, caller, behaviour, execute)
        if before is not None:
            return before
        answer = execute()
        if behaviour.kind is Kind.HTTP_500_AFTER:
            answer = internal()
        body = self._keep(caller, answer)
        match behaviour.kind:
            case Kind.HANG_AFTER_EXECUTE:
                return await hang(request)
            case Kind.RESET_AFTER_EXECUTE:
                return reset(request)
            case Kind.TRUNCATED_AFTER_EXECUTE:
                return await truncate(request, body, CONTENT_TYPE)
            case Kind.GARBLED_AFTER_EXECUTE:
                return self._bytes(200, _GARBLED)
            case Kind.HTML_AFTER_EXECUTE:
                return web.Response(status=200, body=_HTML, content_type="text/html")
            case _:
                return self._bytes(answer.status, body)

    def respond(self, answer: Answer) -> web.Response:
        response = self._bytes(answer.status, json.dumps(answer.body).encode())
        if answer.status == 429:
            response.headers["Retry-After"] = str(RETRY_AFTER_S)
        return response

    def _replay(self, caller: Caller) -> web.Response | None:
        if caller.slot is None:
            return None
        if self.keys.used_by(caller.slot) is not None:
            return self.respond(key_in_use(caller.key))
        kept = self.keys.find(caller.slot)
        if kept is None:
            return None
        if kept.fingerprint != caller.mark:
            return self.respond(key_mismatch(caller.key))
        response = self._bytes(kept.status, kept.body)
        response.headers["Idempotent-Replayed"] = "true"
        return response

    async def _before(
        self, request: web.Request, caller: Caller, behaviour: Behaviour, execute: Callable[[], Answer]
    ) -> web.StreamResponse | None:
        match behaviour.kind:
            case Kind.RATE_LIMITED:
                return self.respond(rate_limited())
            case Kind.SLOW:
                await self._work(caller, behaviour.number / 1000)
                return None
            case Kind.HANG_BEFORE_EXECUTE if self._loses(caller):
                return await hang(request)
            case Kind.RESET_BEFORE_EXECUTE if self._loses(caller):
                return reset(request)
            case Kind.HTTP_500_BEFORE:
                answer = internal()
                return self._bytes(answer.status, self._keep(caller, answer))
            case Kind.EXECUTE_LATE:
                self._later(caller, timedelta(seconds=behaviour.number), execute)
                return reset(request)
            case Kind.GATEWAY | Kind.PSEUDO_APPROVAL | Kind.DUPLICATE | Kind.INTERNAL_TIMEOUT:
                return self.respond(internal(f"the behaviour {behaviour.text} is none of Stripe's"))
            case _:
                return None

    def _loses(self, caller: Caller) -> bool:
        return caller.slot is None or self.keys.lose_first_send(caller.slot)

    async def _work(self, caller: Caller, seconds: float) -> None:
        if caller.slot is None:
            await asyncio.sleep(seconds)
            return
        self.keys.begin(caller.slot, caller.mark)
        try:
            await asyncio.sleep(seconds)
        finally:
            self.keys.end(caller.slot)

    def _later(self, caller: Caller, delay: timedelta, execute: Callable[[], Answer]) -> None:
        """The request sits in a queue at Stripe: its key is in use until it executes."""
        if caller.slot is not None:
            self.keys.begin(caller.slot, caller.mark)

        def deed(_due: object) -> None:
            if caller.slot is not None:
                self.keys.end(caller.slot)
            self._keep(caller, execute())

        self.core.clock.later(delay, deed)

    def _keep(self, caller: Caller, answer: Answer) -> bytes:
        body = json.dumps(answer.body).encode()
        if answer.stored and caller.slot is not None:
            self.keys.keep(caller.slot, caller.mark, answer.status, body)
        return body

    def _bytes(self, status: int, body: bytes) -> web.Response:
        headers = {
            "Date": format_datetime(self.core.clock.now(), usegmt=True),
            "Request-Id": f"req_{secrets.token_hex(7)}",
        }
        return web.Response(status=status, body=body, headers=headers, content_type=CONTENT_TYPE)
