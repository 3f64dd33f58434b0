"""Forked processes of sandboxes are what `python -m` makes of the same module."""

import os
import signal
from functools import partial
from pathlib import Path

import psutil
import pytest

from services.development.local import free_port
from services.development.processes import MODULES, Process, answers
from services.development.stack import Start, start_python
from tests.forking import start_forked
from tests.waiting import eventually

WITHIN_S = 60.0
STARTS = pytest.mark.parametrize("start", [start_python, start_forked])


def simulator(port: int) -> Process:
    module, _ = MODULES["simulator-stripe"]
    return Process(name="simulator-stripe", module=module, environment={"BATCHPAY_SIMULATOR_PORT": str(port)})


def without_settings() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("BATCHPAY_")}


@pytest.mark.parametrize("name", ["aggregator", "ingress"])
def test_a_process_runs_from_its_first_line_with_no_environment_but_its_own(name: str, tmp_path: Path) -> None:
    module, own = MODULES[name]
    ended = {}
    for start in (start_python, start_forked):
        log_file = tmp_path / start.__name__
        process = start(Process(name=name, module=module), {**without_settings(), **own}, log_file)
        ended[start] = (process.wait(WITHIN_S), log_file.read_text().splitlines()[-1])
    assert ended[start_python][0] != 0
    assert ended[start_forked] == ended[start_python]


@STARTS
def test_each_leads_a_group_of_its_own_and_is_stopped_killed_and_drained_alone(start: Start, tmp_path: Path) -> None:
    ports = [free_port() for _ in range(2)]
    one, other = (
        start(simulator(port), {**without_settings(), **simulator(port).environment}, tmp_path / str(port))
        for port in ports
    )
    for port in ports:
        healthy = answers(f"http://127.0.0.1:{port}/_control/health")
        eventually(partial(healthy, tmp_path), within_s=WITHIN_S, what="it answers")
    assert [os.getpgid(each.pid) for each in (one, other)] == [one.pid, other.pid]
    os.kill(other.pid, signal.SIGSTOP)
    eventually(lambda: psutil.Process(other.pid).status() == psutil.STATUS_STOPPED, what="it stands still")
    one.kill()
    assert one.wait(WITHIN_S) == -signal.SIGKILL
    assert other.poll() is None
    os.kill(other.pid, signal.SIGCONT)
    other.terminate()
    assert other.wait(WITHIN_S) == 0


def test_what_is_forked_has_no_other_threads_of_the_server(tmp_path: Path) -> None:
    port = free_port()
    started = start_forked(simulator(port), {**without_settings(), **simulator(port).environment}, tmp_path / "log")
    server = psutil.Process(started.pid).parent()
    started.kill()
    started.wait(WITHIN_S)
    assert server
    assert server.pid != os.getpid()
    assert server.num_threads() == 1
    assert server.net_connections("tcp") == []
