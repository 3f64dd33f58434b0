"""The console: an application of its own under `/console`, so that its failures are pages and not JSON."""

from typing import Any, Final

from fastapi import Depends, FastAPI
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


def create_console(verifier: Verifier, submits: Limiter) -> FastAPI:
    """The application; whoever mounts it sets `state.pool`. `submits` is counted together with the JSON interface."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    app.state.verifier, app.state.sign_ins, app.state.submits = verifier, Limiter(most=SIGN_INS), submits
    app.add_middleware(Headers)
    failures.install(app)
    # The one door without a session to take a CSRF token from; it has its own.
    app.include_router(sign_in.router)
    for module in MODULES:
        app.include_router(module.router, dependencies=[Depends(check_csrf), Depends(check_text)])
    app.mount("/static", StaticFiles(directory=FOLDER / "static"))
    return app
