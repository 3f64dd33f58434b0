"""Where processors post their events: kept once and answered at once. The janitor looks at what they are about.

A process of its own: processors reach this port and nothing else of Batchpay, and people's requests never wait for it.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Final

import psycopg
import structlog
from psycopg_pool import AsyncConnectionPool, PoolTimeout
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from shared.settings import WebhookSettings
from shared.store import webhooks
from shared.store.pool import open_pool
from shared.telemetry.progress import Turning
from workers.webhooks.stripe_event import read_event
from workers.webhooks.stripe_signature import is_signed

PROCESS: Final = "webhooks"
# Stripe's largest objects are a few ten kilobytes; nobody else has anything to say here.
MOST_BODY_BYTES: Final = 512 * 1024
_CONNECTIONS: Final = 4
# A processor gives up after some seconds and posts the event again later.
_CONNECTED_WITHIN_S: Final = 5.0

_log = structlog.get_logger()


def create_app(settings: WebhookSettings) -> Starlette:
    """The receiver, which refuses all while no secret is set; `state.turning` tells whether its loop is stuck."""
    secret = settings.stripe_webhook_secret.get_secret_value() if settings.stripe_webhook_secret else None

    turning = Turning()

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        turning.begin()
        async with open_pool(settings.database_url, process=PROCESS, most=_CONNECTIONS) as pool:
            app.state.pool = pool
            yield

    async def take_stripe(request: Request) -> Response:
        body = await _body(request)
        if body is None:
            return _refused(413, "body_too_large", f"An event has at most {MOST_BODY_BYTES} bytes.")
        signature = request.headers.get("Stripe-Signature", "")
        if secret is None or not is_signed(body, signature, secret=secret, now=datetime.now(UTC)):
            return _refused(400, "signature_refused", "The signature is missing, wrong or too old.")
        return await _keep(body, request.app.state.pool)

    app = Starlette(
        routes=[
            Route("/webhooks/stripe", take_stripe, methods=["POST"]),
            Route("/healthz", _alive, methods=["GET"]),
        ],
        lifespan=lifespan,
    )
    app.state.turning = turning
    return app


async def _keep(body: bytes, pool: AsyncConnectionPool) -> Response:
    webhook = read_event(body)
    if webhook is None:
        return _refused(400, "not_an_event", "The body is no event of a connected account.")
    try:
        async with pool.connection(timeout=_CONNECTED_WITHIN_S) as connection:
            is_new = await webhooks.keep(connection, webhook)
    except (psycopg.Error, PoolTimeout) as error:
        _log.warning("webhook_not_kept", webhook=webhook.event_id, error=type(error).__name__)
        return _refused(503, "not_now", "It could not be kept. Send it again later.")
    _log.info("webhook_received", type=webhook.type, webhook=webhook.event_id, is_new=is_new)
    return Response(status_code=204)


async def _body(request: Request) -> bytes | None:
    """The body, or None as soon as it is too long."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MOST_BODY_BYTES:
            return None
    return bytes(body)


async def _alive(_request: Request) -> Response:
    return JSONResponse({"status": "ok"})


def _refused(status: int, code: str, detail: str) -> Response:
    return JSONResponse({"code": code, "detail": detail}, status_code=status)
