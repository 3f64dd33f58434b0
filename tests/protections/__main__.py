"""`python -m tests.protections`: takes each protection out of a copy of the code and sees its test fail.

python -m tests.protections                 all of them: a quarter of an hour
python -m tests.protections relay refund    those whose text or file has one of these words

Prints the table of `tests/README.md`. Exit code 1 if a test passes without what it is there for.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Annotated, Final

import typer

from services.development.servers import Servers, development_servers
from tests.protections.removals import REMOVALS, Removal

ROOT: Final = Path(__file__).parents[2]
COPIED: Final = ("schemas", "services", "shared", "workers", "tests", "pyproject.toml", "Makefile", "README.md")
_LEFT_OUT: Final = shutil.ignore_patterns("node_modules", "__pycache__", "results", "screenshots")
_LONGEST: Final = 110
_LONGEST_S: Final = 300
_SIDE_BY_SIDE: Final = 2


def main(only: Annotated[list[str] | None, typer.Argument(help="Words of a protection or its file.")] = None) -> None:
    """One PostgreSQL and one RabbitMQ serve all tests, each of which has a database and a virtual host of its own."""
    chosen = [removal for removal in REMOVALS if not only or any(word in _names(removal) for word in only)]
    if not chosen:
        raise typer.BadParameter(f"no protection names {' or '.join(only or [])}")
    _say("| protection | taken out of | test | seen when it was taken out |\n|---|---|---|---|")
    with development_servers() as servers, ThreadPoolExecutor(_SIDE_BY_SIDE) as threads:
        failures = list(threads.map(partial(_seen, environment=_environment(servers)), chosen))
    raise typer.Exit(1 if None in failures else 0)


def _names(removal: Removal) -> str:
    return f"{removal.protection} {removal.file}"


def _environment(servers: Servers) -> dict[str, str]:
    names = {"BATCHPAY_DATABASE_URL": servers.database_url, "BATCHPAY_AMQP_URL": servers.amqp_url}
    if servers.rabbitmq_api_url:
        names["BATCHPAY_RABBITMQ_API_URL"] = servers.rabbitmq_api_url
    return {**os.environ, **names}


def _seen(removal: Removal, *, environment: Mapping[str, str]) -> str | None:
    """The first line of the failure; None if nothing failed."""
    with tempfile.TemporaryDirectory(prefix="batchpay-without-") as folder:
        copy = Path(folder)
        _copy(copy)
        removal.take_out(copy)
        failure = _failure(copy, removal.test, environment)
    test = removal.test.partition("::")
    said = f"`{failure}`" if failure else "**nothing: the test passes**"
    _say(f"| {removal.protection} | `{removal.file}` | `{test[0]}` {test[2]} | {said} |")
    return failure


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _copy(copy: Path) -> None:
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy / name, ignore=_LEFT_OUT)
        else:
            shutil.copy(ROOT / name, copy / name)


def _failure(copy: Path, test: str, environment: Mapping[str, str]) -> str | None:
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--exitfirst", "--tb=short", test],
            cwd=copy,
            env={**environment, "PYTHONPATH": str(copy)},
            capture_output=True,
            text=True,
            check=False,
            timeout=_LONGEST_S,
        )
    except subprocess.TimeoutExpired:
        return f"it comes to no end within {_LONGEST_S} s"
    if done.returncode == 0:
        return None
    if done.returncode != 1:
        raise RuntimeError(f"{test} did not run: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    lines = re.findall(r"^E +(.+)$", done.stdout, re.MULTILINE)
    return (lines[0] if lines else "it fails")[:_LONGEST].replace("|", "\\|")


if __name__ == "__main__":
    typer.run(main)
