"""What a scripted behaviour makes of one understood ProtectPay request."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from aiohttp import web

from workers.simulators import faults
from workers.simulators.behaviour import Behaviour, Kind
from workers.simulators.clock import Clock
from workers.simulators.vantage.tables import DISGUISED, DUPLICATE, GATEWAY_TIMEOUT, HIDDEN_DECLINE, Switches

JSON = "application/json; charset=utf-8"
HTML = "text/html; charset=utf-8"
_IIS = {"Cache-Control": "private", "Server": "Microsoft-IIS/10.0", "X-Powered-By": "ASP.NET"}
_OK_HEADERS = {**_IIS, "Content-Type": JSON}
_BALANCER_PAGE = b"<html><head><title>Service Unavailable</title></head><body></body></html>"

Deed = Callable[[datetime], bytes]
Refusal = Callable[[int, datetime], bytes]


@dataclass(frozen=True, slots=True)
class Task:
    """`deed` does what was asked, `refuse` books and words a refusal, `pseudo` words an approval without money."""

    deed: Deed
    refuse: Refusal
    pseudo: Refusal


def answer(body: bytes) -> web.Response:
    return web.Response(body=body, headers=_OK_HEADERS)


def request_error(detail: str) -> web.Response:
    """What .NET answers to a body that it cannot deserialise: a page with a byte order mark."""
    page = (
        "\ufeff<!DOCTYPE html><html><head><title>Request Error</title></head><body>"
        f"<p>The server encountered an error processing the request: {detail}.</p></body></html>"
    )
    return web.Response(status=400, body=page.encode(), headers={**_IIS, "Content-Type": "text/html"})


def not_found() -> web.Response:
    return web.Response(status=404, text="<html><body>Endpoint not found.</body></html>", content_type="text/html")


async def perform(
    request: web.Request, behaviour: Behaviour, task: Task, clock: Clock, switches: Switches
) -> web.StreamResponse:
    """Execute or not, answer or not, as scripted."""
    match behaviour.kind:
        case Kind.HANG_BEFORE_EXECUTE:
            return await faults.hang(request)
        case Kind.RESET_BEFORE_EXECUTE:
            return faults.reset(request)
        case Kind.HTTP_500_BEFORE:
            return _balancer(500)
        case Kind.RATE_LIMITED:
            return web.Response(status=429, headers={"Retry-After": "1"})
        case Kind.EXECUTE_LATE:
            clock.later(timedelta(seconds=behaviour.number), lambda due: _discard(task.deed(due)))
            return faults.reset(request)
        case Kind.SLOW:
            await asyncio.sleep(behaviour.number / 1000)
            return answer(task.deed(clock.now()))
        case Kind.INTERNAL_TIMEOUT:
            if behaviour.argument == "executed":
                _discard(task.deed(clock.now()))
            await asyncio.sleep(switches.internal_timeout_s)
            return answer(task.refuse(GATEWAY_TIMEOUT, clock.now()))
        case _:
            return await _after(request, behaviour.kind, _body(behaviour, task, clock.now()))


def _body(behaviour: Behaviour, task: Task, now: datetime) -> bytes:
    """The answer of a request that gets through, with its effect."""
    match behaviour.kind:
        case Kind.DECLINE:
            return task.refuse(int(behaviour.argument), now)
        case Kind.PSEUDO_APPROVAL:
            return task.pseudo(int(behaviour.argument), now)
        case Kind.DUPLICATE:
            _discard(task.deed(now))
            return task.refuse(DUPLICATE, now)
        case Kind.GATEWAY:
            # Charged or not, the answer is the same code: only a lookup tells.
            _discard(task.deed(now) if behaviour.argument == "207_charged" else task.refuse(HIDDEN_DECLINE, now))
            return task.refuse(DISGUISED, now)
        case _:
            return task.deed(now)


async def _after(request: web.Request, kind: Kind, body: bytes) -> web.StreamResponse:
    match kind:
        case Kind.HANG_AFTER_EXECUTE:
            return await faults.hang(request)
        case Kind.RESET_AFTER_EXECUTE:
            return faults.reset(request)
        case Kind.HTTP_500_AFTER:
            return _balancer(500)
        case Kind.TRUNCATED_AFTER_EXECUTE:
            return await faults.truncate(request, body, JSON)
        case Kind.GARBLED_AFTER_EXECUTE:
            return answer(b"\x00\x1f\xff" + body[len(body) // 2 :])
        case Kind.HTML_AFTER_EXECUTE:
            return _balancer(200)
        case _:
            return answer(body)


def _balancer(status: int) -> web.Response:
    return web.Response(status=status, body=_BALANCER_PAGE, headers={"Content-Type": HTML})


def _discard(_answer: bytes) -> None:
    """The effect happened; its answer never leaves."""
