"""Start a simulator as a process: `--host --port --vault --state`, or the environment variables named in the help."""

import argparse
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

LOCALHOST = "127.0.0.1"
# A simulator never has to finish an answer that it holds on purpose.
SHUTDOWN_S = 0.2


@dataclass(frozen=True, slots=True)
class Launch:
    host: str
    port: int
    vault: Path | None
    state: Path | None


def read_launch(name: str, arguments: Sequence[str] | None = None) -> Launch:
    """Options first, then the variables BATCHPAY_SIMULATOR_HOST, _PORT, _VAULT and _STATE."""
    parser = argparse.ArgumentParser(prog=f"python -m workers.simulators.{name}", description=f"Simulated {name}.")
    parser.add_argument(
        "--host",
        default=os.environ.get("BATCHPAY_SIMULATOR_HOST", LOCALHOST),
        help=f"address to listen on, {LOCALHOST} unless told (BATCHPAY_SIMULATOR_HOST)",
    )
    parser.add_argument(
        "--port",
        type=int,
        default=os.environ.get("BATCHPAY_SIMULATOR_PORT"),
        help="port, 0 picks a free one (BATCHPAY_SIMULATOR_PORT)",
    )
    parser.add_argument(
        "--vault",
        type=Path,
        default=os.environ.get("BATCHPAY_SIMULATOR_VAULT"),
        help="vault.csv with the stored methods and how they behave (BATCHPAY_SIMULATOR_VAULT)",
    )
    parser.add_argument(
        "--state",
        type=Path,
        default=os.environ.get("BATCHPAY_SIMULATOR_STATE"),
        help="file that keeps the ledger over a restart (BATCHPAY_SIMULATOR_STATE)",
    )
    options = parser.parse_args(arguments)
    if options.port is None:
        parser.error("no port: give --port or set BATCHPAY_SIMULATOR_PORT")
    return Launch(options.host, options.port, options.vault, options.state)


def run(build: Callable[[], web.Application], *, host: str, port: int) -> None:
    """Serve until SIGINT or SIGTERM."""
    web.run_app(build(), host=host, port=port, access_log=None, shutdown_timeout=SHUTDOWN_S)


async def serve(app: web.Application, port: int = 0) -> tuple[web.AppRunner, str]:
    """Serve inside a running loop; returns the runner (await its cleanup()) and the base URL."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_S)
    await runner.setup()
    site = web.TCPSite(runner, LOCALHOST, port)
    await site.start()
    host, bound_port = runner.addresses[0][:2]
    return runner, f"http://{host}:{bound_port}"
