"""A real PostgreSQL under simulated time: its schema and every statement of ours unchanged, its clock ours.

The clock enters by `search_path`: a schema before pg_catalog defines `clock_timestamp()` and its like. The schema is
migrated under the same path, so that column defaults, views and functions are bound to it too.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import sql
from psycopg.pq import ExecStatus, PGresult

from services.relay.ahead import LEFT_S
from shared.store.migrate import migrate
from tests.shared_servers import create_database, database_url_of, drop_database

_CLOCKS = ("clock_timestamp", "statement_timestamp", "transaction_timestamp", "now")
# Plans that depend on nothing but the schema, so that a seed takes the same way in every database.
_OPTIONS = (
    "-c synchronous_commit=off -c jit=off -c plan_cache_mode=force_generic_plan"
    " -c enable_seqscan=off -c enable_hashjoin=off -c enable_mergejoin=off -c join_collapse_limit=1"
)
# Everything that a seed writes.
_TABLES = (
    "practice", "client", "payment_method", "invoice", "merchant_account", "batch", "payment", "attempt",
    "payment_event", "finding", "outbox", "batch_hint", "audit_entry",
)  # fmt: skip
_CLEAR = "; ".join(
    [
        "SET session_replication_role = replica",  # nothing of ours may delete: triggers forbid it
        *(f"DELETE FROM {table}" for table in _TABLES),  # noqa: S608  # our own names
        "SET session_replication_role = origin",
    ]
)
# What a relay's next round would find, and how many batches there are: each was notified once.
_TO_RELAY = (
    "SELECT EXISTS (SELECT FROM outbox WHERE available_at <= clock_timestamp()) OR EXISTS (SELECT FROM batch_hint"  # noqa: S608  # our own number
    " WHERE after <> '00000000-0000-0000-0000-000000000000'"
    f" OR created_at <= clock_timestamp() - interval '{LEFT_S} s'), (SELECT count(*) FROM batch)"
)
_VACUUM_EVERY = 25


@contextmanager
def simulated_database(server_url: str, name: str) -> Iterator[str]:
    """A migrated database whose clock is the setting `simulated.now`; dropped at the end."""
    create_database(server_url, name)
    try:
        url = database_url_of(server_url, name)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE SCHEMA simulated")
            for clock in _CLOCKS:
                connection.execute(
                    f"CREATE FUNCTION simulated.{clock}() RETURNS timestamptz LANGUAGE sql STABLE"
                    " AS $$ SELECT current_setting('simulated.now')::timestamptz $$"
                )
            for setting in (
                "search_path = public, simulated, pg_catalog",
                "\"simulated.now\" = '2026-01-01T00:00:00Z'",
            ):
                connection.execute(sql.SQL("ALTER DATABASE {} SET " + setting).format(sql.Identifier(name)))
        migrate(url)
        with psycopg.connect(url, autocommit=True) as connection:
            for table in _TABLES:
                connection.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = off)")
        yield url
    finally:
        drop_database(server_url, name)


class Session:
    """The one connection of a simulation. Transactions run one after the other, each from its begin to its end."""

    def __init__(self, database_url: str) -> None:
        self.connection = psycopg.connect(database_url, autocommit=True, options=_OPTIONS)
        # Everything is prepared at once: a statement that is planned anew each time could take another way.
        self.connection.prepare_threshold = 0
        # The relay's notice. A LISTEN would do, but when psycopg sees a notice differs from run to run.
        self.to_relay = False
        self.in_transaction = False
        self._batches = self._batches_told = 0
        self._seeds = 0

    def set_time(self, now: str) -> None:
        self._run(f"SET simulated.now = '{now}'")

    def begin(self, now: str) -> None:
        self._run(f"BEGIN; SET simulated.now = '{now}'")
        self.in_transaction = True

    def commit(self) -> None:
        self.in_transaction = False
        found = self._run(f"COMMIT; {_TO_RELAY}")
        self._batches = int(found.get_value(0, 1) or 0)
        self.to_relay = found.get_value(0, 0) == b"t" or self._batches > self._batches_told

    def relay_is_told(self) -> None:
        self.to_relay = False
        self._batches_told = self._batches

    def roll_back(self) -> None:
        self.in_transaction = False
        self._run("ROLLBACK")

    def _run(self, statements: str) -> PGresult:
        """Below psycopg, which forgets all that it has prepared at a ROLLBACK."""
        result = self.connection.pgconn.exec_(statements.encode())
        if result.status == ExecStatus.FATAL_ERROR:
            raise psycopg.errors.error_from_result(result)
        return result

    def rows(self, statement: str, parameters: Mapping[str, Any] | Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return self.connection.execute(statement.encode(), parameters).fetchall()

    def clear(self) -> None:
        """Forget the last seed."""
        self._run(_CLEAR)
        self._seeds += 1
        if self._seeds % _VACUUM_EVERY == 0:
            for table in _TABLES:
                self._run(f"VACUUM {table}")
        self._batches = 0
        self.relay_is_told()

    def close(self) -> None:
        self.connection.close()
