"""What our code borrows instead of a pool and its connections: the simulation's one session, and faults.

A transaction's statements run at once, without giving the turn away, so a transaction is one step of the simulation.
How transactions meet on row locks is not seen here; the store's own tests are about that.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum, auto
from operator import itemgetter
from types import TracebackType
from typing import Any, Self

import psycopg
from psycopg_pool import PoolTimeout

from tests.simulation.gates import Process
from tests.simulation.world import World


class Borrowed:
    """An AsyncConnection to our code."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    async def execute(self, query: Any, parameters: Any = None, *, prepare: bool | None = None) -> "BorrowedCursor":
        return BorrowedCursor(self._connection.execute(query, parameters, prepare=prepare))

    def cursor(self, *, row_factory: Any) -> "BorrowedCursor":
        return BorrowedCursor(self._connection.cursor(row_factory=row_factory))


class BorrowedCursor:
    """An AsyncCursor to our code."""

    def __init__(self, cursor: psycopg.Cursor[Any]) -> None:
        self._cursor = cursor

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._cursor.close()

    async def execute(self, query: Any, parameters: Any = None, *, prepare: bool | None = None) -> Self:
        self._cursor.execute(query, parameters, prepare=prepare)
        return self

    async def fetchone(self) -> Any:
        return self._cursor.fetchone()

    async def fetchall(self) -> list[Any]:
        """What a change returns has no order and comes as the rows happen to lie: here it comes by its first column."""
        rows, status = self._cursor.fetchall(), self._cursor.statusmessage or ""
        return rows if status.startswith("SELECT") else sorted(rows, key=itemgetter(0))


class _Fate(Enum):
    COMMITTED = auto()
    ANSWER_LOST = auto()
    FAILED = auto()
    FORGOTTEN = auto()


def _draw_fate(world: World) -> _Fate:
    if world.chance(world.parts.forgotten_commits):
        return _Fate.FORGOTTEN
    if world.strikes("commit_fails"):
        return _Fate.FAILED
    return _Fate.ANSWER_LOST if world.strikes("commit_answer_lost") else _Fate.COMMITTED


class Pool:
    """An AsyncConnectionPool to our code."""

    def __init__(self, world: World, process: Process) -> None:
        self.world = world
        self.process = process

    async def check(self) -> None:
        """Its connections do not break: transactions end badly instead."""

    def connection(self) -> "_Transaction":
        return _Transaction(self.world, self.process)


class _Transaction:
    """The process stops before it and after its commit: there it may be frozen or die."""

    def __init__(self, world: World, process: Process) -> None:
        self._world = world
        self._process = process

    async def __aenter__(self) -> Borrowed:
        world = self._world
        await self._process.gate("connection")
        if world.strikes("no_connection"):
            raise PoolTimeout("no connection")
        world.session.begin(world.clock.now.isoformat())
        return Borrowed(world.session.connection)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is not None:
            self._world.session.roll_back()
            return
        end(self._world, self._process)
        await self._process.gate("committed")


def end(world: World, process: Process) -> None:
    """Commit, or whatever becomes of it. Raises psycopg.OperationalError where the process sees no success."""
    fate = _draw_fate(world)
    if fate in (_Fate.FAILED, _Fate.FORGOTTEN):
        world.session.roll_back()
    else:
        world.session.commit()
    if fate is not _Fate.COMMITTED:
        world.trace.add(f"{process.name}: ! commit {fate.name.lower()}")
    if fate in (_Fate.FAILED, _Fate.ANSWER_LOST):
        raise psycopg.OperationalError(f"commit {fate.name.lower()}")


class RelayConnection:
    """A plain Connection to the relay, which works in one go: it stops before and after a round, not in it."""

    def __init__(self, world: World, process: Process) -> None:
        self._world = world
        self._process = process
        self.execute = world.session.connection.execute
        self.cursor = world.session.connection.cursor

    @contextmanager
    def transaction(self) -> Iterator[None]:
        session = self._world.session
        told = session.to_relay
        session.begin(self._world.clock.now.isoformat())
        try:
            yield
        except BaseException:
            session.roll_back()
            raise
        end(self._world, self._process)
        # A relay's commit tells nobody: it knows itself when to look again. Rows that a full queue leaves to it would
        # keep it at work for ever, while the workers that could empty the queue are frozen.
        session.to_relay = told
