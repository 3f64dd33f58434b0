"""Brings a database to the schema of this release."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

# Two processes that start together must not both migrate: the second waits for the first and finds nothing to do.
_MIGRATION_LOCK = 0x62617463687061


def migrate(database_url: str) -> None:
    """Apply all revisions that are missing, in one transaction. Safe to run again and from several processes.

    `database_url` is a libpq URL (`postgresql://...`).
    """
    engine = create_engine(database_url.replace("postgresql://", "postgresql+psycopg://", 1), poolclass=NullPool)
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with engine.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    engine.dispose()
