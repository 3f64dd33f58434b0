"""The database, for commands that support and operators use."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from psycopg import AsyncConnection
from pydantic import ValidationError

from services.cli.printing import USAGE, fail
from shared.settings import Settings


def settings() -> Settings:
    """Ends the command with what to set."""
    try:
        return Settings()
    except ValidationError as error:
        said = "; ".join(f"BATCHPAY_{str(one['loc'][0]).upper()}: {one['msg']}" for one in error.errors())
        fail(f"The environment is not as it must be. {said}.", code=USAGE)


@asynccontextmanager
async def connected() -> AsyncIterator[AsyncConnection[Any]]:
    """A connection whose transaction is committed at the end."""
    try:
        connection = await AsyncConnection.connect(settings().database_url, connect_timeout=5)
    except psycopg.OperationalError as error:
        fail(f"The database of BATCHPAY_DATABASE_URL does not answer: {error}")
    async with connection:
        yield connection
