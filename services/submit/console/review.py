"""The review list: payments whose outcome only a person can settle, and those that are settled."""

from typing import Annotated, Final, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from services.submit.caller import Pool
from services.submit.console import pages
from services.submit.console.session import SignedIn
from shared.store import reviews
from shared.store.reviews import Case, Resolved
from shared.store.scope import seeing

router = APIRouter()
_SIZE: Final = 20
# Beyond it the number tells nobody more, and counting on would take longer every year.
_MOST_COUNTED: Final = 1000


@router.get("/review")
async def review_list(
    request: Request,
    member: SignedIn,
    pool: Pool,
    show: Literal["open", "resolved"] = "open",
    after: Annotated[UUID | None, Query()] = None,
) -> Response:
    cases: list[Case] = []
    resolved: list[Resolved] = []
    async with seeing(pool, member.scope) as connection:
        if show == "open":
            cases = await reviews.cases(connection, member.scope, after=after, limit=_SIZE + 1)
        else:
            resolved = await reviews.resolved(connection, member.scope, before=after, limit=_SIZE + 1)
        resolved_count = await reviews.count_resolved(connection, member.scope, limit=_MOST_COUNTED + 1)
        shell = await pages.shell(connection, member)
        await member.note_view(connection, "review.viewed", rows=len(cases) + len(resolved))
    path = "/console/review" if show == "open" else "/console/review?show=resolved"
    listed = [one.id for one in cases] or [one.id for one in resolved]
    more = f"{path}{'&' if '?' in path else '?'}after={listed[_SIZE - 1]}" if len(listed) > _SIZE else None
    return pages.page(
        request,
        "review.html",
        member=member,
        shell=shell,
        show=show,
        cases=cases[:_SIZE],
        resolved=resolved[:_SIZE],
        resolved_count=min(resolved_count, _MOST_COUNTED),
        more_resolved=resolved_count > _MOST_COUNTED,
        following=more,
        previous=path if after else None,
    )
