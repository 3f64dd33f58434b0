"""Processes that stop at gates. Between two gates of all processes nothing happens; one gate is opened at a time."""

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import Context
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tests.simulation.clock import Clock
from tests.simulation.trace import Trace

# At these a process waits for work.
IDLE = ("receive", "round", "sweep", "submit", "void", "refund")


def _always() -> bool:
    return True


@dataclass(eq=False, slots=True, kw_only=True)
class Gate:
    """Where a task of a process waits for its turn. `latest` is when it must have had it."""

    process: "Process"
    kind: str
    what: str
    ready_at: datetime
    latest: datetime | None
    ready: Callable[[], bool]
    opened: asyncio.Future[None]


@dataclass(eq=False, slots=True, kw_only=True)
class Process:
    """One process of ours: its tasks share its fate. A dead one's gates are never opened, a frozen one's later."""

    name: str
    role: str
    gates: "Gates" = field(repr=False)
    alive: bool = True
    frozen_until: datetime | None = None

    @property
    def awake(self) -> bool:
        return self.alive and self.frozen_until is None

    def start(self, work: Coroutine[Any, Any, object]) -> None:
        self.gates.start(work)

    async def gate(
        self,
        kind: str,
        what: str = "",
        *,
        after_s: float = 0.0,
        at_most_s: float | None = None,
        ready: Callable[[], bool] = _always,
    ) -> None:
        """Wait `after_s` at least, until `ready`, and then for the turn; no longer than `at_most_s` unless dead."""
        clock = self.gates.clock
        await self.gates.wait(
            Gate(
                process=self,
                kind=kind,
                what=what,
                ready_at=clock.in_s(after_s),
                latest=None if at_most_s is None else clock.in_s(at_most_s),
                ready=ready,
                opened=asyncio.get_running_loop().create_future(),
            )
        )


class Gates:
    """All gates at which tasks wait now, in the order of their arrival."""

    def __init__(self, clock: Clock, trace: Trace) -> None:
        self.clock = clock
        self._trace = trace
        self._waiting: dict[Gate, None] = {}
        self._tasks: list[asyncio.Task[object]] = []

    def start(self, work: Coroutine[Any, Any, object]) -> None:
        self._tasks.append(asyncio.get_running_loop().create_task(work, context=Context()))

    async def wait(self, gate: Gate) -> None:
        self._waiting[gate] = None
        try:
            await gate.opened
        finally:
            self._waiting.pop(gate, None)

    def open(self, gate: Gate) -> None:
        self._trace.add(f"{gate.process.name}: {gate.kind} {gate.what}".rstrip())
        del self._waiting[gate]
        gate.opened.set_result(None)

    def enabled(self) -> list[Gate]:
        now = self.clock.now
        return [gate for gate in self._waiting if gate.process.awake and gate.ready_at <= now and gate.ready()]

    def waiting_processes(self) -> list[Process]:
        """The awake processes, each once for every gate at which it has something under way."""
        return [gate.process for gate in self._waiting if gate.process.awake and gate.kind not in IDLE]

    def overdue(self) -> Gate | None:
        """A gate that must be opened now."""
        now = self.clock.now
        return next((g for g in self._waiting if g.process.alive and g.latest is not None and g.latest <= now), None)

    def next_turn(self) -> datetime | None:
        """When the next gate of an awake process becomes ready by time alone."""
        now = self.clock.now
        return min((g.ready_at for g in self._waiting if g.process.awake and g.ready_at > now), default=None)

    def advance(self, to: datetime) -> None:
        """Move the clock, but not beyond a gate that must be opened first."""
        bounds = [gate.latest for gate in self._waiting if gate.process.alive and gate.latest is not None]
        self.clock.advance(min([to, *bounds]))

    def forget(self, process: Process) -> None:
        """Its tasks never go on."""
        for gate in [gate for gate in self._waiting if gate.process is process]:
            del self._waiting[gate]

    def failure(self) -> BaseException | None:
        """What ended a task that should not have ended."""
        over = [task for task in self._tasks if task.done()]
        self._tasks = [task for task in self._tasks if not task.done()]
        return next((error for task in over if not task.cancelled() and (error := task.exception())), None)

    async def end(self) -> None:
        """Take every task away, those too that our code started."""
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
