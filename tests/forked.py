"""The child's side of `forking`: what makes a fork the process that it is meant to be. It imports next to nothing."""

import os
import runpy
import sys
from collections.abc import Mapping
from importlib.util import find_spec


def entry_point(module: str) -> str:
    """What `python -m module` runs: a package's `__main__`, or the module."""
    found = find_spec(module)
    return f"{module}.__main__" if found and found.submodule_search_locations else module


def become(module: str, environment: Mapping[str, str], log_file: str) -> None:
    """Do as `python -m module` does, in a group of its own, with this environment and this log."""
    os.setpgid(0, 0)
    os.environ.clear()
    os.environ.update(environment)
    output = os.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(output, sys.stdout.fileno())
    os.dup2(output, sys.stderr.fileno())
    os.close(output)
    sys.stdout.reconfigure(line_buffering=True)
    sys.argv[:] = [module]
    # It was imported only for what it imports; here it runs, from its first line.
    del sys.modules[entry_point(module)]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
