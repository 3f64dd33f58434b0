"""Signing in: the upstream app posts a token, the person presses Continue, and a session begins.

Two steps, so that a forged post from another site cannot sign somebody in unseen. In between the token waits in a
cookie, where no script and no page shows it.
"""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from services.submit.auth import Permission, Token, TokenRefusedError, Verifier
from services.submit.caller import Pool, source_of
from services.submit.console import pages, session, words
from services.submit.console.session import ForgedError, csrf_token, digest
from services.submit.limits import Limiter
from shared.store import audit, sessions
from shared.store.scope import Scope, resolve

router = APIRouter()
AUDIENCE_SUFFIX: Final = "-console"
SIGN_IN_COOKIE: Final = "__Host-batchpay-sign-in"
RETURN_COOKIE: Final = "__Host-batchpay-return"
HOME: Final = "/console/batches"
_LONGEST_TOKEN: Final = 4000
# The upstream app makes the token when the link is pressed; the clocks of two machines differ a little.
LIFETIME: Final = timedelta(minutes=2)
_LEEWAY: Final = timedelta(seconds=30)


class TooManyTriesError(Exception):
    """Too many sign-ins from one address."""


@router.get("/sign-in")
async def link_missing(request: Request) -> Response:
    return pages.page(request, "sign_in_refused.html", status=401)


@router.post("/sign-in")
async def arrive(request: Request, pool: Pool, token: Annotated[str, Form(max_length=_LONGEST_TOKEN)] = "") -> Response:
    """Show who and where. Changes nothing: that is why it needs no CSRF token."""
    _count(request)
    try:
        said, scope = await _read(request, pool, token)
    except TokenRefusedError:
        return pages.page(request, "sign_in_refused.html", status=401)
    async with pool.connection() as connection:
        place = await sessions.place_of(connection, scope)
    response = pages.page(
        request,
        "sign_in.html",
        practice=place.name,
        name=said.name,
        may=words.may(said.permissions),
        allowed=Permission.BILLING in said.permissions,
        csrf=csrf_token(token),
    )
    session.set_cookie(response, SIGN_IN_COOKIE, token, max_age_s=int(LIFETIME.total_seconds()))
    return response


@router.post("/sign-in/continue")
async def begin(request: Request, pool: Pool, csrf: Annotated[str, Form(max_length=100)] = "") -> Response:
    """Spend the token and begin a session."""
    _count(request)
    token = request.cookies.get(SIGN_IN_COOKIE, "")
    if not token or csrf != csrf_token(token):
        raise ForgedError
    try:
        said, scope = await _read(request, pool, token)
        key = await _begin(request, pool, said, scope, token=token)
    except TokenRefusedError:
        return pages.page(request, "sign_in_refused.html", status=401)
    back = request.cookies.get(RETURN_COOKIE, HOME)
    response = RedirectResponse(back if back.startswith("/console/") else HOME, status_code=303)
    session.set_cookie(response, session.COOKIE, key)
    session.drop_cookie(response, SIGN_IN_COOKIE)
    session.drop_cookie(response, RETURN_COOKIE)
    return response


def _count(request: Request) -> None:
    """Each of the two steps for itself: whoever guesses may begin with the second, and a person takes both."""
    limiter: Limiter = request.app.state.sign_ins
    host = request.client.host if request.client else "unknown"
    if not limiter.allows(f"{host} {request.url.path}"):
        raise TooManyTriesError


async def _read(request: Request, pool: Pool, token: str) -> tuple[Token, Scope]:
    """Who the token says, and what that person may see. Raises TokenRefusedError."""
    verifier: Verifier = request.app.state.verifier
    said = await verifier.verify(token, audience_suffix=AUDIENCE_SUFFIX)
    if said.expires_at > datetime.now(UTC) + LIFETIME + _LEEWAY:
        raise TokenRefusedError("A sign-in token lives two minutes at most.")
    async with pool.connection() as connection:
        scope = await resolve(connection, practice=said.practice, clinician=said.clinician)
    if scope is None:
        raise TokenRefusedError("The token's practice, or its clinician, is not known here.")
    return said, scope


async def _begin(request: Request, pool: Pool, said: Token, scope: Scope, *, token: str) -> str:
    key = session.new_key()
    async with pool.connection() as connection:
        # Kept until the token itself is refused as too old.
        kept_until = said.expires_at + 2 * _LEEWAY
        if not await sessions.use_token(connection, token_sha256=digest(token), expires_at=kept_until):
            raise TokenRefusedError("The token was used before.")
        await sessions.begin(
            connection,
            scope,
            key_sha256=digest(key),
            subject=said.subject,
            name=said.name,
            permissions=said.permissions,
        )
        await audit.write(
            connection,
            practice_id=scope.practice_id,
            actor=said.subject,
            source=source_of(request),
            action="session.began",
            detail={"permissions": sorted(said.permissions)},
        )
    return key
