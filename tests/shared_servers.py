"""One PostgreSQL and one RabbitMQ for a whole test run, however many workers pytest-xdist has.

The controlling process owns them: it starts them when the first test anywhere asks, and stops them at the end. Its
workers ask through a socket whose address they get in their worker input. A run that needs no server starts none.
"""

import os
import secrets
import shutil
import threading
from contextlib import ExitStack
from dataclasses import dataclass, replace
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from typing import Final, Protocol

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from services.development.servers import Kind, Servers, development_servers


class ServersUnavailable(Exception):  # noqa: N818 - it reads as the fact it states
    """The servers for this test run could not be prepared."""


@dataclass(frozen=True, kw_only=True)
class Shared:
    """What a test process needs to know: the servers, and the migrated database that tests copy."""

    servers: Servers
    template: str


# For a run's databases, its journals and RabbitMQ's files.
_ROOM_BYTES: Final = 4 * 2**30


def folder_in_memory() -> Path | None:
    """Where files cost no disk: a test's database is five hundred of them, made and removed a thousand times."""
    folder = Path("/dev/shm")  # noqa: S108 - a folder of its own is made in it
    return folder if folder.is_dir() and shutil.disk_usage(folder).free >= _ROOM_BYTES else None


class Source(Protocol):
    def get(self) -> Shared: ...

    def close(self) -> None: ...


class OwnedServers:
    """The controller's side."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stack = ExitStack()
        self._shared: Shared | None = None
        self._failure: str | None = None

    def get(self) -> Shared:
        """The servers, started by the first call. Raises ServersUnavailable, the same on every call."""
        with self._lock:
            if self._shared is None and self._failure is None:
                try:
                    self._shared = self._start()
                except Exception as error:  # noqa: BLE001 - every test that asks shows it
                    self._failure = f"{type(error).__name__}: {error}"
            if self._shared is None:
                raise ServersUnavailable(self._failure)
            return self._shared

    def _start(self) -> Shared:
        servers = self._stack.enter_context(development_servers(parent=folder_in_memory()))
        if servers.kind is Kind.LOCAL:
            flush_nothing(servers.database_url)
        template = f"batchpay_template_{secrets.token_hex(4)}"
        create_database(servers.database_url, template)
        self._stack.callback(drop_database, servers.database_url, template)
        from shared.store.migrate import migrate  # noqa: PLC0415 - a run without a database test needs no SQL library

        migrate(database_url_of(servers.database_url, template))
        return Shared(servers=servers, template=template)

    def serve(self) -> dict[str, str]:
        """Answer worker processes from a thread; return what they need to ask."""
        key = secrets.token_bytes(16)
        listener = Listener(("127.0.0.1", 0), authkey=key)
        threading.Thread(target=self._answer_all, args=(listener,), daemon=True).start()
        self._stack.callback(listener.close)
        host, port = listener.address
        return {"host": str(host), "port": str(port), "key": key.hex()}

    def _answer_all(self, listener: Listener) -> None:
        while True:
            try:
                connection = listener.accept()
            except OSError:  # closed: the run is over
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: Connection) -> None:
        with connection:
            try:
                shared = self.get()
            except ServersUnavailable as error:
                connection.send(str(error))
            else:
                # The handles of local servers stay here; a worker can only use the addresses.
                connection.send(replace(shared, servers=replace(shared.servers, postgresql=None, rabbitmq=None)))

    def close(self) -> None:
        self._stack.close()


class AskedServers:
    """A worker's side."""

    def __init__(self, address: dict[str, str]) -> None:
        self._address = address
        self._shared: Shared | None = None

    def get(self) -> Shared:
        if self._shared is None:
            where = (self._address["host"], int(self._address["port"]))
            with Client(where, authkey=bytes.fromhex(self._address["key"])) as connection:
                answer = connection.recv()
            if not isinstance(answer, Shared):
                raise ServersUnavailable(answer)
            self._shared = answer
        return self._shared

    def close(self) -> None:
        """The controller owns the servers."""


def flush_nothing(server_url: str) -> None:
    """Let PostgreSQL leave the disk to the operating system, which nothing in a test run but a power cut would show.

    Tests of what is durable have servers of their own.
    """
    on_server(server_url, sql.SQL("ALTER SYSTEM SET fsync = off"))
    on_server(server_url, sql.SQL("SELECT pg_reload_conf()"))


def create_database(server_url: str, name: str, *, template: str = "template0") -> None:
    with psycopg.connect(server_url, autocommit=True) as connection:
        (flushes,) = connection.execute("SHOW fsync").fetchone() or ("on",)
        # Copying the template's files is half the work of logging their pages, unless each has to reach the disk.
        strategy = sql.SQL("WAL_LOG" if flushes == "on" else "FILE_COPY")
        # The encoding is named because a server of the environment may have another default.
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {} ENCODING 'UTF8' STRATEGY {}")
        connection.execute(statement.format(sql.Identifier(name), sql.Identifier(template), strategy))


def drop_database(server_url: str, name: str) -> None:
    on_server(server_url, sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def on_server(server_url: str, statement: sql.Composed) -> None:
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(statement)


def database_url_of(server_url: str, database: str) -> str:
    """`server_url` with another database name."""
    parts = conninfo_to_dict(server_url)
    assert parts.get("dbname"), "the URL of the server names a database"
    before, _, after = server_url.rpartition(f"/{parts['dbname']}")
    return f"{before}/{database}{after}"


def unique(prefix: str) -> str:
    return f"{prefix}_{os.getpid()}_{secrets.token_hex(4)}"
