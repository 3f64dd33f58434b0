"""`batchpay demo`."""

import asyncio
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from services.cli.import_folder import _print, run_import
from services.cli.read_folder import read_folder
from services.development import demo
from services.development.sandbox import sandbox
from services.development.servers import development_servers

_SAMPLE = Path(demo.__file__).parent / "sample"
# Where the larger sample lies when the project is checked out beside its reference material.
_LARGE_SAMPLE = Path("../shared/data")


def run(
    folder: Annotated[
        Path | None, typer.Argument(help="An export to run on, with a vault.csv for the simulators.")
    ] = None,
) -> None:
    """Run the main job on a sample export with simulated processors; exit 1 if our books differ from what moved."""
    # Not at a terminal, the tables still have room.
    console = Console(width=None if sys.stdout.isatty() else 160)
    data = folder or (_LARGE_SAMPLE if (_LARGE_SAMPLE / "vault.csv").exists() else _SAMPLE)
    with tempfile.TemporaryDirectory(prefix="batchpay-demo-") as run_directory, development_servers() as servers:
        console.print(f"Servers: {servers.kind}. Logs of this run: {run_directory}")
        with sandbox(servers, vault=data / "vault.csv", run_directory=Path(run_directory)) as box:
            _print(asyncio.run(run_import(box.database_url, read_folder(data), actor="demo")))
            results = demo.run(box, console=console)
    raise typer.Exit(1 if any(result.differences for result in results) else 0)
