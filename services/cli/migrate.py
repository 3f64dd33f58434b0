"""`batchpay migrate`: brings the database to this release."""

import typer

from shared.settings import Settings
from shared.store.migrate import migrate as run


def migrate() -> None:
    """Apply all migrations that are missing. Safe to run again."""
    run(Settings().database_url)
    typer.echo("The database is at this release.")
