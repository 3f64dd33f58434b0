"""Connections of a process to PostgreSQL."""

from psycopg_pool import AsyncConnectionPool

# A statement that takes longer is stuck; the caller tries again.
STATEMENT_TIMEOUT_MS = 30_000
# A process that was stopped inside a transaction must not hold row locks that others wait for.
IDLE_IN_TRANSACTION_MS = 10_000


def open_pool(database_url: str, *, process: str, most: int) -> AsyncConnectionPool:
    """A pool that is not open yet: use it as an async context manager. `most` bounds its connections."""
    return AsyncConnectionPool(
        database_url,
        min_size=1,
        max_size=most,
        open=False,
        kwargs={
            "application_name": f"batchpay-{process}",
            "options": f"-c statement_timeout={STATEMENT_TIMEOUT_MS}"
            f" -c idle_in_transaction_session_timeout={IDLE_IN_TRANSACTION_MS}",
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            # A connection that is cut off without a word is noticed while we wait for an answer on it.
            "tcp_user_timeout": 20_000,
        },
    )
