"""Connections of a process to PostgreSQL."""

from datetime import timedelta
from typing import Any, Final

import psycopg
from psycopg_pool import AsyncConnectionPool

# A statement that takes longer is stuck; the caller tries again.
STATEMENT_TIMEOUT: Final = timedelta(seconds=30)
# A process that was stopped inside a transaction must not hold row locks that others wait for. In a pipeline it could:
# a statement goes on for PostgreSQL until its Sync has come, and nothing ends it. What locks rows is not sent in one.
IDLE_IN_TRANSACTION: Final = timedelta(seconds=10)
# A server that does not even greet is down, or its host is: psycopg would wait for it two minutes.
CONNECT_WITHIN: Final = timedelta(seconds=5)
# Whoever probes gives up after a few seconds; libpq waits for at least two.
_PROBE_WITHIN: Final = timedelta(seconds=2)
# Every statement of a worker touches few rows by their keys, whatever the planner thinks of a small or fresh table.
# Planned once, without compiling, and never as a scan that grows with history.
_KEYED_PLANS: Final = {
    "plan_cache_mode": "force_generic_plan",
    "jit": "off",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
}


def open_pool(database_url: str, *, process: str, most: int, keyed: bool = False) -> AsyncConnectionPool:
    """A pool that is not open yet: use it as an async context manager. `most` bounds its connections.

    `keyed` is for processes whose statements all go by keys: their plans are made once and do not depend on statistics.
    """
    return AsyncConnectionPool(
        database_url, min_size=1, max_size=most, open=False, kwargs=connection_options(process, keyed=keyed)
    )


def is_reachable(database_url: str, *, process: str) -> bool:
    """Whether PostgreSQL takes a new connection and answers on it."""
    options = connection_options(process) | {"connect_timeout": round(_PROBE_WITHIN.total_seconds())}
    try:
        with psycopg.connect(database_url, **options) as connection:
            connection.execute("SELECT")
    except psycopg.Error:
        return False
    return True


def connection_options(
    process: str, *, keyed: bool = False, idle_in_transaction: timedelta = IDLE_IN_TRANSACTION
) -> dict[str, Any]:
    """How every connection of a process is made, by a pool or alone: named, and bounded in all it may wait for."""
    settings = {
        "statement_timeout": _milliseconds(STATEMENT_TIMEOUT),
        "idle_in_transaction_session_timeout": _milliseconds(idle_in_transaction),
        **(_KEYED_PLANS if keyed else {}),
    }
    return {
        "application_name": f"batchpay-{process}",
        "options": " ".join(f"-c {name}={value}" for name, value in settings.items()),
        "connect_timeout": round(CONNECT_WITHIN.total_seconds()),
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        # A connection that is cut off without a word is noticed while we wait for an answer on it.
        "tcp_user_timeout": 20_000,
    }


def _milliseconds(time: timedelta) -> int:
    return round(time.total_seconds() * 1000)
