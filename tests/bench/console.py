"""`python -m tests.bench.console`: the console's two largest pages, each beside its queries run directly.

The selection page over 50,000 open invoices and the history over 10,000 batches; medians in milliseconds at the server.
Exits with 1 if a page takes longer than its bound.
"""

import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import psycopg
from psycopg import AsyncConnection
from rich.console import Console as Terminal
from rich.table import Table

from services.development.sandbox import new_database
from services.development.servers import development_servers
from shared.domain.batch import Posting
from shared.store import batches, invoices
from shared.store.migrate import migrate
from shared.store.paging import Order
from shared.store.scope import Scope, resolve
from tests.console_client import Console, console, draft_with
from tests.submit_service import seed

INVOICES: Final = 50_000
BATCHES: Final = 10_000
ROUNDS: Final = 21
BOUND_MS: Final = 300.0
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


async def measure(here: Console, database_url: str) -> dict[str, tuple[float, float]]:
    """Medians of each page and of its queries alone."""
    pat = await here.person()
    draft = await draft_with(pat, [])
    async with await AsyncConnection.connect(database_url) as connection:
        scope = await resolve(connection, practice="oak", clinician=None)
        assert scope is not None
        pairs: dict[str, tuple[Work, Work]] = {
            "selection": (
                lambda: pat.get(f"{draft}/invoices"),
                lambda: _selection(connection, scope, {}),
            ),
            "selection, searched and sorted by amount": (
                lambda: pat.get(f"{draft}/invoices", **{"q.client": "client 0", "sort": "-amount"}),
                lambda: _selection(connection, scope, {"client": "client 0"}, sort="amount"),
            ),
            "history": (
                lambda: pat.get("/console/batches"),
                lambda: _history(connection, scope, "submitted"),
            ),
            "history, sorted by total": (
                lambda: pat.get("/console/batches", sort="-total"),
                lambda: _history(connection, scope, "total"),
            ),
        }
        return {name: (await _median(page), await _median(query)) for name, (page, query) in pairs.items()}


async def _selection(connection: AsyncConnection, scope: Scope, wanted: dict[str, Any], sort: str = "client") -> None:
    order = Order(sort=sort, descending=sort == "amount", limit=26)
    await invoices.page(connection, scope, wanted=wanted, show="all", order=order)
    await invoices.matching(connection, scope, wanted=wanted)


async def _history(connection: AsyncConnection, scope: Scope, sort: str) -> None:
    posting: Posting | None = None
    await batches.page(connection, scope, posting=posting, order=Order(sort=sort, descending=True, limit=26))
    await batches.counts(connection, scope)


async def _median(work: Work) -> float:
    times = []
    for _ in range(ROUNDS + 1):
        started = time.perf_counter()
        await work()
        times.append((time.perf_counter() - started) * 1000)
    return statistics.median(times[1:])  # the first one fills caches


async def _run(database_url: str) -> dict[str, tuple[float, float]]:
    async with console(database_url) as here:
        return await measure(here, database_url)


def main() -> int:
    with development_servers() as servers:
        database_url = new_database(servers.database_url)
        migrate(database_url)
        seed(database_url, clients=INVOICES)
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute(_HISTORY, [BATCHES])
            connection.execute("VACUUM ANALYZE")
        measured = asyncio.run(_run(database_url))
    table = Table("page", "page, ms", "its queries alone, ms", f"under {BOUND_MS:.0f} ms")
    for name, (page_ms, query_ms) in measured.items():
        table.add_row(name, f"{page_ms:.0f}", f"{query_ms:.0f}", "yes" if page_ms < BOUND_MS else "no")
    Terminal().print(table)
    return 0 if all(page_ms < BOUND_MS for page_ms, _ in measured.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
