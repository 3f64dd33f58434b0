"""The database, for commands that support and operators use."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from psycopg import AsyncConnection

from shared.settings import Settings

# Whoever waits at a terminal wants to know soon.
_CONNECTED_WITHIN_S = 5


@asynccontextmanager
async def connected(*, autocommit: bool = False) -> AsyncIterator[AsyncConnection[Any]]:
    """A connection whose transaction is committed at the end."""
    connection = await AsyncConnection.connect(
        Settings().database_url, autocommit=autocommit, connect_timeout=_CONNECTED_WITHIN_S
    )
    async with connection:
        yield connection
