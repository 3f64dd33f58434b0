"""The account menu: signing out, staying signed in, light or dark."""

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from services.submit.caller import Pool
from services.submit.console import pages, session
from services.submit.console.session import SignedIn, Theme
from services.submit.console.sign_in import HOME
from shared.store import audit, sessions

router = APIRouter()
_YEAR_S = 365 * 24 * 3600


@router.get("/")
async def home() -> Response:
    return RedirectResponse(HOME, status_code=303)


@router.post("/sign-out")
async def sign_out(request: Request, member: SignedIn, pool: Pool) -> Response:
    async with pool.connection() as connection:
        await sessions.end(connection, key_sha256=member.key_sha256)
        await audit.write(
            connection,
            practice_id=member.scope.practice_id,
            actor=member.subject,
            source=member.source,
            action="session.ended",
        )
    response = pages.page(request, "signed_out.html", draft=None, by_hand=True, place=None)
    session.drop_cookie(response, session.COOKIE)
    return response


@router.post("/session")
async def stay(member: SignedIn) -> Response:
    """Asking is activity: the answer says how long the session lives now."""
    return Response(member.formats.iso(member.ends_at), media_type="text/plain")


@router.post("/theme")
async def choose_theme(_: SignedIn, theme: Annotated[Theme, Form()], back: Annotated[str, Form()]) -> Response:
    response = RedirectResponse(back if back.startswith("/console/") else HOME, status_code=303)
    session.set_cookie(response, session.THEME_COOKIE, theme, max_age_s=_YEAR_S)
    return response
