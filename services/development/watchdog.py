"""A small process that outlives its parent only to clean up after it.

A context manager cannot run when its process is killed with SIGKILL. The watchdog holds the read end of a pipe
whose write end is the parent's alone: when the parent ends, however it ends, the pipe closes and the watchdog stops
what the parent had started and removes what it had written. This needs nothing of the operating system but pipes and
process groups, so it works on Linux and macOS alike.

This file is run by its path, with the standard library only, so that it starts quickly.
"""

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

POLL_S = 0.5
"""How often the watchdog checks that its parent still lives, for a pipe kept open by a forked copy of the parent."""

CLOSE_WITHIN_S = 30.0
"""Bound on waiting for the watchdog at a normal end; longer than any grace time a caller asks for."""


class Watchdog:
    """The parent's side: what it says is undone when it ends.

    Entering starts the process; leaving makes it clean up at once and waits for that.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(  # noqa: S603 - our own file, no shell
            [sys.executable, str(Path(__file__)), str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,  # Ctrl-C in the terminal must not reach it
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        process = self._process
        assert process is not None
        assert process.stdin is not None
        with suppress(BrokenPipeError):
            process.stdin.close()
        try:
            process.wait(CLOSE_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def stop_group(self, leader: int, *, with_signal: signal.Signals, grace_s: float) -> None:
        """Send `with_signal` to process `leader`, then SIGKILL to its group once `grace_s` seconds are over."""
        self._say({"leader": leader, "signal": int(with_signal), "grace_s": grace_s})

    def forget_group(self, leader: int) -> None:
        """Leave process group `leader` alone: it has ended, and its number may soon belong to somebody else."""
        self._say({"forget": leader})

    def remove_directory(self, directory: Path) -> None:
        self._say({"directory": str(directory)})

    def remove_container(self, container_id: str) -> None:
        self._say({"container": container_id})

    def _say(self, order: dict[str, str | int | float]) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        # One write of less than PIPE_BUF bytes is atomic, so threads need no lock.
        os.write(self._process.stdin.fileno(), json.dumps(order).encode() + b"\n")


def watch(parent: int) -> None:
    """Collect the orders of `parent` until it ends, then carry them out."""
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    received = b""
    parent_lives = True
    while parent_lives:
        # Asked before the pipe is read: a parent that died in between has left its last orders there.
        parent_lives = os.getppid() == parent
        while select.select([0], [], [], POLL_S if parent_lives else 0)[0]:
            part = os.read(0, 65536)
            if not part:
                clean_up(received)
                return
            received += part
    clean_up(received)


def clean_up(received: bytes) -> None:
    orders = [json.loads(line) for line in received.splitlines() if line.endswith(b"}")]
    groups: dict[int, dict[str, str | int | float]] = {}
    for order in orders:
        if "leader" in order:
            groups[int(order["leader"])] = order
        elif "forget" in order:
            groups.pop(int(order["forget"]), None)
    stop_groups(groups)
    for order in orders:
        if "container" in order:
            remove_container(str(order["container"]))
        if "directory" in order:
            shutil.rmtree(str(order["directory"]), ignore_errors=True)


def stop_groups(groups: dict[int, dict[str, str | int | float]]) -> None:
    for leader, order in groups.items():
        with suppress(ProcessLookupError, PermissionError):
            os.kill(leader, int(order["signal"]))
    started = time.monotonic()
    for leader, order in groups.items():
        while group_lives(leader) and time.monotonic() - started < float(order["grace_s"]):
            time.sleep(0.02)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(leader, signal.SIGKILL)


def group_lives(leader: int) -> bool:
    try:
        os.killpg(leader, 0)
    except (ProcessLookupError, PermissionError):  # macOS answers EPERM for a group of zombies
        return False
    return True


def remove_container(container_id: str) -> None:
    # Only the watchdog of containers pays for this import.
    import docker  # type: ignore[import-untyped]  # noqa: PLC0415

    with suppress(docker.errors.NotFound):
        docker.from_env().api.remove_container(container_id, v=True, force=True)


if __name__ == "__main__":
    watch(int(sys.argv[1]))
