"""Server-sent events: finished HTML of what changed.

Always the current state, never a difference: an event that is lost or repeated does no harm.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal, NamedTuple
from uuid import UUID

import structlog
from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, StreamingResponse
from psycopg import OperationalError
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from services.submit.batches import number_of
from services.submit.caller import Pool
from services.submit.console import history, pages, report
from services.submit.console.history import Line
from services.submit.console.session import Member, Watching
from shared.domain.batch import Posting
from shared.store import batches, sessions
from shared.store.batches import NEWEST_FIRST, Batch, Connection
from shared.store.paging import Order
from shared.store.scope import seeing

router = APIRouter()
# As often as a person can take in. What is read grows with the batches that run, so a pause is also so many times what
# the last reading took, and an open page costs a tenth of a core at most.
_EVERY_S: Final = 1.0
_REST: Final = 10
_LONGEST_PAUSE_S: Final = 10.0
# Proxies cut connections that are silent for longer; the page calls the connection lost after 40 s.
_HEARTBEAT_S: Final = 15.0
_MOST_BATCHES: Final = 50
_SAY_EVERY_S: Final = 30.0
# The stages of a batch after its quarters.
_NOTHING_WAITS: Final = 4
_OVER: Final = 5
News = Literal["start", "problem", "progress", "end", "outage"]
_log = structlog.get_logger()


@router.get("/batches/live")
async def live(
    request: Request, member: Watching, pool: Pool, batch: Annotated[str | None, Query(max_length=40)] = None
) -> StreamingResponse:
    """The cells of pending batches, whenever they change; with `batch` those of its report."""
    told = _Told(only=number_of(batch or ""))
    return StreamingResponse(
        _events(request, member, pool, told), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"}
    )


@router.get("/batches/cells")
async def cells(
    member: Watching,
    pool: Pool,
    batch: Annotated[list[Annotated[str, Query(max_length=40)]], Query(max_length=_MOST_BATCHES)],
    *,
    of_report: Annotated[bool, Query(alias="report")] = False,
) -> HTMLResponse:
    """The same cells as they are now, for a page whose stream does not come through; asking is no activity."""
    numbers = {number for name in batch if (number := number_of(name)) is not None}
    async with seeing(pool, member.scope) as connection:
        found = [await batches.find(connection, member.scope, number=number) for number in sorted(numbers)]
        lines = await history.lines(connection, member, [row for row in found if row], whole=of_report)
    shown = {name: html for line in lines for name, html in _cells(line, member, of_report=of_report).items()}
    said = [_standing(line, member) for line in lines if of_report or line.batch.submitted_by == member.subject]
    return HTMLResponse(pages.fragment("cells.html", shown=shown, said=said))


class _Standing(NamedTuple):
    """Where a batch stands, for a page that asks: it says the sentence when `stage` is another than before."""

    number: str
    stage: str
    sentence: str


@dataclass(slots=True)
class _Told:
    """What this connection was told, so that it hears only news. `only` is the number of the batch that is open."""

    only: int | None = None
    cells: dict[str, str] = field(default_factory=dict)
    watched: set[UUID] = field(default_factory=set)
    stages: dict[UUID, int] = field(default_factory=dict)
    troubled: set[UUID] = field(default_factory=set)
    outages: set[UUID] = field(default_factory=set)
    said_at: float = 0.0


async def _events(request: Request, member: Member, pool: AsyncConnectionPool[Any], told: _Told) -> AsyncIterator[str]:
    beat_at = 0.0
    yield "retry: 2000\n\n"
    while not await request.is_disconnected():
        now = time.monotonic()
        try:
            if now >= beat_at and not await _is_signed_in(pool, member):
                return
            async with seeing(pool, member.scope) as connection:
                news = await _news(connection, member, told)
        except (OperationalError, PoolTimeout) as error:
            _log.warning("live_update_missed", error=type(error).__name__)
            news = []
        for name, html in news:
            yield _event(name, html)
        if now >= beat_at:
            beat_at = now + _HEARTBEAT_S
            yield _event("beat", "")
        await asyncio.sleep(pause_s(time.monotonic() - now))


def pause_s(took_s: float) -> float:
    """How long to rest after news that took so many seconds to read and to send."""
    return max(_EVERY_S, min(_LONGEST_PAUSE_S, took_s * _REST))


async def _is_signed_in(pool: AsyncConnectionPool[Any], member: Member) -> bool:
    async with pool.connection() as connection:
        session = await sessions.find(connection, key_sha256=member.key_sha256, active=False)
    return session is not None and session.alive


def _event(name: str, html: str) -> str:
    lines = "".join(f"data: {line}\n" for line in html.splitlines() or [""])
    return f"event: {name}\n{lines}\n"


async def _news(connection: Connection, member: Member, told: _Told) -> list[tuple[str, str]]:
    """The cells that are not what this connection was told last."""
    rows = await _rows(connection, member, told)
    news: list[tuple[str, str]] = []
    for line in await history.lines(connection, member, rows, whole=told.only is not None):
        for event, html in _cells(line, member, of_report=told.only is not None).items():
            if told.cells.get(event) != html:
                told.cells[event] = html
                news.append((event, html))
        news += [("say", sentence) for sentence in _say(line, member, told)]
    told.watched = {row.id for row in rows if row.posting is Posting.PENDING}
    return news


async def _rows(connection: Connection, member: Member, told: _Told) -> list[Batch]:
    if told.only is not None:
        found = await batches.find(connection, member.scope, number=told.only)
        return [found] if found else []
    order = Order(sort=NEWEST_FIRST, descending=True, limit=_MOST_BATCHES)
    rows = await batches.page(connection, member.scope, posting=Posting.PENDING, order=order)
    return rows + await _posted_since(connection, member, told, {row.id for row in rows})


async def _posted_since(connection: Connection, member: Member, told: _Told, pending: set[UUID]) -> list[Batch]:
    """Batches that were pending a moment ago: their last state is news too."""
    found = [
        await batches.find(connection, member.scope, batch_id=batch_id) for batch_id in sorted(told.watched - pending)
    ]
    return [row for row in found if row is not None]


def _cells(line: Line, member: Member, *, of_report: bool) -> dict[str, str]:
    """What is shown of a batch that changes, by the name of its place."""
    html = pages.fragment("live.html", line=line, f=member.formats, member=member)
    if of_report:
        counts, totals = report.tab_counts(line.parts), report.totals(line.parts)
        html += pages.fragment("live_report.html", line=line, counts=counts, totals=totals, f=member.formats)
    parts = (part.split("\x1f", 1) for part in html.split("\x1e")[1:])
    return {f"{line.number}.{name}": text.strip() for name, text in parts}


def _say(line: Line, member: Member, told: _Told) -> list[str]:
    """For screen readers, not more than needed: how the batch gets on that this person submitted or has open."""
    if line.batch.submitted_by != member.subject and told.only is None:
        return []
    if line.outage is None:
        told.outages.discard(line.batch.id)
    elif line.batch.id not in told.outages:
        told.outages.add(line.batch.id)
        return [_sentence("outage", line, member)]
    now = time.monotonic()
    news = _newest(line, told, quiet=now - told.said_at < _SAY_EVERY_S)
    if news is None:
        return []
    told.said_at = now
    return [_sentence(news, line, member)]


def _newest(line: Line, told: _Told, *, quiet: bool) -> News | None:
    """What to say of this batch now, and remember that it was said. The end is said however short the silence was."""
    batch, stage = line.batch.id, _stage(line)
    before = told.stages.get(batch)
    if before is None:
        told.stages[batch] = stage
        told.troubled |= {batch} if line.problem_count else set()
        return "start" if stage == 0 and not line.problem_count else None
    if stage > before and stage >= _NOTHING_WAITS:
        told.stages[batch] = stage
        return "end"
    if quiet:
        return None
    if line.problem_count and batch not in told.troubled:
        told.troubled.add(batch)
        return "problem"
    if stage > before:
        told.stages[batch] = stage
        return "progress"
    return None


def _standing(line: Line, member: Member) -> _Standing:
    stage = _stage(line)
    news: News = "outage" if line.outage else "end" if stage >= _NOTHING_WAITS else "progress"
    return _Standing(line.number, f"{news} {stage}", _sentence(news, line, member))


def _stage(line: Line) -> int:
    """The quarters that are finished, up to three; then whether some are still being checked."""
    if not line.running:
        return _OVER
    if line.checked and not line.waiting:
        return _NOTHING_WAITS
    return min(4 * line.finished // line.batch.total, _NOTHING_WAITS - 1)


def _sentence(news: News, line: Line, member: Member) -> str:
    return pages.fragment("say.html", news=news, line=line, f=member.formats).strip()
