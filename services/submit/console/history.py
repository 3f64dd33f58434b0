"""Batch Payment History, and the same rows as they change."""

from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from services.submit.caller import Pool
from services.submit.console import pace, pages
from services.submit.console.listing import Listing, read_sort
from services.submit.console.session import Member, SignedIn
from services.submit.explain import payment_reason
from shared.domain.batch import Group, Posting, group
from shared.domain.payment import State
from shared.store import approvals, batches, progress
from shared.store.batches import NEWEST_FIRST, Batch, Connection, Part
from shared.store.progress import Progress
from shared.store.scope import seeing

router = APIRouter()
PATH: Final = "/console/batches"
_SORTS: Final = ("submitted", "number", "status", "total", "approved", "declined", "unfinished")
_DEFAULT: Final = f"-{NEWEST_FIRST}"
_SIZE: Final = 25
# A tip is read at a glance; the report has the rest.
_MOST_PROBLEMS: Final = 5
_WRONG: Final = (State.DECLINED, State.FAILED, State.SKIPPED, State.UNKNOWN, State.SURPLUS)

Show = Literal["pending", "posted", "all"]
Text = Annotated[str, Query(max_length=2000)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A line of the error marker's tip."""

    state: State
    payments: int
    amount_minor: int
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A batch as the history shows it."""

    batch: Batch
    parts: list[Part]
    voidable: bool
    progress: Progress | None = None

    @property
    def number(self) -> str:
        return f"BP-{self.batch.number}"

    @property
    def live(self) -> bool:
        return self.batch.posting is Posting.PENDING

    @property
    def running(self) -> bool:
        return self.batch.tally.unfinished > 0

    def count(self, *states: State) -> int:
        return sum(part.payments for part in self.parts if part.state in states)

    @property
    def finished(self) -> int:
        return self.batch.total - self.batch.tally.unfinished

    @property
    def checked(self) -> int:
        return self.count(State.UNKNOWN, State.SURPLUS)

    @property
    def waiting(self) -> int:
        return self.count(State.QUEUED, State.SENDING, State.PROCESSING)

    def voids(self, *states: State) -> int:
        """How many payments whose void was asked for are in these states; without one, in any."""
        return sum(part.payments for part in self.parts if part.void_asked and (not states or part.state in states))

    @property
    def time_left(self) -> str:
        return pace.time_left(self.progress, finished=self.finished, waiting=self.waiting)

    @property
    def outage(self) -> pace.Outage | None:
        return pace.outage(self.progress, waiting=self.waiting)

    @property
    def problems(self) -> list[Problem]:
        """What went wrong, the largest first."""
        found = [
            Problem(
                state=part.state,
                payments=part.payments,
                amount_minor=part.amount_minor,
                sentence=_sentence(part),
            )
            for part in self.parts
            if part.state in _WRONG or part.in_review
        ]
        return sorted(found, key=lambda one: -one.payments)

    @property
    def problem_count(self) -> int:
        return sum(one.payments for one in self.problems)

    @property
    def shown_problems(self) -> list[Problem]:
        return self.problems[:_MOST_PROBLEMS]


def _sentence(part: Part) -> str:
    if part.reason_code is not None and part.state is not State.UNKNOWN:
        said = payment_reason(part.reason_code, None)
        return said.message if said else ""
    if group(part.state) is Group.UNFINISHED:
        return "No clear answer yet. Not charged again."
    return "On the review list."


async def lines(connection: Connection, member: Member, rows: list[Batch], *, whole: bool = False) -> list[Line]:
    """These batches with what their progress and markers tell; `whole`: with all parts of all of them."""
    interesting = [row.id for row in rows if whole or row.tally.unfinished or row.tally.declined or row.tally.in_review]
    parts = await batches.breakdown(connection, member.scope, batch_ids=interesting) if interesting else {}
    running = [row.id for row in rows if row.tally.unfinished]
    under_way = await progress.of_batches(connection, member.scope, batch_ids=running) if running else {}
    return [
        Line(
            batch=row,
            parts=parts.get(row.id, []),
            voidable=member.may_void_batches and can_void(row),
            progress=under_way.get(row.id),
        )
        for row in rows
    ]


def can_void(batch: Batch) -> bool:
    return batch.processor == "vantage" and batch.posting is Posting.PENDING and batch.void_requested_at is None


@router.get("/batches")
async def history(
    request: Request,
    member: SignedIn,
    pool: Pool,
    *,
    show: Show = "all",
    sort: Text = _DEFAULT,
    q: Annotated[str, Query(max_length=40)] = "",
    after: Text = "",
    before: Text = "",
    page: Annotated[int, Query(ge=1, le=10_000)] = 1,
    new: Text = "",
    again: Text = "",
) -> Response:
    """The page that everyone lands on."""
    column, descending = read_sort(sort, _SORTS if not member.scope.own_clients else ("submitted",), _DEFAULT)
    if member.scope.own_clients:
        descending = True
    listing = Listing(
        path=PATH,
        sort=column,
        descending=descending,
        size=_SIZE,
        page=page,
        after=after or None,
        before=before or None,
        default=_DEFAULT,
        both_ways=not member.scope.own_clients,
        filters={"show": show, "q": q.strip()},
    )
    async with seeing(pool, member.scope) as connection:
        found = await _page(connection, member, listing, show=show, search=q.strip() or None)
        rows, previous, following = listing.cut(found)
        context: dict[str, Any] = {
            "lines": await lines(connection, member, rows),
            "waiting": await approvals.waiting(connection, member.scope) if page == 1 and not q else [],
            "counts": await batches.counts(connection, member.scope),
            "shell": await pages.shell(connection, member),
        }
    return pages.page(
        request,
        "history.html",
        member=member,
        listing=listing,
        show=show,
        q=q,
        previous=previous,
        following=following,
        new=new or again,
        again=again,
        **context,
    )


async def _page(
    connection: Connection, member: Member, listing: Listing, *, show: Show, search: str | None
) -> list[Batch]:
    posting = None if show == "all" else Posting(show)
    return await batches.page(connection, member.scope, posting=posting, order=listing.order(), search=search)
