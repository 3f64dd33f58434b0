"""The console: an application of its own under `/console`, so that its failures are pages and not JSON."""

from typing import Any, Final

from fastapi import APIRouter, Depends, FastAPI
from starlette.staticfiles import StaticFiles

from services.submit.auth import Verifier
from services.submit.console import (
    account,
    approvals,
    confirm,
    downloads,
    drafts,
    failures,
    history,
    live,
    payment,
    refund_approvals,
    refunds,
    report,
    resolving,
    retries,
    review,
    selection,
    sign_in,
    voids,
)
from services.submit.console.headers import Headers
from services.submit.console.pages import FOLDER
from services.submit.console.session import check_csrf, check_text
from services.submit.limits import SIGN_INS, Limiter

MODULES: Final[tuple[Any, ...]] = (
    account, history, live, downloads, report, payment, voids, refunds, retries, drafts, selection, confirm, review,
    resolving, approvals, refund_approvals,
)  # fmt: skip

# Its routes are shared by all applications: FastAPI works out those of an included router anew for each, a fifth of a
# second of the first request.
ROUTER: Final = APIRouter()
# The one door without a session to take a CSRF token from; it has its own.
ROUTER.include_router(sign_in.router)
for _module in MODULES:
    ROUTER.include_router(_module.router, dependencies=[Depends(check_csrf), Depends(check_text)])


def create_console(verifier: Verifier, submits: Limiter) -> FastAPI:
    """The application; whoever mounts it sets `state.pool`. `submits` is counted together with the JSON interface."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    app.state.verifier, app.state.sign_ins, app.state.submits = verifier, Limiter(most=SIGN_INS), submits
    app.add_middleware(Headers)
    failures.install(app)
    app.router.routes.extend(ROUTER.routes)
    app.mount("/static", StaticFiles(directory=FOLDER / "static"))
    return app
