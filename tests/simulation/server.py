"""A private PostgreSQL for simulations, where nothing has to outlive them; or the one that the environment names."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from services.development.postgresql import private_postgresql
from services.development.watchdog import Watchdog

_FORGETFUL = ("fsync", "full_page_writes", "autovacuum")


@contextmanager
def postgresql() -> Iterator[str]:
    if url := os.environ.get("BATCHPAY_DATABASE_URL"):
        yield url
        return
    with Watchdog() as watchdog:
        directory = Path(tempfile.mkdtemp(prefix="batchpay-simulation-"))
        watchdog.remove_directory(directory)
        directory.chmod(0o711)  # PostgreSQL may have to run as another account, below this folder
        server, url = private_postgresql(directory, watchdog)
        server.start()
        try:
            with psycopg.connect(url, autocommit=True) as connection:
                for setting in _FORGETFUL:
                    connection.execute(f"ALTER SYSTEM SET {setting} = off".encode())
                connection.execute("SELECT pg_reload_conf()")
            yield url
        finally:
            server.quit()
