"""Server-sent events: finished HTML of what changed.

Always the current state, never a difference: an event that is lost or repeated does no harm.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Annotated, Any, Final
from uuid import UUID

import structlog
from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse
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


@dataclass(slots=True)
class _Told:
    """What this connection was told, so that it hears only news. `only` is the number of the batch that is open."""

    only: int | None = None
    cells: dict[str, str] = field(default_factory=dict)
    watched: set[UUID] = field(default_factory=set)
    quarters: dict[UUID, int] = field(default_factory=dict)
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
        cells = _cells(line, member)
        if told.only is not None:
            cells |= _report_cells(line, member)
        for name, html in cells.items():
            event = f"{line.number}.{name}"
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


def _cells(line: Line, member: Member) -> dict[str, str]:
    return _split(pages.fragment("live.html", line=line, f=member.formats, member=member))


def _report_cells(line: Line, member: Member) -> dict[str, str]:
    counts, totals = report.tab_counts(line.parts), report.totals(line.parts)
    return _split(pages.fragment("live_report.html", line=line, counts=counts, totals=totals, f=member.formats))


def _split(html: str) -> dict[str, str]:
    return {name: text.strip() for name, text in (part.split("\x1f", 1) for part in html.split("\x1e")[1:])}


def _say(line: Line, member: Member, told: _Told) -> list[str]:
    """For screen readers, not more than needed: how the batch gets on that this person submitted or has open."""
    if line.batch.submitted_by != member.subject and told.only is None:
        return []
    if line.outage is None:
        told.outages.discard(line.batch.id)
    elif line.batch.id not in told.outages:
        told.outages.add(line.batch.id)
        return [_sentence(line, member)]
    quarter = 4 if not line.running else 4 * line.finished // line.batch.total
    before = told.quarters.get(line.batch.id)
    if before is None or quarter <= before:
        told.quarters.setdefault(line.batch.id, quarter)
        return []
    now = time.monotonic()
    if quarter < 4 and now - told.said_at < _SAY_EVERY_S:
        return []
    told.quarters[line.batch.id], told.said_at = quarter, now
    return [_sentence(line, member)]


def _sentence(line: Line, member: Member) -> str:
    return pages.fragment("say.html", line=line, f=member.formats).strip()
