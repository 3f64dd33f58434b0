"""What goes wrong, as pages: what happened, whether money is affected, what to do now."""

from typing import Final
from urllib.parse import quote

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from psycopg import OperationalError
from psycopg_pool import PoolTimeout
from starlette.exceptions import HTTPException

from services.submit.console import pages, session, words
from services.submit.console.formats import Formats
from services.submit.console.session import ForgedError, NotAllowedError, SignedOutError
from services.submit.console.sign_in import RETURN_COOKIE, TooManyTriesError
from services.submit.problems import ProblemError, looking_at_the_others
from services.submit.submission import BusyError
from shared.store import drafts
from shared.store.scope import seeing

_log = structlog.get_logger()
_SIGNED_OUT: Final = "/console/sign-in"
_RETURN_S: Final = 12 * 3600


def install(app: FastAPI) -> None:
    """Answer every failure of the console with a page."""
    app.add_exception_handler(SignedOutError, _signed_out)
    app.add_exception_handler(NotAllowedError, _not_allowed)
    app.add_exception_handler(ForgedError, _forged)
    app.add_exception_handler(TooManyTriesError, _too_many_tries)
    app.add_exception_handler(ProblemError, _problem)
    app.add_exception_handler(HTTPException, _framework)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(BusyError, _busy)
    app.add_exception_handler(OperationalError, _database)
    app.add_exception_handler(PoolTimeout, _database)
    app.add_exception_handler(Exception, _bug)


async def _signed_out(request: Request, error: Exception) -> Response:
    """The page is replaced, so that no client's data stays on an unattended screen."""
    assert isinstance(error, SignedOutError)
    if "HX-Request" in request.headers:
        return Response(status_code=401, headers={"HX-Redirect": request.headers.get("HX-Current-URL", _SIGNED_OUT)})
    ended, draft = error.ended, None
    if ended is not None:
        async with seeing(request.app.state.pool, ended.scope) as connection:
            draft = await drafts.find(connection, ended.scope, owner=ended.subject, draft_id=None)
    place = Formats(timezone=ended.timezone, locale=ended.locale, currency=ended.currency) if ended else None
    response = pages.page(request, "signed_out.html", status=401, draft=draft, by_hand=False, place=place)
    session.drop_cookie(response, session.COOKIE)
    if request.method == "GET":
        back = quote(request.url.path) + (f"?{request.url.query}" if request.url.query else "")
        session.set_cookie(response, RETURN_COOKIE, back, max_age_s=_RETURN_S)
    return response


def _failure(request: Request, status: int, title: str, *sentences: str, support: bool = False) -> Response:
    return pages.page(request, "failure.html", status=status, title=title, sentences=sentences, support=support)


async def _not_allowed(request: Request, error: Exception) -> Response:
    assert isinstance(error, NotAllowedError)
    what, able = words.PERMISSIONS[error.permission], words.able(error.permissions)
    name = f"\N{LEFT DOUBLE QUOTATION MARK}{words.begun(what)}\N{RIGHT DOUBLE QUOTATION MARK}"
    return _failure(
        request,
        403,
        f"You cannot {what}",
        *([f"Your account may {able}."] if able else []),
        f"Ask the owner of your practice for the permission {name}.",
        "Nothing was changed.",
    )


async def _forged(request: Request, error: Exception) -> Response:
    assert isinstance(error, ForgedError)
    return _failure(
        request,
        403,
        "This page is out of date",
        "Nothing was changed and no card was charged.",
        "Load the page again and repeat what you did.",
    )


async def _too_many_tries(request: Request, error: Exception) -> Response:
    assert isinstance(error, TooManyTriesError)
    return _failure(request, 429, "Too many tries", "Wait one minute, then open the link again.")


async def _problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, ProblemError)
    if error.status == 404:
        return _not_found(request)
    return _failure(request, error.status, "That was refused", error.detail)


async def _framework(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code in {404, 405}:
        return _not_found(request)
    return _failure(request, error.status_code, "That was refused", "Nothing was changed.")


async def _invalid(request: Request, error: Exception) -> Response:
    """Forms name their own faults; this is an address or a form that we did not make."""
    assert isinstance(error, RequestValidationError)
    if request.method == "GET":
        return _not_found(request)
    return _failure(request, 422, "We cannot read that", "Nothing was changed.", "Load the page again.")


def _not_found(request: Request) -> Response:
    """The same page for what does not exist and for what this person may not see."""
    return _failure(
        request,
        404,
        "We cannot find that page",
        "It may have been moved, or it belongs to something you cannot see.",
        "No payment was changed.",
    )


async def _busy(request: Request, error: Exception) -> Response:  # noqa: ARG001  # the framework's signature
    return _failure(
        request,
        503,
        "The batch was not submitted",
        "No card was charged. Other batches of your practice were faster several times.",
        "Your selection is kept; go back and press the button again.",
        support=True,
    )


async def _database(request: Request, error: Exception) -> Response:
    _log.warning("database_unavailable", request_id=request.scope.get("request_id"), error=type(error).__name__)
    failure = _failure(
        request,
        503,
        "We cannot reach our database",
        "If you were submitting, we do not know yet if the batch was submitted.",
        "Open Batch Payment History before you press again; pressing again is safe.",
        support=True,
    )
    return looking_at_the_others(request, failure)


async def _bug(request: Request, error: Exception) -> Response:
    _log.error("request_failed", request_id=request.scope.get("request_id"), path=request.url.path, exc_info=error)
    return _failure(
        request,
        500,
        "Something is wrong on our side",
        "What you did may not be saved. Doing it again is safe: nothing is charged twice.",
        support=True,
    )
