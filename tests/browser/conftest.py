"""Chromium in front of a whole sandbox with the sample export; what is missing fails with the command to install it."""

import asyncio
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from services.cli.import_folder import run_import
from services.cli.read_folder import read_folder
from services.development.sandbox import Sandbox
from services.development.servers import Servers
from tests.browser.person import Person
from tests.journeys.sandboxes import SAMPLE, running, virtual_host
from tests.kept import Kept

AXE = Path(__file__).parents[1] / "node" / "node_modules" / "axe-core" / "axe.min.js"
# Where `make browser` keeps the pictures; without it none are taken.
SCREENSHOTS = os.environ.get("BATCHPAY_SCREENSHOTS")


@pytest.fixture(scope="module")
def box(servers: Servers, tmp_path_factory: pytest.TempPathFactory, kept: Kept) -> Sandbox:
    @contextmanager
    def opened() -> Iterator[Sandbox]:
        with virtual_host(servers) as (own, _), running(own, tmp_path_factory.mktemp("sandbox")) as box:
            imported = asyncio.run(run_import(box.database_url, read_folder(SAMPLE), actor="tests"))
            assert not imported.bad
            yield box

    return kept.get("sandbox", opened)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """For a module only: while it is open its event loop runs in this thread, where other tests want their own."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.fail("Chromium is not installed. On Debian: apt-get install --no-install-recommends chromium")
    with sync_playwright() as playwright:
        # Chromium refuses its sandbox to root, which continuous integration often is.
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=program, args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def axe() -> str:
    if not AXE.exists():
        pytest.fail("axe-core is missing. Run: .ci/node")
    return AXE.read_text(encoding="utf-8")


@pytest.fixture
def person(box: Sandbox, chromium: Browser, axe: str) -> Iterator[Callable[..., Person]]:
    """Makes people, each with a browser of their own. Whatever the browser complains about fails the test."""
    people: list[Person] = []

    def make(subject: str = "marta", **claims: object) -> Person:
        folder = Path(SCREENSHOTS) if SCREENSHOTS else None
        one = Person(box, chromium, axe, folder, subject=subject, **claims)
        people.append(one)
        return one

    yield make
    complaints = [complaint for one in people for complaint in one.complaints]
    for one in people:
        one.close()
    assert complaints == []
