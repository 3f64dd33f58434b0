"""Carries out the faults of a schedule on a running sandbox, and undoes them."""

import os
import shutil
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from http.client import HTTPException
from pathlib import Path
from typing import Any, Final

import psutil
import psycopg
import structlog

from services.development.local import LocalServer, ServerStartFailed, family
from services.development.management import Management, ManagementError
from services.development.sandbox import Sandbox
from services.development.servers import Servers
from shared.domain.words import ProcessorName
from tests.chaos.insisting import insist
from tests.chaos.proxy import Proxies, Weather
from tests.chaos.schedule import Fault, Kind

# More faults at a time than ever are under way.
_THREADS: Final = 64
# Of each misbehaviour so many requests get their share.
_REQUESTS: Final = 3
_DELAY_S: Final = 0.3
_DEFAULT_VHOST: Final = "/"
_STARTS: Final = 3

_log = structlog.get_logger()

Carry = Callable[["World", Fault], AbstractContextManager[None]]


class NotNow(Exception):  # noqa: N818 - it reads as the fact it states
    """The target is being disturbed already, or is not there at the moment."""


@dataclass
class World:
    """What can be disturbed, and what was."""

    servers: Servers
    box: Sandbox
    proxies: Proxies
    healed: threading.Event = field(default_factory=threading.Event)
    injected: Counter[str] = field(default_factory=Counter)
    _busy: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def alone(self, target: str) -> Iterator[None]:
        """Keep `target` for one fault. Raises NotNow."""
        with self._lock:
            if target in self._busy:
                raise NotNow
            self._busy.add(target)
        try:
            yield
        finally:
            with self._lock:
                self._busy.discard(target)

    def count(self, fault: Fault) -> None:
        with self._lock:
            self.injected[fault.kind] += 1


def disturb(world: World, schedule: Sequence[Fault], *, length_s: float) -> None:
    """Inject every fault at its time, then undo what is still under way. Raises what a fault raised."""
    began = time.monotonic()
    with ThreadPoolExecutor(_THREADS) as threads:
        under_way = []
        for fault in schedule:
            time.sleep(max(0.0, began + fault.at_s - time.monotonic()))
            under_way.append(threads.submit(_inject, world, fault))
        time.sleep(max(0.0, began + length_s - time.monotonic()))
        world.healed.set()
        for each in under_way:
            each.result()


def _inject(world: World, fault: Fault) -> None:
    with suppress(NotNow), world.alone(_disturbed(fault)), _CARRIED[fault.kind](world, fault):
        world.count(fault)
        _log.info("fault_injected", kind=fault.kind, target=fault.target, for_s=fault.for_s)
        world.healed.wait(fault.for_s)


def _disturbed(fault: Fault) -> str:
    """A server is disturbed by one fault at a time; so is a process, and a pair that talks."""
    server, _, _ = fault.kind.partition("_")
    return server if server in {"postgresql", "rabbitmq"} else fault.target


# --- Processes --------------------------------------------------------------------------------------------------------


@contextmanager
def _signalled(world: World, fault: Fault, *, number: signal.Signals) -> Iterator[None]:
    os.kill(_running(world, fault.target), number)
    yield


@contextmanager
def _paused(world: World, fault: Fault) -> Iterator[None]:
    pid = _running(world, fault.target)
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def _running(world: World, process: str) -> int:
    pid = world.box.stack.pid(process)
    if pid is None:
        raise NotNow
    return pid


# --- Connections ------------------------------------------------------------------------------------------------------


@contextmanager
def _cut(world: World, fault: Fault) -> Iterator[None]:
    if not world.proxies.cut(*_ends(fault)):
        raise NotNow
    yield


def _half_closed(world: World, fault: Fault) -> AbstractContextManager[None]:
    return world.proxies.half_closed(*_ends(fault))


def _weather(world: World, fault: Fault, *, weather: Weather) -> AbstractContextManager[None]:
    return world.proxies.weather(*_ends(fault), weather)


def _ends(fault: Fault) -> tuple[str, str]:
    process, _, server = fault.target.partition(">")
    return process, server


# --- Servers ----------------------------------------------------------------------------------------------------------


@contextmanager
def _down(world: World, _fault: Fault, *, which: str, end: Callable[[LocalServer], None]) -> Iterator[None]:
    server = getattr(world.servers, which)
    end(server)
    try:
        yield
    finally:
        _start(server)


def _start(server: LocalServer) -> None:
    """A start on a machine under load may take longer than it is given; it is tried again before the run is lost."""
    for _ in range(_STARTS - 1):
        try:
            return server.start()
        except ServerStartFailed:
            _log.warning("server_started_again", server=server.name)
            server.kill()
    return server.start()


def _emptied(server: LocalServer) -> None:
    server.kill()
    shutil.rmtree(Path(server.environment["RABBITMQ_MNESIA_BASE"]))


@contextmanager
def _stopped(world: World, _fault: Fault, *, which: str) -> Iterator[None]:
    """The server's processes stand still; those that end meanwhile are not missed."""
    members = family(getattr(world.servers, which).pid)
    for member in members:
        with suppress(psutil.NoSuchProcess):
            member.suspend()
    try:
        yield
    finally:
        for member in members:
            with suppress(psutil.NoSuchProcess):
                member.resume()


@contextmanager
def _sessions_ended(world: World, _fault: Fault) -> Iterator[None]:
    with _or_not_now(), psycopg.connect(world.box.database_url) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    yield


@contextmanager
def _or_not_now() -> Iterator[None]:
    """A server that does not answer an order is disturbed in another way."""
    try:
        yield
    except (OSError, HTTPException, psycopg.OperationalError) as error:
        raise NotNow from error


@contextmanager
def _connections_closed(world: World, _fault: Fault) -> Iterator[None]:
    management = _management(world)
    with _or_not_now():
        for connection in management.get("connections"):
            with suppress(ManagementError):  # it went away by itself in between
                management.delete("connections", connection["name"])
    yield


@contextmanager
def _queue_deleted(world: World, fault: Fault) -> Iterator[None]:
    with _or_not_now(), suppress(ManagementError):  # it is gone already
        _management(world).delete("queues", _DEFAULT_VHOST, fault.target)
    yield


def _management(world: World) -> Management:
    assert world.servers.rabbitmq_api_url
    return Management(world.servers.rabbitmq_api_url)


# --- Processors -------------------------------------------------------------------------------------------------------


@contextmanager
def _misbehaved(world: World, fault: Fault) -> Iterator[None]:
    processor, operation, behaviour = fault.target.split(":", 2)
    script: Mapping[str, Any] = {"behaviour": behaviour, "operation": operation, "times": _REQUESTS}
    insist(partial(world.box.control, ProcessorName(processor), "script", [script]))
    yield


_CARRIED: Final[Mapping[Kind, Carry]] = {
    Kind.PROCESS_KILLED: partial(_signalled, number=signal.SIGKILL),
    Kind.PROCESS_TERMINATED: partial(_signalled, number=signal.SIGTERM),
    Kind.PROCESS_PAUSED: _paused,
    Kind.PROCESS_PAUSED_PAST_ITS_LEASE: _paused,
    Kind.CONNECTIONS_CUT: _cut,
    Kind.CONNECTIONS_DELAYED: partial(_weather, weather=Weather(delay_s=_DELAY_S)),
    Kind.CONNECTIONS_HALF_CLOSED: _half_closed,
    Kind.CONNECTIONS_REFUSED: partial(_weather, weather=Weather(refusing=True)),
    Kind.CONNECTIONS_SILENT: partial(_weather, weather=Weather(deaf=True, mute=True)),
    Kind.ANSWERS_SWALLOWED: partial(_weather, weather=Weather(deaf=True)),
    Kind.POSTGRESQL_KILLED: partial(_down, which="postgresql", end=LocalServer.kill),
    Kind.POSTGRESQL_PAUSED: partial(_stopped, which="postgresql"),
    Kind.POSTGRESQL_RESTARTED: partial(_down, which="postgresql", end=LocalServer.stop),
    Kind.POSTGRESQL_SESSIONS_ENDED: _sessions_ended,
    Kind.RABBITMQ_KILLED: partial(_down, which="rabbitmq", end=LocalServer.kill),
    Kind.RABBITMQ_PAUSED: partial(_stopped, which="rabbitmq"),
    Kind.RABBITMQ_RESTARTED: partial(_down, which="rabbitmq", end=LocalServer.stop),
    Kind.RABBITMQ_EMPTIED: partial(_down, which="rabbitmq", end=_emptied),
    Kind.RABBITMQ_CONNECTIONS_CLOSED: _connections_closed,
    Kind.RABBITMQ_QUEUE_DELETED: _queue_deleted,
    Kind.PROCESSOR_MISBEHAVED: _misbehaved,
}
