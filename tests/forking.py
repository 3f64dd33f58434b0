"""Starts processes of a sandbox as forks of a server that has imported everything, for tests that start hundreds.

A process spends a second or two of the processor in its imports before it does anything, twelve in each sandbox; a fork
spends a tenth of that. Everything else is as it is for `python -m`: the module runs as `__main__` with its environment,
in a process and a process group of its own, which can be killed, stopped and drained alone. The server is
multiprocessing's: one thread, no connection, nothing of ours but modules. `make demo`, `make demo-day` and `make up`,
which have tests of their own, start interpreters as production does.
"""

import multiprocessing
import subprocess
import threading
from collections.abc import Mapping
from multiprocessing.connection import wait
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Final

import pytest

from services.development.processes import MODULES, Process
from services.development.stack import Running, start_python
from tests import forked

# Read while modules are imported, which is over in a fork.
_CRASH_AT: Final = "BATCHPAY_CRASH_AT"
# Two threads that ask for the end of a process at once would both read the only message there is about it. Starting one
# asks about all others.
_asking: Final = threading.Lock()


def start_forked(process: Process, environment: Mapping[str, str], log_file: Path) -> Running:
    """Start the process as a fork; as a new interpreter if it is told to crash, or is not a part of Batchpay."""
    if _CRASH_AT in environment or process.name not in MODULES:
        return start_python(process, environment, log_file)
    context = multiprocessing.get_context("forkserver")
    modules = (forked.entry_point(module) for module, _ in MODULES.values())
    # Each child imports what its starter runs as `__main__` too: the script of pytest, unless xdist runs the test.
    context.set_forkserver_preload([pytest.__name__, forked.__name__, *modules])
    told = (process.module, dict(environment), str(log_file))
    with _asking:
        child = context.Process(target=forked.become, args=told, name=process.name, daemon=True)
        child.start()
    return Forked(child)


class Forked:
    """A forked process, with the words of `subprocess.Popen`."""

    def __init__(self, process: ForkServerProcess) -> None:
        assert process.pid
        self._process, self.pid = process, process.pid

    def poll(self) -> int | None:
        with _asking:
            return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        wait([self._process.sentinel], timeout)
        code = self.poll()
        if code is None:
            assert timeout is not None
            raise subprocess.TimeoutExpired(self._process.name, timeout)
        return code

    def terminate(self) -> None:
        self._process.terminate()

    def kill(self) -> None:
        self._process.kill()
