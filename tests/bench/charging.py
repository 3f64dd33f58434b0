"""One round: a contender charges a batch, and what that took."""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import psycopg

from services.development.stack import Stack
from tests.bench.contenders import IN_FLIGHT, Contender
from tests.bench.cpu import Cpu, family, memory_bytes
from tests.bench.ground import Ground, Place, StubStats, wait_until
from tests.bench.population import open_payments, populate, settle_down, submit_rows, take_hints

# Charges before the measured ones: connections are made, statements prepared, imports done.
WARM_UP: Final = 640
_LONGEST_LOOK_S: Final = 0.1
_SHORTEST_LOOK_S: Final = 0.003


class ContenderDiedError(Exception):
    """A process of a round died."""


@dataclass(frozen=True, kw_only=True)
class Round:
    """CPU is microseconds a charge by process; `worker` is the sum of the workers, `total` of all."""

    charges: int
    seconds: float
    rate: float
    in_flight_efficiency: float | None
    held_on_average: float
    held_ms: float
    most_held: int
    cpu_us: dict[str, float]
    worker_memory_mb: float


def charge_round(
    ground: Ground, contender: Contender, *, charges: int, latency_ms: int, batch_size: int | None = None
) -> Round:
    """Run a contender on a place of its own and measure `charges` charges after a warm-up, in one batch unless said."""
    warm, measured = range(1, 1 + WARM_UP), range(1 + WARM_UP, 1 + WARM_UP + charges)
    size = batch_size or charges
    batches = [measured[start : start + size] for start in range(0, charges, size)]
    with ground.place() as place, place.connect() as connection:
        populate(connection, processor=contender.processor, invoices=[WARM_UP + charges])
        settle_down(connection)
        with Stack(contender.processes(place), run_directory=place.directory) as stack:
            names = [process.name for process in contender.processes(place)]
            leaders = first_starts(stack, names)
            place.stub.reset(latency_ms)
            _give(place, connection, contender, [warm])
            wait_finished(place, connection, contender, charges=WARM_UP)
            with _stopped(first_starts(stack, names)):
                _give(place, connection, contender, batches)
                settle_down(connection)
                place.stub.reset(latency_ms)
                before = Cpu.read(place.server_pids | leaders)
            finished_s = wait_finished(place, connection, contender, charges=charges)
            stats = place.stub.stats()
            if contender.publish is None:
                wait_until(lambda: _quiet(connection), "all events are published and counted", every_s=0.02)
            used = Cpu.read(place.server_pids | first_starts(stack, names)).since(before)
            memory = sum(memory_bytes(pid) for name, pid in leaders.items() if name.startswith("worker"))
    return _round(stats, used, finished_s=finished_s, latency_ms=latency_ms, memory=memory)


def _give(place: Place, connection: psycopg.Connection[Any], contender: Contender, batches: Sequence[range]) -> None:
    """Submit batches; where no relay runs, their hints go out by the contender's own publisher."""
    submitted = submit_rows(place.database_url, batches)
    if contender.publish:
        contender.publish(place, [job for batch in submitted for job in take_hints(connection, batch=batch)])


def first_starts(stack: Stack, names: Iterable[str]) -> dict[str, int]:
    """The processes' numbers. Raises ContenderDiedError if one is not the one that was started at first."""
    pids = {name: stack.pid(name) for name in names}
    found = {name: pid for name, pid in pids.items() if pid is not None and stack.starts(name) == 1}
    for name in pids.keys() - found.keys():
        raise ContenderDiedError(
            f"{name} has died, and what it took is lost. Its log ends:\n{stack.logs(name)[-2000:]}"
        )
    return found


@contextmanager
def _stopped(leaders: dict[str, int]) -> Iterator[None]:
    """Nobody works while the work is laid out, so that publishing it is not part of what is measured."""
    members = [member for pid in leaders.values() for member in family(pid)]
    for member in members:
        member.suspend()
    try:
        yield
    finally:
        for member in members:
            member.resume()


def wait_finished(place: Place, connection: psycopg.Connection[Any], contender: Contender, *, charges: int) -> float:
    """The monotonic time at which the last charge was final. Looks more often towards the end, not to be in the way."""
    began_s, give_up_s = time.monotonic(), time.monotonic() + 600
    while (stats := place.stub.stats()).answers < charges:
        now_s = time.monotonic()
        if now_s > give_up_s:
            raise TimeoutError(f"{contender.name}: {stats.answers} of {charges} charges after {now_s - began_s:.0f} s")
        left_s = (charges - stats.answers) * (now_s - (stats.first_request_s or now_s)) / max(stats.answers, 1)
        time.sleep(min(max(left_s / 3, _SHORTEST_LOOK_S), _LONGEST_LOOK_S))
    if not contender.books:
        return stats.last_answer_s
    return wait_until(lambda: not open_payments(connection), f"{contender.name} has recorded every answer")


def _quiet(connection: psycopg.Connection[Any]) -> bool:
    row = connection.execute(
        "SELECT NOT EXISTS (SELECT FROM outbox) AND NOT EXISTS (SELECT FROM batch_hint)"
        " AND NOT EXISTS (SELECT FROM batch WHERE status = 'processing')"
    ).fetchone()
    assert row
    return bool(row[0])


def _round(stats: StubStats, used: dict[str, float], *, finished_s: float, latency_ms: int, memory: int) -> Round:
    seconds = finished_s - stats.first_request_s
    rate = stats.answers / seconds
    cpu_us = {name: spent_s / stats.answers * 1e6 for name, spent_s in used.items()}
    worker = sum(value for name, value in cpu_us.items() if name.startswith("worker"))
    others = {name: value for name, value in cpu_us.items() if not name.startswith("worker")}
    return Round(
        charges=stats.answers,
        seconds=seconds,
        rate=rate,
        in_flight_efficiency=rate * latency_ms / 1000 / IN_FLIGHT if latency_ms else None,
        held_on_average=stats.held_s / (stats.last_answer_s - stats.first_request_s),
        held_ms=stats.held_s / stats.answers * 1000,
        most_held=stats.most_held,
        cpu_us={"total": sum(cpu_us.values()), "worker": worker, **others},
        worker_memory_mb=memory / 2**20,
    )
