"""The application: routes, problems, the database pool's life."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi

from services.submit import (
    approvals,
    batches,
    catalog,
    health,
    invoices,
    money,
    payments,
    problems,
    refund_approvals,
    refunds,
    retries,
    told,
    voids,
    webhooks,
)
from services.submit.auth import Verifier
from services.submit.console.app import create_console
from services.submit.documented import add_problem_schema
from services.submit.edge import Edge
from services.submit.limits import SUBMITS, Limiter
from services.submit.measured import Measured
from shared.settings import SubmitSettings
from shared.store.pool import open_pool
from shared.telemetry.progress import Turning

# One core answers with these; more would only wait in PostgreSQL.
MOST_CONNECTIONS: Final = 10

# Shared by all applications, as the console's.
ROUTER: Final = APIRouter()
for _module in (
    batches, approvals, invoices, money, payments, refunds, refund_approvals, retries, voids, catalog, webhooks, health,
):  # fmt: skip
    ROUTER.include_router(_module.router)


def create_app(settings: SubmitSettings) -> FastAPI:
    """The submit service; its `state.turning` tells whether its loop is stuck.

    Raises ValueError if the settings leave no way to verify a token.
    """
    verifier, submits, turning = Verifier(settings), Limiter(most=SUBMITS), Turning()
    console = create_console(verifier, submits)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        turning.begin()
        async with open_pool(settings.database_url, process="submit", most=MOST_CONNECTIONS) as pool:
            app.state.pool, app.state.verifier, app.state.submits = pool, verifier, submits
            app.state.environment = settings.environment
            console.state.pool = pool
            yield

    app = FastAPI(title="Batchpay", version="1", lifespan=lifespan, redoc_url=None, docs_url=None)
    app.state.turning = turning
    app.add_middleware(Edge)
    app.add_middleware(Measured)
    problems.install(app)
    app.router.routes.extend(ROUTER.routes)
    app.mount("/console", console)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]  # FastAPI's documented way to extend it
    return app


def _openapi(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        app.openapi_schema = add_problem_schema(
            get_openapi(title=app.title, version=app.version, routes=app.routes, webhooks=told.requests.routes)
        )
    return app.openapi_schema
