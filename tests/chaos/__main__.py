"""`python -m tests.chaos --minutes 10 --seed 1`: breaks everything at random while batches run, then counts the money.

The schedule of the faults is a pure function of the seed; how they meet the work is not. Ends with 1 unless nothing was
charged or given back twice, nothing is lost and every invariant holds. Logs and the report stay in `run/chaos/`.
"""

import shutil
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit, urlunsplit

import structlog
import typer
from rich.console import Console

import services.development
from services.development.processes import MODULES
from services.development.sandbox import sandbox
from services.development.servers import Kind, Servers, development_servers
from shared import logs
from shared.domain.words import ProcessorName
from tests.chaos import load, report
from tests.chaos.faults import World, disturb
from tests.chaos.load import Load
from tests.chaos.proxy import Proxies
from tests.chaos.quiet import wait_until_quiet
from tests.chaos.report import Report
from tests.chaos.schedule import PAIRS, schedule
from tests.chaos.verdict import judge

RUN: Final = Path("run") / "chaos"
_VAULT: Final = Path(services.development.__file__).parent / "sample" / "vault.csv"
# The settings that lead a process to each server.
_SETTINGS: Final[Mapping[str, tuple[str, ...]]] = {
    "postgresql": ("BATCHPAY_DATABASE_URL",),
    "rabbitmq": ("BATCHPAY_AMQP_URL",),
    "vantage": ("BATCHPAY_VANTAGE_REST_URL", "BATCHPAY_VANTAGE_XML_URL", "BATCHPAY_VANTAGE_REPORT_URL"),
    "stripe": ("BATCHPAY_STRIPE_API_BASE",),
}

_log = structlog.get_logger()


def main(
    minutes: Annotated[float, typer.Option(min=0.1)] = 10.0,
    seed: Annotated[int, typer.Option()] = 1,
) -> None:
    """Run, show the report, and exit with 1 if anything is wrong."""
    folder = RUN / f"seed-{seed}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with (folder / "chaos.log").open("wb") as stream:
        logs.configure("chaos", format="json", stream=stream)
        with development_servers(Kind.LOCAL) as servers:
            made = run(servers, folder, seed=seed, length_s=minutes * 60)
    report.write(made, folder / "report.json")
    report.show(made, Console(width=100))
    raise typer.Exit(0 if made.verdict.good else 1)


def run(servers: Servers, folder: Path, *, seed: int, length_s: float) -> Report:
    """Charge under faults for `length_s` seconds, heal, wait, and judge."""
    with (
        Proxies() as proxies,
        sandbox(servers, vault=_VAULT, run_directory=folder, settings=partial(_through, proxies)) as box,
    ):
        world = World(servers, box, proxies)
        work = Load(load.practices(box, folder / "practices", seed=seed, length_s=length_s), seed=seed)
        _log.info("chaos_began", seed=seed)
        with load.running(work):
            disturb(world, schedule(seed, length_s=length_s), length_s=length_s)
        _log.info("healed")
        quiet_after_s = wait_until_quiet(box)
        ledgers = {name: box.control(name, "ledger")["entries"] for name in ProcessorName}
        return Report(
            seed=seed,
            minutes=length_s / 60,
            faults=dict(world.injected),
            restarts={name: box.stack.starts(name) - 1 for name in MODULES},
            batches=len(work.acknowledged),
            voids_asked=work.voids_asked,
            refunds_asked=work.refunds_asked,
            longest_answer_s=work.longest_answer_s,
            quiet_after_s=quiet_after_s,
            verdict=judge(box.database_url, ledgers, work.acknowledged),
        )


def _through(proxies: Proxies, common: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Lead each process to its servers through proxies of its own."""
    settings: dict[str, dict[str, str]] = {}
    for pair in PAIRS:
        process, _, server = pair.partition(">")
        names = _SETTINGS[server]
        target = urlsplit(common[names[0]]).port
        assert target
        port = proxies.before(process, server, target)
        settings.setdefault(process, {}).update({name: _at_port(common[name], port) for name in names})
    return settings


def _at_port(url: str, port: int) -> str:
    parts = urlsplit(url)
    before, _, _ = parts.netloc.rpartition(":")
    return urlunsplit(parts._replace(netloc=f"{before}:{port}"))


if __name__ == "__main__":
    typer.run(main)
