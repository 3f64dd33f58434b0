"""What measurements stand on: private servers, a migrated database to copy, the stub, and a fresh place a round."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from itertools import count
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from services.development.local import free_port
from services.development.processes import Process, answers
from services.development.servers import Kind, Servers, development_servers
from services.development.stack import Stack
from shared.store.migrate import migrate
from tests.bench.stub import RESET_PATH, STATS_PATH
from tests.rabbitmq_vhost import RabbitMQ

_TEMPLATE: Final = "bench_template"
_serial = count(1)


class StubStats(NamedTuple):
    """What the stub has seen since its last reset. Times are of the monotonic clock, as `time.monotonic` here."""

    requests: int
    answers: int
    first_request_s: float
    last_answer_s: float
    held_s: float
    most_held: int


class StubClient:
    """Asks the stub on one kept connection."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._connection = HTTPConnection(urlsplit(url).netloc, timeout=10)

    def stats(self) -> StubStats:
        return self._get(STATS_PATH)

    def reset(self, latency_ms: int) -> None:
        self._get(f"{RESET_PATH}{latency_ms}")

    def _get(self, path: str) -> StubStats:
        self._connection.request("GET", path)
        return StubStats(**json.load(self._connection.getresponse()))


@dataclass(frozen=True, kw_only=True)
class Place:
    """A round's own database and virtual host, on the servers and the stub of all."""

    database_url: str
    amqp_url: str
    stub: StubClient
    directory: Path
    server_pids: dict[str, int]

    def connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.database_url, autocommit=True)


@dataclass(frozen=True, kw_only=True)
class Ground:
    servers: Servers
    stub: StubClient
    directory: Path

    @contextmanager
    def place(self) -> Iterator[Place]:
        """Nothing in it is left from an earlier round, and nothing of it stays."""
        name = f"bench_{next(_serial)}"
        assert self.servers.rabbitmq_api_url
        assert self.servers.postgresql
        assert self.servers.rabbitmq
        virtual_host = RabbitMQ(self.servers.amqp_url, self.servers.rabbitmq_api_url, vhost=name)
        virtual_host.create()
        self._administer(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(_TEMPLATE))
        )
        pids = {"postgresql": self.servers.postgresql.pid, "rabbitmq": self.servers.rabbitmq.pid}
        directory = self.directory / name
        directory.mkdir()
        try:
            yield Place(
                database_url=_database(self.servers.database_url, name),
                amqp_url=virtual_host.amqp_url,
                stub=self.stub,
                directory=directory,
                server_pids={server: pid for server, pid in pids.items() if pid is not None},
            )
        finally:
            self._administer(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
            virtual_host.delete()

    def _administer(self, statement: sql.Composed) -> None:
        with psycopg.connect(self.servers.database_url, autocommit=True) as connection:
            connection.execute(statement)


@contextmanager
def ground(directory: Path) -> Iterator[Ground]:
    """Servers of our own, always: the CPU of servers that others use too would say nothing."""
    with development_servers(Kind.LOCAL) as servers:
        with psycopg.connect(servers.database_url, autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(_TEMPLATE)))
        migrate(_database(servers.database_url, _TEMPLATE))
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        stub = Process(
            name="stub",
            module="tests.bench.stub",
            environment={"BENCH_STUB_PORT": str(port)},
            ready=answers(url + STATS_PATH),
        )
        with Stack([stub], run_directory=directory):
            yield Ground(servers=servers, stub=StubClient(url), directory=directory)


def wait_until(condition: Any, what: str, *, within_s: float = 300.0, every_s: float = 0.003) -> float:
    """Wait for `condition()` to be true; the monotonic time at which it was found so."""
    give_up_s = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > give_up_s:
            raise TimeoutError(f"not so within {within_s:g} s: {what}")
        time.sleep(every_s)
    return time.monotonic()


def _database(url: str, name: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
