"""The results of a run as JSON, which keeps every round, and as Markdown, which is read."""

import json
import os
import platform
import subprocess
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import pika
import psutil
import psycopg

from services.development.servers import Servers
from tests.bench.measurements import Measurements, Row, Target
from tests.bench.statistics import Spread

FOLDER: Final = Path(__file__).parent / "results"
_PACKAGES: Final = ("aiohttp", "celery", "dramatiq", "pika", "psycopg", "requests", "stripe", "urllib3", "uvloop")
_NOTES: Final = """\
- CPU is user and system time of every process that takes part: workers, relay, aggregator, PostgreSQL and RabbitMQ with
  all their children. Left out are the simulated processor and the program that measures.
- 64 charges in flight everywhere: one worker with 64, or 2 processes with 32 threads (or charges) each.
- The baselines with a queue and `engine-hinted` find their messages published before the clock starts; `engine` is
  charged for the relay's publishing, its events and the batch's status as well.
- Light bookkeeping moves the payment's row before and after each charge and writes nothing else; `same_rows` writes the
  attempt, events, invoice and outbox rows that the engine writes, in one statement each.
- Every round has a new database, new queues and new processes, and starts after a warm-up.
- A ratio is that of neighbouring rounds; its median, least and greatest are shown.
"""


def facts(servers: Servers, *, quick: bool, rounds: int) -> dict[str, Any]:
    """What the numbers depend on."""
    with psycopg.connect(servers.database_url) as connection:
        postgresql = connection.info.parameter_status("server_version")
    broker = pika.BlockingConnection(pika.URLParameters(servers.amqp_url))
    rabbitmq = broker._impl.server_properties["version"]
    broker.close()
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": " ".join(["python -m tests.bench", *sys.argv[1:]]),
        "commit": _commit(),
        "quick": quick,
        "rounds": rounds,
        "machine": {
            "processor": _processor(),
            "cores": os.cpu_count(),
            "memory_gb": round(psutil.virtual_memory().total / 2**30),
            "system": f"{platform.system()} {platform.release()} {platform.machine()}",
            "load_before": [round(load, 1) for load in os.getloadavg()],
        },
        "versions": {
            "python": platform.python_version(),
            "postgresql": postgresql,
            "rabbitmq": str(rabbitmq),
            **{name: version(name) for name in _PACKAGES},
        },
    }


def write(measured: Measurements, about: dict[str, Any], *, name: str) -> tuple[Path, Path]:
    """Write `<name>.json` and `<name>.md` and return their paths."""
    FOLDER.mkdir(exist_ok=True)
    raw, text = FOLDER / f"{name}.json", FOLDER / f"{name}.md"
    content = {
        "about": about,
        "targets": [{**asdict(target), "met": target.met} for target in measured.targets],
        "tables": {key: [asdict(row) for row in rows] for key, rows in measured.tables.items()},
        "rounds": measured.raw,
    }
    raw.write_text(json.dumps(content, indent=1) + "\n")
    text.write_text(markdown(measured, about))
    return raw, text


def markdown(measured: Measurements, about: dict[str, Any]) -> str:
    machine, versions = about["machine"], about["versions"]
    lines = [
        "# Benchmark",
        "",
        f"{about['date']}, commit {about['commit']}, `{about['command']}`, {about['rounds']} rounds"
        + (", **quick: a smoke test, not a measurement**" if about["quick"] else "")
        + ".",
        "",
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gb']} GB, {machine['system']}, load before"
        f" {machine['load_before'][0]}. " + ", ".join(f"{name} {number}" for name, number in versions.items()) + ".",
        "",
        _NOTES,
        "## Targets",
        "",
        "| metric | median | least - greatest | target | |",
        "|---|---|---|---|---|",
        *map(_target, measured.targets),
    ]
    for name, rows in measured.tables.items():
        lines += ["", f"## {name}", "", *_table(rows)]
    return "\n".join(lines) + "\n"


def _target(target: Target) -> str:
    sign = "<=" if target.at_most else ">="
    value = target.value
    span = f"{number(value.least)} - {number(value.greatest)}"
    met = "met" if target.met else "**missed**"
    return f"| {target.metric} | {number(value.median)} | {span} | {sign} {target.bound:g} | {met} |"


def _table(rows: list[Row]) -> list[str]:
    columns = list(dict.fromkeys(column for row in rows for column in row.values))
    return [
        f"| | {' | '.join(columns)} |",
        "|---" * (len(columns) + 1) + "|",
        *(f"| {row.title} | {' | '.join(_cell(row.values.get(column)) for column in columns)} |" for row in rows),
    ]


def _cell(value: Spread | None) -> str:
    if value is None:
        return ""
    return f"{number(value.median)} ({number(value.least)} - {number(value.greatest)})"


def number(value: float) -> str:
    """Three digits or more that mean something."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _commit() -> str:
    found = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    changed = subprocess.run(["git", "status", "--porcelain"], capture_output=True, text=True, check=False)
    return (found.stdout.strip() or "unknown") + (" with changes" if changed.stdout.strip() else "")


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
