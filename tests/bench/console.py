"""The console's two largest pages, each beside its queries run directly: how long they take at the server.

The selection page over 50,000 open invoices and the history over 10,000 batches. The queries are those of the page,
under row-level security as there.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from psycopg_pool import AsyncConnectionPool

from shared.store import batches, invoices
from shared.store.paging import Order
from shared.store.pool import open_pool
from shared.store.scope import Scope, resolve, seeing
from tests.bench.charging_metrics import Say
from tests.bench.ground import Ground
from tests.bench.measurements import Measurements, Row, Target
from tests.bench.statistics import Spread
from tests.console_client import Visitor, console, draft_with
from tests.submit_service import seed

INVOICES: Final = 50_000
BATCHES: Final = 10_000
BOUND_MS: Final = 300.0
# Of each page in a round. They take milliseconds, and the median of few would be that of the machine's mood.
_TIMES: Final = 9
# Every batch is settled and posted, as almost all of a long history are.
_HISTORY: Final = """
INSERT INTO batch (practice_id, number, processor, processor_account, currency, first_payment_number,
  last_payment_number, submitted_by, submitted_at, idempotency_key, request_sha256, total, total_minor, status, posting,
  approved, approved_minor, unfinished, unfinished_minor, finished_at, posted_at)
SELECT p.id, 10000 + n, p.processor, p.processor_account, p.currency, n * 10, n * 10 + 9, 'pat',
  now() - n * interval '1 hour', 'key-' || n, '\\x00', 10, 5000 + n, 'completed', 'posted', 10, 5000 + n, 0, 0,
  now() - n * interval '1 hour', now() - n * interval '1 hour'
FROM practice p CROSS JOIN generate_series(1, %s) n WHERE p.external_id = 'oak'
"""

Work = Callable[[], Awaitable[Any]]


def pages(ground: Ground, measured: Measurements, *, rounds: int, quick: bool, say: Say) -> None:
    """Medians of each page and of its queries alone, in milliseconds."""
    with ground.place() as place:
        seed(place.database_url, clients=INVOICES // 10 if quick else INVOICES)
        with place.connect() as connection:
            connection.execute(_HISTORY, [BATCHES // 10 if quick else BATCHES])
            connection.execute("VACUUM ANALYZE")
        found = asyncio.run(_run(place.database_url, rounds * _TIMES, say))
    measured.raw["console"] += [{"page": name, **times} for name, times in found.items()]
    measured.tables["console"] = [
        Row(name=name, title=name, values={column: Spread.of(each) for column, each in times.items()})
        for name, times in found.items()
    ]
    measured.targets += [
        Target(
            metric=f"console, {name}: ms at the server", value=Spread.of(times["page ms"]), bound=BOUND_MS, at_most=True
        )
        for name, times in found.items()
    ]


async def _run(database_url: str, times: int, say: Say) -> dict[str, dict[str, list[float]]]:
    async with console(database_url) as here, open_pool(database_url, process="bench", most=1) as pool:
        pat = await here.person()
        draft = await draft_with(pat, [])
        async with pool.connection() as connection:
            scope = await resolve(connection, practice="oak", clinician=None)
        assert scope is not None
        found = {}
        for name, (page, queries) in _pairs(pat, draft, pool, scope).items():
            found[name] = {
                "page ms": await _each_ms(page, times),
                "its queries alone ms": await _each_ms(queries, times),
            }
            say(f"console {name}: {Spread.of(found[name]['page ms']).median:.0f} ms")
        return found


def _pairs(pat: Visitor, draft: str, pool: AsyncConnectionPool[Any], scope: Scope) -> dict[str, tuple[Work, Work]]:
    return {
        "selection": (
            lambda: pat.get(f"{draft}/invoices"),
            lambda: _selection(pool, scope, {}),
        ),
        "selection, searched and sorted by amount": (
            lambda: pat.get(f"{draft}/invoices", **{"q.client": "client 0", "sort": "-amount"}),
            lambda: _selection(pool, scope, {"client": "client 0"}, sort="amount"),
        ),
        "history": (
            lambda: pat.get("/console/batches"),
            lambda: _history(pool, scope, "submitted"),
        ),
        "history, sorted by total": (
            lambda: pat.get("/console/batches", sort="-total"),
            lambda: _history(pool, scope, "total"),
        ),
    }


async def _selection(
    pool: AsyncConnectionPool[Any], scope: Scope, wanted: dict[str, Any], sort: str = "client"
) -> None:
    order = Order(sort=sort, descending=sort == "amount", limit=26)
    async with seeing(pool, scope) as connection:
        await invoices.page(connection, scope, wanted=wanted, show="all", order=order)
        await invoices.matching(connection, scope, wanted=wanted)


async def _history(pool: AsyncConnectionPool[Any], scope: Scope, sort: str) -> None:
    async with seeing(pool, scope) as connection:
        await batches.page(connection, scope, posting=None, order=Order(sort=sort, descending=True, limit=26))
        await batches.counts(connection, scope)


async def _each_ms(work: Work, times: int) -> list[float]:
    await work()  # fills caches
    found = []
    for _ in range(times):
        started = time.perf_counter()
        await work()
        found.append((time.perf_counter() - started) * 1000)
    return found
