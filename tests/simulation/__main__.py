"""`python -m tests.simulation`: our code under every fault, by seed.

python -m tests.simulation --seeds 10000            seeds 1 to 10000; exit 1 if one is violated
python -m tests.simulation --seeds 500 --first 9001
python -m tests.simulation --seed 4711 --trace      one seed, with everything that happened
"""

import os
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, closing
from multiprocessing import get_context
from typing import Annotated

import typer

from tests.shared_servers import unique
from tests.simulation.database import Session, simulated_database
from tests.simulation.run import run_seed
from tests.simulation.server import postgresql
from tests.simulation.tally import Tally, run_share

# Seeds between two lines of progress.
_TOLD_AFTER = 500


def main(
    seeds: Annotated[int, typer.Option(min=1, help="How many.")] = 1000,
    first: Annotated[int, typer.Option(min=0, help="The first of them.")] = 1,
    processes: Annotated[int, typer.Option(min=1)] = os.cpu_count() or 1,
    seed: Annotated[int | None, typer.Option(help="Only this one.")] = None,
    *,
    trace: Annotated[bool, typer.Option("--trace", help="With --seed: print everything that happened.")] = False,
) -> None:
    """Simulate seeds and compare each with the truth."""
    with postgresql() as server_url:
        failed = _one(server_url, seed, trace=trace) if seed is not None else _many(server_url, seeds, first, processes)
    raise typer.Exit(1 if failed else 0)


def _one(server_url: str, seed: int, *, trace: bool) -> bool:
    with simulated_database(server_url, unique("simulation")) as url, closing(Session(url)) as session:
        outcome = run_seed(seed, session)
    if trace:
        typer.echo("\n".join(outcome.trace))
    typer.echo(f"seed {seed}: {outcome.violation or 'sound'}; trace {outcome.sha256}")
    return outcome.violation is not None


def _many(server_url: str, seeds: int, first: int, processes: int) -> bool:
    """Each process has a database of its own and takes every n-th seed."""
    began_s, tally = time.monotonic(), Tally()
    with ExitStack() as stack:
        urls = [stack.enter_context(simulated_database(server_url, unique("simulation"))) for _ in range(processes)]
        workers = stack.enter_context(ProcessPoolExecutor(processes, mp_context=get_context("spawn")))
        for start in range(first, first + seeds, _TOLD_AFTER):
            end = min(start + _TOLD_AFTER, first + seeds)
            shares = [range(start + n, end, processes) for n in range(processes)]
            for part in workers.map(run_share, urls, shares):
                tally += part
            typer.echo(f"{end - first} of {seeds} seeds, {len(tally.failed)} violations", err=True)
    for line in tally.report(time.monotonic() - began_s):
        typer.echo(line)
    return bool(tally.failed)


if __name__ == "__main__":
    typer.run(main)
