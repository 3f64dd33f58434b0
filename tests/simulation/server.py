"""A private PostgreSQL for simulations, where nothing has to outlive them; or the one that the environment names."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from services.development.postgresql import own_postgresql

_FORGETFUL = ("fsync", "full_page_writes", "autovacuum")


@contextmanager
def postgresql() -> Iterator[str]:
    if url := os.environ.get("BATCHPAY_DATABASE_URL"):
        yield url
        return
    with own_postgresql() as (_, url):
        with psycopg.connect(url, autocommit=True) as connection:
            for setting in _FORGETFUL:
                connection.execute(f"ALTER SYSTEM SET {setting} = off".encode())
            connection.execute("SELECT pg_reload_conf()")
        yield url
