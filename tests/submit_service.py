"""The submit service behind a real socket, a caller that speaks HTTP to it, and a practice to charge for."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import aiohttp
import psycopg
import uvicorn
from pydantic import SecretStr
from starlette.types import ASGIApp

from services.submit.api import create_app
from services.submit.auth import mint
from shared.settings import SubmitSettings
from shared.waiting import set_within

SECRET = "a secret of tests, which is long enough"
AUDIENCE = "batchpay"
ALL = ("billing", "billing:void", "billing:refund")
# uvicorn's own: at each tenth tick it writes the date anew that answers have.
_TICK_S = 0.1
_LOOK_EVERY_S = 0.005


class Reply(NamedTuple):
    status: int
    body: Any
    headers: Mapping[str, str]  # by name in any case


class Caller:
    def __init__(self, session: aiohttp.ClientSession, url: str, database_url: str) -> None:
        self.session, self.url, self.database_url = session, url, database_url
        self.token: str | None = bearer()

    def as_(self, token: str | None) -> "Caller":
        other = Caller(self.session, self.url, self.database_url)
        other.token = token
        return other

    async def send(self, method: str, path: str, *, headers: dict[str, str] | None = None, **options: Any) -> Reply:
        sent = {**({"Authorization": f"Bearer {self.token}"} if self.token else {}), **(headers or {})}
        async with self.session.request(method, self.url + path, headers=sent, **options) as response:
            text = await response.text()
            body = json.loads(text) if "json" in response.headers.get("Content-Type", "") else text
            return Reply(response.status, body, response.headers)

    async def get(self, path: str, **query: Any) -> Reply:
        return await self.send("GET", path, params={name: str(value) for name, value in query.items()})

    async def post(self, path: str, body: Any = None, *, key: str | None = None) -> Reply:
        headers = {"Idempotency-Key": key} if key else {}
        return await self.send("POST", path, json={} if body is None else body, headers=headers)

    async def submit(self, invoices: list[str], total_minor: int, *, key: str = "key-1", **more: Any) -> Reply:
        control = {"count": len(invoices), "total_minor": total_minor}
        return await self.post("/v1/batches", {"invoices": invoices, "control": control, **more}, key=key)

    async def sql(self, statement: str, *parameters: Any) -> list[Any]:
        async with await psycopg.AsyncConnection.connect(self.database_url, autocommit=True) as connection:
            cursor = await connection.execute(statement, parameters)  # type: ignore[arg-type]  # tests write SQL freely
            return await cursor.fetchall() if cursor.description else []


def bearer(
    practice: str = "oak",
    *,
    permissions: tuple[str, ...] = ALL,
    clinician: str | None = None,
    secret: str = SECRET,
    audience: str = AUDIENCE,
    lifetime: timedelta = timedelta(minutes=5),
    subject: str = "pat",
    name: str | None = None,
) -> str:
    return mint(
        secret,
        subject=subject,
        practice=practice,
        permissions=permissions,
        clinician=clinician,
        audience=audience,
        now=datetime.now(UTC),
        lifetime=lifetime,
        name=name,
    )


@contextlib.asynccontextmanager
async def submit_service(database_url: str, **settings: Any) -> AsyncIterator[Caller]:
    chosen = {"jwt_secret": SecretStr(SECRET), "jwt_audience": AUDIENCE, **settings}
    app = create_app(SubmitSettings(database_url=database_url, **chosen))
    async with served(app) as url, aiohttp.ClientSession() as session:
        yield Caller(session, url, database_url)


class _Server(uvicorn.Server):
    """Ends when it is told to. uvicorn itself looks every tenth of a second, and then gives connections another one."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.told_to_end = asyncio.Event()

    async def main_loop(self) -> None:
        counter = 0
        while not await self.on_tick(counter):
            counter += 1
            await set_within(self.told_to_end, _TICK_S)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's: nothing new is accepted, and what is open ends by itself."""
        assert not sockets, "it opened its own"
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        while self.server_state.connections or self.server_state.tasks:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(_LOOK_EVERY_S)
        await self.lifespan.shutdown()


@contextlib.asynccontextmanager
async def served(app: ASGIApp) -> AsyncIterator[str]:
    """Serve an application on a free port for the time of the block; its URL."""
    server = _Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, lifespan="on"))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        if serving.done():
            await serving
        await asyncio.sleep(_LOOK_EVERY_S)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        server.told_to_end.set()
        await serving


def with_service(
    database_url: str, story: Callable[[Caller], Coroutine[Any, Any, None] | Awaitable[None]], **settings: Any
) -> None:
    async def run() -> None:
        async with submit_service(database_url, **settings) as caller:
            await story(caller)

    asyncio.run(run())


PRACTICES = """
INSERT INTO practice (external_id, name, timezone, currency, processor, processor_account, enrolled) VALUES
  ('oak', 'Oak', 'America/New_York', 'USD', 'vantage', '77', true),
  ('elm', 'Elm', 'America/Chicago', 'USD', 'stripe', 'acct_elm', true);
INSERT INTO clinician (practice_id, external_id, name)
SELECT id, external_id || '-dr' || n, 'Dr ' || n FROM practice, generate_series(1, 2) n;
"""
# Client n of practice p has one good card and invoice `p-in` over n dollars; odd clients are clinician 1's.
CLIENTS = """
INSERT INTO client (practice_id, external_id, name, clinician_id)
SELECT p.id, p.external_id || '-c' || n, 'Client ' || to_char(n, 'FM00000'), c.id
FROM practice p CROSS JOIN generate_series(1, %(clients)s) n
JOIN clinician c ON c.external_id = p.external_id || '-dr' || 2 - n %% 2;
INSERT INTO payment_method (practice_id, external_id, client_id, processor, type, brand, last4, exp_month, exp_year,
  payer_id, token, is_default, first_charged_on)
SELECT c.practice_id, c.external_id || '-m', c.id, p.processor, 'card', 'visa', '4242', 12, 2099, 'payer',
  c.external_id, true, '2026-01-01'
FROM client c JOIN practice p ON p.id = c.practice_id;
INSERT INTO invoice (practice_id, external_id, number, client_id, currency, total_minor, pushed_due_minor, issued_on,
  status, first_service_on, last_service_on, session_count)
SELECT c.practice_id, replace(c.external_id, '-c', '-i'), 'INV-' || n, c.id, 'USD', n * 100, n * 100, '2026-10-01',
  'open', date '2026-09-01' + (n %% 28)::integer, date '2026-09-01' + (n %% 28)::integer, 1
FROM client c CROSS JOIN LATERAL (SELECT split_part(c.external_id, '-c', 2)::bigint AS n) AS numbered;
INSERT INTO session (practice_id, external_id, invoice_id, service_date, description, amount_minor)
SELECT practice_id, external_id || '-s', id, first_service_on, 'Psychotherapy', total_minor FROM invoice;
"""


def seed(database_url: str, *, clients: int = 6) -> None:
    """Practices oak (Vantage) and elm (Stripe)."""
    with psycopg.ClientCursor(psycopg.connect(database_url, autocommit=True)) as cursor:
        cursor.execute(PRACTICES)
        cursor.execute(CLIENTS, {"clients": clients})
        cursor.execute("ANALYZE practice, clinician, client, payment_method, invoice, session")
        cursor.connection.close()
