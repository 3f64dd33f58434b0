"""`batchpay up`."""

import signal
import threading
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from services.cli.printing import USAGE, fail
from services.development import demo
from services.development.local import is_free
from services.development.sandbox import sandbox
from services.development.servers import development_servers

_SAMPLE = Path(demo.__file__).parent / "sample"


def run(
    folder: Annotated[Path, typer.Option(help="The export whose vault.csv scripts the simulators.")] = _SAMPLE,
    run_directory: Annotated[Path, typer.Option(help="Where logs and the simulators' state go.")] = Path("run"),
    port: Annotated[int, typer.Option(help="Port of the HTTP interface.")] = 8080,
) -> None:
    """Run the whole system on this machine with simulated processors until Ctrl-C."""
    if not is_free(port):
        fail(f"Port {port} is taken. Another `batchpay up`? Give a free one with --port.", code=USAGE)
    console = Console(soft_wrap=True)
    stop = threading.Event()
    with (
        development_servers() as servers,
        sandbox(
            servers,
            vault=folder / "vault.csv",
            run_directory=run_directory,
            api_port=port,
            name="dev",
            webhooks=True,
        ) as box,
    ):
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        console.print(f"Batchpay answers on {box.api_url}. Servers: {servers.kind}. Logs: {run_directory}/")
        console.print("In another terminal, first set:")
        for name in ("BATCHPAY_DATABASE_URL", "BATCHPAY_AMQP_URL", "BATCHPAY_JWT_SECRET"):
            console.print(f"  export {name}='{box.environment[name]}'", soft_wrap=True)
        console.print(f"then: batchpay import, and batchpay sign-in PRACTICE --url {box.api_url} for the console.")
        stop.wait()
        console.print("Draining")
