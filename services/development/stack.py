"""All processes of Batchpay as children of one supervisor, for the demo, `batchpay up` and the tests.

A process that dies, also by `kill -9`, is started again. At the end each is asked to drain with SIGTERM and killed
after a bound. Nothing is left running when the supervisor itself is killed.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import structlog

from services.development.local import kill_group, log_tail
from services.development.processes import Process
from services.development.watchdog import Watchdog

log = structlog.get_logger(__name__)

POLL_S = 0.05
FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 5.0
STEADY_AFTER_S = 10.0
"""A process that lived this long has recovered: its next restart is quick again."""

DRAIN_WITHIN_S = 20.0
"""Longer than one processor call may take, so that a charge in flight is recorded before its worker ends."""

ORPHANS_END_WITHIN_S = 5.0
"""The drain of processes whose supervisor was killed; nobody waits for them."""

STARTS_BEFORE_GIVING_UP = 3
"""A process that dies this often before it was ever ready has a fault that another start does not mend."""


class ProcessNotReady(Exception):  # noqa: N818 - it reads as the fact it states
    """A process of the stack did not become ready."""


class Running(Protocol):
    """A process that was started, as `subprocess.Popen` is."""

    @property
    def pid(self) -> int: ...

    def poll(self) -> int | None: ...

    def wait(self, timeout: float | None = None) -> int: ...

    def terminate(self) -> None: ...

    def kill(self) -> None: ...


Start = Callable[[Process, Mapping[str, str], Path], Running]
"""Starts a process as the leader of a group of its own, with this whole environment, its output added to this log."""


def start_python(process: Process, environment: Mapping[str, str], log_file: Path) -> Running:
    """As in production: a new interpreter."""
    with log_file.open("ab") as output:
        return subprocess.Popen(  # noqa: S603 - our own modules, no shell
            [sys.executable, "-m", process.module],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            process_group=0,  # Ctrl-C reaches the supervisor only, which then drains
        )


@dataclass
class Child:
    """A process of the stack and what the supervisor knows of it. `running` is None while a restart is pending."""

    process: Process
    log: Path
    running: Running | None = None
    started_at: float = 0.0
    starts: int = 0
    pause_s: float = FIRST_PAUSE_S
    start_again_at: float = 0.0
    exit_codes: list[int] = field(default_factory=list)
    next_start: Mapping[str, str] = field(default_factory=dict)


class Stack:
    """Runs `processes` inside its `with` block, each with a log file in `run_directory`.

    Entering returns when every process is ready and raises ProcessNotReady, with the end of its log, when one is not
    within `ready_within_s` seconds or keeps dying.
    """

    def __init__(
        self,
        processes: Iterable[Process],
        *,
        run_directory: Path,
        ready_within_s: float = 120.0,
        drain_within_s: float = DRAIN_WITHIN_S,
        start: Start = start_python,
    ) -> None:
        self._children = {process.name: Child(process, run_directory / f"{process.name}.log") for process in processes}
        self._run_directory = run_directory
        self._ready_within_s = ready_within_s
        self._drain_within_s = drain_within_s
        self._start_process = start
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._watchdog = Watchdog()
        self._exit = ExitStack()

    def __enter__(self) -> Self:
        self._run_directory.mkdir(parents=True, exist_ok=True)
        with ExitStack() as undo:
            undo.enter_context(self._watchdog)
            undo.callback(self._drain)
            for child in self._children.values():
                self._start(child)
            supervisor = threading.Thread(target=self._supervise, name="stack-supervisor", daemon=True)
            supervisor.start()
            undo.callback(supervisor.join)
            undo.callback(self._stopping.set)
            self._wait_until_ready()
            self._exit = undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._exit.close()

    def pid(self, name: str) -> int | None:
        """The number of the running process, or None between its death and its restart."""
        with self._lock:
            running = self._child(name).running
            return running.pid if running is not None and running.poll() is None else None

    def starts(self, name: str) -> int:
        """How often the process was started: 1 until it died for the first time."""
        with self._lock:
            return self._child(name).starts

    def kill(self, name: str) -> int:
        """`kill -9` the process and return its number; the supervisor will start it again."""
        with self._lock:
            running = self._child(name).running
            if running is None or running.poll() is not None:
                raise ProcessNotReady(f"{name} is not running now; it is about to be started again")
            running.kill()
            return running.pid

    def terminate(self, name: str) -> int:
        """Ask the process to drain, as a rolling release does, and return its number; it will be started again."""
        with self._lock:
            running = self._child(name).running
            if running is None or running.poll() is not None:
                raise ProcessNotReady(f"{name} is not running now; it is about to be started again")
            running.terminate()
            return running.pid

    def exit_codes(self, name: str) -> list[int]:
        """How the process ended each time that it died; negative for a signal."""
        with self._lock:
            return list(self._child(name).exit_codes)

    def restart(self, name: str, environment: Mapping[str, str]) -> None:
        """`kill -9` the process, if it runs; its next start, and only that one, has `environment` on top."""
        with self._lock:
            child = self._child(name)
            child.next_start = dict(environment)
            child.pause_s = FIRST_PAUSE_S
            if child.running is not None and child.running.poll() is None:
                child.running.kill()

    def logs(self, name: str) -> str:
        """Everything the process has written, over all its starts."""
        return self._child(name).log.read_text(errors="replace")

    def _child(self, name: str) -> Child:
        try:
            return self._children[name]
        except KeyError:
            raise ValueError(f"no process {name!r} in this stack; there are: {', '.join(self._children)}") from None

    def _start(self, child: Child) -> None:
        only_now, child.next_start = child.next_start, {}
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", **child.process.environment, **only_now}
        running = self._start_process(child.process, environment, child.log)
        self._watchdog.stop_group(running.pid, with_signal=signal.SIGTERM, grace_s=ORPHANS_END_WITHIN_S)
        child.running, child.started_at = running, time.monotonic()
        child.starts += 1

    def _supervise(self) -> None:
        while not self._stopping.wait(POLL_S):
            with self._lock:
                for child in self._children.values():
                    self._look_after(child)

    def _look_after(self, child: Child) -> None:
        now = time.monotonic()
        if child.running is None:
            if now >= child.start_again_at:
                self._start(child)
                log.info("process_restarted", name=child.process.name, starts=child.starts)
        elif (code := child.running.poll()) is not None:
            child.exit_codes.append(code)
            self._bury(child)
            if now - child.started_at > STEADY_AFTER_S:
                child.pause_s = FIRST_PAUSE_S
            child.start_again_at = now + child.pause_s
            log.warning("process_died", name=child.process.name, exit_code=code, restart_in_s=child.pause_s)
            child.pause_s = min(child.pause_s * 2, LONGEST_PAUSE_S)

    def _bury(self, child: Child) -> None:
        """A dead leader may leave children of its own that go on consuming; they must be gone before a restart."""
        assert child.running is not None
        kill_group(child.running.pid)
        self._watchdog.forget_group(child.running.pid)
        child.running = None

    def _wait_until_ready(self) -> None:
        give_up_at = time.monotonic() + self._ready_within_s
        for child in self._children.values():
            while not self._is_ready(child):
                with self._lock:
                    keeps_dying = child.running is None and child.starts >= STARTS_BEFORE_GIVING_UP
                if keeps_dying or time.monotonic() > give_up_at:
                    how = "dies again and again" if keeps_dying else f"is not ready after {self._ready_within_s:g} s"
                    raise ProcessNotReady(f"{child.process.name} {how}. The end of its log:\n{log_tail(child.log)}")
                time.sleep(POLL_S)

    def _is_ready(self, child: Child) -> bool:
        with self._lock:
            if child.running is None or child.running.poll() is not None:
                return False
        return child.process.ready is None or child.process.ready(child.log)

    def _drain(self) -> None:
        """Only the leader of a group gets SIGTERM: it tells its children, who may take a second one as "at once"."""
        give_up_at = time.monotonic() + self._drain_within_s
        for last in (False, True):
            leaving = [child for child in self._children.values() if child.process.drained_last is last]
            for child in leaving:
                if child.running is not None:
                    with suppress(ProcessLookupError):
                        child.running.terminate()
            for child in leaving:
                self._wait_for_end(child, give_up_at)

    def _wait_for_end(self, child: Child, give_up_at: float) -> None:
        if child.running is None:
            return
        try:
            child.running.wait(max(give_up_at - time.monotonic(), 0.1))
        except subprocess.TimeoutExpired:
            log.warning("process_drain_cut_short", name=child.process.name, after_s=self._drain_within_s)
            child.running.kill()
            child.running.wait()
        self._bury(child)
