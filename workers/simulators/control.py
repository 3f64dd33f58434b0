"""The control interface under /_control, the same for every simulator.

| route | body | effect |
|---|---|---|
| GET health | | name, clock, sizes |
| GET ledger?account=&reference= | | money facts, oldest first, with executions per reference |
| GET clock, POST clock | `{"advance_s": 3600}` or `{"set": "2026-03-06T21:59:00+00:00"}` | moves the clock |
| PUT behaviours | list of `{account, payer, token, behaviour}` | kept over a restart |
| POST script | list of `{behaviour, operation?, account?, token?, times?}` | one-shot, wins over the vault |
| GET requests | | raw log, credentials masked |
| POST reset | | forget all that happened |
| POST faults | `{"event": ...}` | out-of-band events of this processor |
"""

import json
import re
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

from aiohttp import web

from workers.simulators.behaviour import Behaviour
from workers.simulators.core import Core, Received
from workers.simulators.ledger import Move
from workers.simulators.vault import Method, Script

_SECRET_HEADERS = frozenset({"authorization", "x509certificate", "cookie"})
_SECRETS = re.compile(r"(?i)(?<=[?&]key=)[^&\s]+|(?<=<certStr>)[^<]+|(?<=sk_test_)\w+|(?<=whsec_)\w+")
_MASK = "***"

_Route = Callable[[Core, web.Request], Awaitable[web.Response]]


def mount(app: web.Application, core: Core) -> None:
    """Add the routes; before any catch-all of the simulator itself, because the first match wins."""
    for method, name, route in _ROUTES:
        app.router.add_route(method, f"/_control/{name}", _bind(core, route))


def _bind(core: Core, route: _Route) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handler(request: web.Request) -> web.Response:
        try:
            return await route(core, request)
        except (ValueError, KeyError, TypeError) as error:
            # A wrong control call is a mistake in a test: say what is wrong instead of a bare 500.
            return web.json_response({"error": f"{type(error).__name__}: {error}"}, status=400)

    return handler


async def _health(core: Core, _request: web.Request) -> web.Response:
    return web.json_response(
        {
            "simulator": core.name,
            "now": core.clock.now().isoformat(),
            "entries": len(core.ledger),
            "requests": len(core.requests),
        }
    )


async def _ledger(core: Core, request: web.Request) -> web.Response:
    core.clock.run_due()
    facts = core.ledger.facts(account=request.query.get("account"), reference=request.query.get("reference"))
    executions = Counter(fact["reference"] for fact in facts if fact["kind"] == Move.CHARGE)
    return web.json_response({"entries": facts, "executions": executions})


async def _clock(core: Core, request: web.Request) -> web.Response:
    if request.method == "POST":
        wish = await request.json()
        if "set" in wish:
            core.clock.set(datetime.fromisoformat(wish["set"]))
        else:
            core.clock.advance(timedelta(seconds=wish["advance_s"]))
        core.clock_moved()
    return web.json_response({"now": core.clock.now().isoformat()})


async def _behaviours(core: Core, request: web.Request) -> web.Response:
    rows = [
        (Method(row["account"], row["payer"], row["token"]), Behaviour.parse(row["behaviour"]))
        for row in await request.json()
    ]
    for method, behaviour in rows:
        core.vault.put(method, behaviour)
    return web.json_response({"set": len(rows)})


async def _script(core: Core, request: web.Request) -> web.Response:
    scripts = [
        Script(
            Behaviour.parse(row["behaviour"]),
            operation=row.get("operation", ""),
            account=row.get("account", ""),
            token=row.get("token", ""),
            times=int(row.get("times", 1)),
        )
        for row in await request.json()
    ]
    for script in scripts:
        core.vault.script(script)
    return web.json_response({"queued": len(scripts)})


async def _requests(core: Core, _request: web.Request) -> web.Response:
    return web.json_response([_shown(received) for received in core.requests])


def _shown(received: Received) -> dict[str, Any]:
    return {
        "method": received.method,
        "path": _SECRETS.sub(_MASK, received.path),
        "headers": {
            name: _MASK if name.lower() in _SECRET_HEADERS else value for name, value in received.headers.items()
        },
        "body": _SECRETS.sub(_MASK, received.body.decode(errors="replace")),
    }


async def _reset(core: Core, _request: web.Request) -> web.Response:
    core.reset()
    return web.json_response({"reset": True})


async def _faults(core: Core, request: web.Request) -> web.Response:
    event = await request.json()
    if not isinstance(event, dict):
        raise TypeError("an out-of-band event is a JSON object with the key event")
    return web.json_response(core.faults(event), dumps=lambda value: json.dumps(value, default=str))


_ROUTES: tuple[tuple[str, str, _Route], ...] = (
    ("GET", "health", _health),
    ("GET", "ledger", _ledger),
    ("GET", "clock", _clock),
    ("POST", "clock", _clock),
    ("PUT", "behaviours", _behaviours),
    ("POST", "script", _script),
    ("GET", "requests", _requests),
    ("POST", "reset", _reset),
    ("POST", "faults", _faults),
)
