"""What goes wrong, as RFC 9457 problem details: what happened, whether money is affected, what to do now."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import structlog
from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from fastapi.routing import APIRoute
from psycopg import OperationalError
from psycopg_pool import PoolTimeout
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException

from schemas.http import Fault, Problem

MEDIA_TYPE: Final = "application/problem+json"
_LONGEST_VALUE: Final = 200
_FIXES: Final = {
    "missing": "Add it.",
    "extra_forbidden": "Remove it; nothing of this name is known here.",
    "json_invalid": "Send JSON.",
}
_CODES: Final = {404: "not_found", 405: "method_not_allowed", 413: "body_too_large"}
_DETAILS: Final = {
    404: "There is nothing here that you may see.",
    405: "This address does not take this method.",
}
_NOT_JSON: Final = {"type": "json_invalid", "loc": ("body",), "msg": "JSON decode error", "input": None}
_log = structlog.get_logger()


class ProblemError(Exception):
    """A request that ends with a problem."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        errors: Sequence[Fault] = (),
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(code)
        self.status, self.code, self.detail = status, code, detail
        self.errors, self.headers = list(errors), headers


def not_found() -> ProblemError:
    """The same answer for what does not exist and for what this caller may not see."""
    return ProblemError(404, _CODES[404], _DETAILS[404])


def problem_response(
    status: int, code: str, detail: str, *, request_id: str, errors: Sequence[Fault] = (), headers: Any = None
) -> Response:
    problem = Problem(
        type=f"urn:batchpay:problem:{code}",
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        code=code,
        request_id=request_id,
        errors=list(errors),
    )
    return Response(problem.model_dump_json(), status_code=status, media_type=MEDIA_TYPE, headers=headers)


def install(app: FastAPI) -> None:
    """Answer every failure of the application with a problem."""
    app.add_exception_handler(ProblemError, _problem)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _framework)
    app.add_exception_handler(OperationalError, _database)
    app.add_exception_handler(PoolTimeout, _database)
    app.add_exception_handler(Exception, _bug)


def _id(request: Request) -> str:
    return str(request.scope.get("request_id", ""))


async def _problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, ProblemError)
    return problem_response(
        error.status, error.code, error.detail, request_id=_id(request), errors=error.errors, headers=error.headers
    )


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return problem_response(
        422,
        "invalid_request",
        "The request is not as described in /openapi.json. Nothing was done.",
        request_id=_id(request),
        errors=[fault_of(one, skip=1) for one in error.errors()],
    )


def fault_of(error: Mapping[str, Any], *, skip: int = 0) -> Fault:
    """A pydantic error; the first `skip` parts of its place are not the sender's names."""
    value = error.get("input")
    shown = value[:_LONGEST_VALUE] if isinstance(value, str) else value
    place = [str(part) for part in error["loc"]]
    return Fault(
        field=".".join(place[skip:] or place) or "body",
        value=shown if isinstance(shown, str | int | bool) else None,
        code=error["type"],
        message=error["msg"],
        fix=_FIXES.get(error["type"], "Correct it and send the request again."),
    )


async def _framework(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    status = error.status_code
    if status == HTTPStatus.BAD_REQUEST:
        # The framework's word for a body that is not even text; for JSON that is broken it says 422.
        return await _invalid(request, RequestValidationError([_NOT_JSON]))
    return problem_response(
        status,
        _CODES.get(status, "request_refused"),
        _DETAILS.get(status, str(error.detail)),
        request_id=_id(request),
        headers={"Allow": _allowed(request)} if status == HTTPStatus.METHOD_NOT_ALLOWED else error.headers,
    )


def _allowed(request: Request) -> str:
    """Every method of this address. The framework names those of the first route that has the path."""
    router: APIRouter = request.scope["router"]
    found = {
        method
        for route in router.routes
        if isinstance(route, APIRoute) and route.path_regex.match(request.scope["path"])
        for method in route.methods or ()
    }
    return ", ".join(sorted(found))


async def _database(request: Request, error: Exception) -> Response:
    _log.warning("database_unavailable", request_id=_id(request), error=type(error).__name__)
    response = problem_response(
        503,
        "database_unavailable",
        "We do not know if the request took effect. Sending it again is safe; a submit needs the same Idempotency-Key.",
        request_id=_id(request),
        headers={"Retry-After": "1"},
    )
    return looking_at_the_others(request, response)


def looking_at_the_others(request: Request, response: Response) -> Response:
    """What ended this request's connection may have ended all that wait in the pool.

    Each of them would be found out by a request of its own, which would be answered like this one.
    """
    response.background = BackgroundTask(request.app.state.pool.check)
    return response


async def _bug(request: Request, error: Exception) -> Response:
    _log.error("request_failed", request_id=_id(request), path=request.url.path, exc_info=error)
    return problem_response(
        500,
        "internal_error",
        "Something is wrong on our side. Quote the request id to support. Sending the request again is safe; a submit"
        " needs the same Idempotency-Key.",
        request_id=_id(request),
    )
