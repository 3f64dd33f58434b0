"""The review list: payments whose outcome only a person can settle."""

from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from services.submit.caller import Pool
from services.submit.console import pages
from services.submit.console.session import SignedIn
from shared.store import reviews
from shared.store.scope import seeing

router = APIRouter()
_SIZE: Final = 20


@router.get("/review")
async def review_list(
    request: Request, member: SignedIn, pool: Pool, after: Annotated[UUID | None, Query()] = None
) -> Response:
    async with seeing(pool, member.scope) as connection:
        cases = await reviews.cases(connection, member.scope, after=after, limit=_SIZE + 1)
        shell = await pages.shell(connection, member)
        await member.note_view(connection, "review.viewed", rows=len(cases))
    following = f"/console/review?after={cases[_SIZE - 1].id}" if len(cases) > _SIZE else None
    return pages.page(
        request,
        "review.html",
        member=member,
        shell=shell,
        cases=cases[:_SIZE],
        following=following,
        previous="/console/review" if after else None,
    )
