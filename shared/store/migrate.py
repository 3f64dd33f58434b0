"""Brings a database to the schema of this release."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

# Two processes that start together must not both migrate: the second waits for the first and finds nothing to do.
_MIGRATION_LOCK = 0x62617463687061


class WrongEncodingError(Exception):
    """The database does not keep its text as UTF-8. Make another: createdb --encoding=UTF8 --template=template0 NAME"""

    def __init__(self) -> None:
        super().__init__(type(self).__doc__)


def migrate(database_url: str) -> None:
    """Apply all revisions that are missing, in one transaction. Safe to run again and from several processes.

    `database_url` is a libpq URL (`postgresql://...`). Raises WrongEncodingError before anything is changed.
    """
    engine = create_engine(
        database_url.replace("postgresql://", "postgresql+psycopg://", 1),
        poolclass=NullPool,
        connect_args={"client_encoding": "UTF8"},
    )
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with engine.begin() as connection:
        # Where the encoding is not known PostgreSQL counts bytes, and lets in what is no text.
        if connection.scalar(text("SHOW server_encoding")) != "UTF8":
            raise WrongEncodingError
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    engine.dispose()
