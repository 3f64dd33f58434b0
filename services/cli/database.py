"""The database, for commands that support and operators use."""

import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from psycopg import AsyncConnection

# Whoever waits at a terminal wants to know soon.
_CONNECTED_WITHIN_S = 5
_FORM: Final = re.compile("postgres(ql)?://")


@asynccontextmanager
async def connected(*, autocommit: bool = False) -> AsyncIterator[AsyncConnection[Any]]:
    """A connection whose transaction is committed at the end."""
    connection = await AsyncConnection.connect(
        _database_url(), autocommit=autocommit, connect_timeout=_CONNECTED_WITHIN_S
    )
    async with connection:
        yield connection


def _database_url() -> str:
    found = os.environ.get("BATCHPAY_DATABASE_URL", "")
    if _FORM.match(found):
        return found
    # Says what is wrong with it, as every process does; half of a command's imports, for one that can be right or wrong
    # in one way only.
    from shared.settings import Settings  # noqa: PLC0415

    return Settings().database_url
