"""Processes of a sandbox that stand still, as in a long pause of a virtual machine or a debugger."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from services.development.sandbox import Sandbox


@contextmanager
def paused(box: Sandbox, *names: str) -> Iterator[None]:
    """Stop processes with SIGSTOP for the time of the block."""
    pids = [pid for name in names if (pid := box.stack.pid(name)) is not None]
    assert len(pids) == len(names), f"not all of {names} are running"
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
