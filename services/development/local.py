"""One server process on this machine that can be stopped, killed and started again on the same port and data."""

import os
import pwd
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict

import psutil

from services.development.watchdog import Watchdog

START_WITHIN_S = 90.0
"""RabbitMQ takes about 5 s on an idle laptop; a loaded CI machine may take ten times as long."""

STOP_WITHIN_S = 30.0
"""A graceful stop that takes longer is a fault worth seeing, and is then forced."""

PORTS = range(15_000, 32_000)
"""Below the ephemeral ranges of Linux and macOS, so that no outgoing connection takes a port chosen here."""

LOG_TAIL_CHARACTERS = 2_000
"""What an error message shows of a log: enough for the cause, short enough for a terminal."""


class ServerStartFailed(Exception):  # noqa: N818 - it reads as the fact it states
    """A development server did not start."""


def free_port(among: Sequence[int] = PORTS) -> int:
    """A TCP port of 127.0.0.1 that nobody listens on, and that no process gets from here while this one lives.

    Its server may bind it late and again and again; without the reservation another process that chooses at the same
    time may be there first.
    """
    while True:
        port = random.SystemRandom().choice(among)
        if is_free(port) and _reserve(port):
            return port


def _reserve(port: int) -> bool:
    """Take the UDP port of the same number, which no server here uses; the kernel frees it when this process ends."""
    holder = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        holder.bind(("127.0.0.1", port))
    except OSError:
        holder.close()
        return False
    # It stays open until then.
    holder.detach()
    return True


def is_free(port: int) -> bool:
    """Whether nobody listens on this port of 127.0.0.1 now."""
    with socket.socket() as probe:
        # As servers do it: connections that were closed a moment ago do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def log_tail(log: Path) -> str:
    if not log.exists():
        return ""
    return log.read_text(errors="replace")[-LOG_TAIL_CHARACTERS:].strip()


@dataclass(kw_only=True)
class LocalServer:
    """A server run by this process, in its own process group and known to a watchdog.

    `answers` returns when the server is ready and raises any exception while it is not. `stop_signal` asks for a
    graceful stop, `quit_signal` for the fastest one that leaves no process behind. `account` is the unprivileged
    account to run as, for a server that refuses to run as root.
    """

    name: str
    command: Sequence[str] = field(repr=False)
    environment: Mapping[str, str] = field(repr=False)
    log: Path
    answers: Callable[[], None] = field(repr=False)
    watchdog: Watchdog = field(repr=False)
    stop_signal: signal.Signals = field(repr=False)
    quit_signal: signal.Signals = field(repr=False)
    account: pwd.struct_passwd | None = field(default=None, repr=False)
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False, repr=False)

    @property
    def pid(self) -> int | None:
        """The number of the running process, or None while it is stopped."""
        return self._process.pid if self._process is not None else None

    def start(self) -> None:
        """Start the server and return when it answers.

        Raises ServerStartFailed with the end of its log when it exits or does not answer in time.
        """
        assert self._process is None, f"{self.name} runs already"
        with self.log.open("ab") as output:
            process = subprocess.Popen(  # noqa: S603 - our own command line, no shell
                self.command,
                env=dict(self.environment),
                cwd=self.log.parent,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                process_group=0,
                **as_account(self.account),
            )
        self._process = process
        self.watchdog.stop_group(process.pid, with_signal=self.quit_signal, grace_s=10.0)
        self._wait_until_it_answers(process)

    def stop(self) -> None:
        """Stop gracefully, as an operator would."""
        self._end(self.stop_signal)

    def kill(self) -> None:
        """Kill every process of the server with SIGKILL, as a power cut would. Nothing happens if it is down."""
        process = self._process
        if process is None:
            return
        # PostgreSQL's children lead groups of their own, so the group alone would leave them running for a moment,
        # and a restart would refuse to start beside them.
        with_children = family(process.pid)
        for member in with_children:
            try:
                member.kill()
            except psutil.NoSuchProcess:
                continue
        give_up_at = time.monotonic() + STOP_WITHIN_S
        while any(runs(member) for member in with_children) and time.monotonic() < give_up_at:
            time.sleep(0.01)
        self._end(signal.SIGKILL)

    def quit(self) -> None:
        """Stop as fast as possible without leaving a process behind. Nothing happens if it is down."""
        if self._process is not None:
            self._end(self.quit_signal)

    def _end(self, with_signal: signal.Signals) -> None:
        process = self._process
        assert process is not None, f"{self.name} does not run"
        process.send_signal(with_signal)
        try:
            process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        kill_group(process.pid)
        self.watchdog.forget_group(process.pid)
        self._process = None

    def _wait_until_it_answers(self, process: subprocess.Popen[bytes]) -> None:
        give_up_at = time.monotonic() + START_WITHIN_S
        while True:
            try:
                self.answers()
            except Exception as error:
                if process.poll() is not None:
                    raise ServerStartFailed(
                        f"{self.name} exited with code {process.returncode} while starting. "
                        f"The end of its log:\n{log_tail(self.log)}"
                    ) from error
                if time.monotonic() > give_up_at:
                    raise ServerStartFailed(
                        f"{self.name} runs but did not answer within {START_WITHIN_S:.0f} s ({error}). "
                        f"The end of its log:\n{log_tail(self.log)}"
                    ) from error
                time.sleep(0.1)
            else:
                return


class Account(TypedDict, total=False):
    user: int
    group: int
    extra_groups: list[int]


def as_account(account: pwd.struct_passwd | None) -> Account:
    """The arguments that make subprocess run a command as `account`; none to stay who we are."""
    if account is None:
        return {}
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def family(pid: int) -> list[psutil.Process]:
    try:
        leader = psutil.Process(pid)
        return [leader, *leader.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def runs(process: psutil.Process) -> bool:
    """False for a zombie too: it holds nothing any more, whenever its parent may notice."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def kill_group(leader: int) -> None:
    """SIGKILL whatever is left of the process group that `leader` led."""
    try:
        os.killpg(leader, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # macOS answers EPERM for a group of zombies
        return
