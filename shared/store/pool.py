"""Connections of a process to PostgreSQL."""

from psycopg_pool import AsyncConnectionPool

# A statement that takes longer is stuck; the caller tries again.
STATEMENT_TIMEOUT_MS = 30_000
# Every statement of a worker touches few rows by their keys, whatever the planner thinks of a small or fresh table.
# Planned once, without compiling, and never as a scan that grows with history.
_KEYED_PLANS = (
    "-c plan_cache_mode=force_generic_plan -c jit=off"
    " -c enable_seqscan=off -c enable_hashjoin=off -c enable_mergejoin=off"
)
# A process that was stopped inside a transaction must not hold row locks that others wait for.
IDLE_IN_TRANSACTION_MS = 10_000


def open_pool(database_url: str, *, process: str, most: int, keyed: bool = False) -> AsyncConnectionPool:
    """A pool that is not open yet: use it as an async context manager. `most` bounds its connections.

    `keyed` is for processes whose statements all go by keys: their plans are made once and do not depend on statistics.
    """
    return AsyncConnectionPool(
        database_url,
        min_size=1,
        max_size=most,
        open=False,
        kwargs={
            "application_name": f"batchpay-{process}",
            "options": f"-c statement_timeout={STATEMENT_TIMEOUT_MS}"
            f" -c idle_in_transaction_session_timeout={IDLE_IN_TRANSACTION_MS}" + (f" {_KEYED_PLANS}" if keyed else ""),
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            # A connection that is cut off without a word is noticed while we wait for an answer on it.
            "tcp_user_timeout": 20_000,
        },
    )
