"""`batchpay demo-day`."""

import asyncio
import sys
import tempfile
from pathlib import Path

import typer
from rich.console import Console

from services.cli.import_folder import run_import
from services.cli.read_folder import read_folder
from services.development import demo_day
from services.development.day_result import show
from services.development.servers import development_servers

_SAMPLE = Path(demo_day.__file__).parent / "sample"


def run() -> None:
    """Play one day of both processors on their own clocks; exit 1 if a payment is not what really moved."""
    console = Console(width=None if sys.stdout.isatty() else 160)
    with tempfile.TemporaryDirectory(prefix="batchpay-day-") as run_directory, development_servers() as servers:
        console.print(f"Servers: {servers.kind}. Logs of this run: {run_directory}")
        with demo_day.day_sandbox(servers, vault=_SAMPLE / "vault.csv", run_directory=Path(run_directory)) as box:
            asyncio.run(run_import(box.database_url, read_folder(_SAMPLE), actor="demo"))
            result = demo_day.run(box, console=console)
    show(result, console)
    raise typer.Exit(1 if result.differences else 0)
