"""The supervisor of the processes: restarts the dead, drains the living, leaves no orphan."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from services.development.processes import MODULES, Process, logged, processes
from services.development.stack import ProcessNotReady, Stack
from tests.waiting import eventually

WORKER = """
import os, signal, subprocess, sys, time
def drain(*_):
    print("drained", os.environ.get("WHO"), time.time(), flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, signal.SIG_IGN if os.environ.get("STUBBORN") else drain)
helper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) if os.environ.get("HELPER") else None
print("helper", helper.pid if helper else None, flush=True)
print("working", flush=True)
while True:
    time.sleep(0.05)
"""

SUPERVISOR = """
import json, sys
from pathlib import Path
from services.development.processes import Process, logged
from services.development.stack import Stack
worker = Process(name="worker", module="worker", environment=json.loads(sys.argv[2]), ready=logged("working"))
with Stack([worker], run_directory=Path(sys.argv[1])) as stack:
    print(stack.pid("worker"), flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """The environment in which `python -m worker` runs WORKER."""
    modules = tmp_path / "modules"
    modules.mkdir()
    (modules / "worker.py").write_text(WORKER)
    (modules / "broken.py").write_text("raise SystemExit('no such setting: BATCHPAY_EXAMPLE')")
    return {"PYTHONPATH": str(modules)}


def worker(environment: dict[str, str], name: str = "worker", *, drained_last: bool = False, **more: str) -> Process:
    return Process(
        name=name,
        module="worker",
        environment={**environment, "WHO": name, **more},
        ready=logged("working"),
        drained_last=drained_last,
    )


def lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def helper_pids(stack: Stack) -> list[int]:
    return [int(line.split()[1]) for line in stack.logs("worker").splitlines() if line.startswith("helper")]


def test_a_killed_process_is_started_again_after_its_own_children_are_gone(
    environment: dict[str, str], tmp_path: Path
) -> None:
    with Stack([worker(environment, HELPER="1")], run_directory=tmp_path / "run") as stack:
        killed = stack.kill("worker")
        eventually(lambda: stack.pid("worker") not in {None, killed}, what="another process has taken its place")
        eventually(lambda: stack.logs("worker").count("working") == 2, what="it works again")
        assert stack.starts("worker") == 2
        first_helper, second_helper = helper_pids(stack)
        assert not lives(first_helper)
        assert lives(second_helper)
    # It was killed with its group; until it has ended takes a moment on a busy machine.
    eventually(lambda: not lives(second_helper), what="its helper is gone")


def test_an_environment_of_one_start_is_gone_with_the_next(environment: dict[str, str], tmp_path: Path) -> None:
    def had_a_helper() -> list[bool]:
        lines = stack.logs("worker").splitlines()
        return [line != "helper None" for line in lines if line.startswith("helper")]

    with Stack([worker(environment)], run_directory=tmp_path / "run") as stack:
        stack.restart("worker", {"HELPER": "1"})
        eventually(lambda: had_a_helper() == [False, True], what="the next start")
        stack.kill("worker")
        eventually(lambda: had_a_helper() == [False, True, False], what="and the one after it")
        assert stack.exit_codes("worker") == [-signal.SIGKILL, -signal.SIGKILL]


def test_processes_drain_at_the_end_and_those_the_others_need_drain_last(
    environment: dict[str, str], tmp_path: Path
) -> None:
    together = [worker(environment, "simulator", drained_last=True), worker(environment, "charge")]
    with Stack(together, run_directory=tmp_path) as stack:
        pids = [stack.pid("simulator"), stack.pid("charge")]
    drained = {name: float(stack.logs(name).split()[-1]) for name in ("simulator", "charge")}
    assert drained["charge"] < drained["simulator"]
    assert not any(lives(pid) for pid in pids if pid)


def test_a_process_that_does_not_drain_is_killed_after_the_bound(environment: dict[str, str], tmp_path: Path) -> None:
    started = time.monotonic()
    with Stack([worker(environment, STUBBORN="1")], run_directory=tmp_path, drain_within_s=0.3) as stack:
        pid = stack.pid("worker")
    assert pid is not None
    assert not lives(pid)
    assert time.monotonic() - started < 10


def test_a_process_that_cannot_start_fails_the_stack_with_its_own_words(
    environment: dict[str, str], tmp_path: Path
) -> None:
    broken = Process(name="broken", module="broken", environment=environment, ready=logged("working"))
    with (
        pytest.raises(ProcessNotReady, match=r"(?s)broken dies again and again.*no such setting: BATCHPAY_EXAMPLE"),
        Stack([broken], run_directory=tmp_path),
    ):
        pytest.fail("a broken stack was entered")


@pytest.mark.parametrize("stubborn", ["", "1"])
def test_no_orphan_is_left_when_the_supervisor_is_killed(
    environment: dict[str, str], tmp_path: Path, stubborn: str
) -> None:
    told = json.dumps({**environment, "HELPER": "1", "STUBBORN": stubborn})
    with subprocess.Popen(
        [sys.executable, "-c", SUPERVISOR, str(tmp_path), told], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as supervisor:
        assert supervisor.stdout is not None
        pid = int(supervisor.stdout.readline())
        helper = int((tmp_path / "worker.log").read_text().split()[1])
        assert os.getpgid(helper) == pid
        supervisor.send_signal(signal.SIGKILL)
    eventually(lambda: not lives(pid) and not lives(helper), within_s=20, what="worker and helper are gone")


def test_every_process_has_the_common_environment_and_its_own() -> None:
    listed = {
        process.name: process
        for process in processes({"COMMON": "1"}, also={"submit": {"PORT": "2"}}, ready={"submit": logged("up")})
    }
    assert listed.keys() == MODULES.keys()
    assert all(process.environment["COMMON"] == "1" for process in listed.values())
    assert listed["submit"].environment["PORT"] == "2"
    assert listed["submit"].ready is not None
    assert listed["charge-stripe"].environment["BATCHPAY_CHARGE_PROCESSOR"] == "stripe"
    assert [name for name, process in listed.items() if process.drained_last] == [
        "simulator-vantage",
        "simulator-stripe",
    ]
    with pytest.raises(ValueError, match="no such process: charge"):
        processes({}, also={"charge": {}})
