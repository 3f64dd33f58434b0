"""Fixtures on real servers. A missing server fails the test with the fix in the message; nothing is skipped."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from services.development.servers import Servers
from shared.store.invariants import Violation, check
from tests.kept import Kept
from tests.rabbitmq_vhost import RabbitMQ, fresh_virtual_host
from tests.shared_servers import (
    AskedServers,
    OwnedServers,
    Shared,
    Source,
    create_database,
    database_url_of,
    drop_database,
    unique,
)

# Files whose tests run whole systems take up to a minute and a half. They begin first, so that none of them is left at
# the end with one worker for it and nothing for the others.
LONG = ("simulation", "journeys", "browser", "chaos")
# And of these the longest, in this order: beside what computes all the time stands what mostly waits, where folders in
# their order would let all workers begin with browsers.
LONGEST = (
    "simulation/test_seeds.py",
    "browser/test_pages.py",
    "journeys/test_kill.py",
    "journeys/test_demo.py",
    "chaos/test_outages.py",
    "journeys/test_demo_day.py",
    "browser/test_journey.py",
    "browser/test_looks.py",
)
SOURCE = pytest.StashKey[Source]()
KEPT = pytest.StashKey[Kept]()
UNSOUND = "unsound"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", f"{UNSOUND}(why): the test leaves a database that breaks the invariants")
    address = getattr(config, "workerinput", {}).get("shared_servers")
    config.stash[SOURCE] = AskedServers(address) if address else OwnedServers()
    config.stash[KEPT] = Kept()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: place(item.path))


def place(path: Path) -> tuple[int, bool]:
    """Where a file stands among all: files of one place keep the order in which they were collected."""
    name = f"{path.parent.name}/{path.name}"
    return LONGEST.index(name) if name in LONGEST else len(LONGEST), path.parent.name not in LONG


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Called by pytest-xdist in the controller for each worker that it is about to start."""
    source = node.config.stash[SOURCE]
    node.workerinput["shared_servers"] = source.serve()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    item.config.stash[KEPT].come_to(item.path.parent)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    session.config.stash[KEPT].close()


def pytest_unconfigure(config: pytest.Config) -> None:
    config.stash[SOURCE].close()


@pytest.fixture(scope="session")
def shared(pytestconfig: pytest.Config) -> Shared:
    return pytestconfig.stash[SOURCE].get()


@pytest.fixture(scope="session")
def servers(shared: Shared) -> Servers:
    """The servers of the whole run. A test that stops one needs `development_servers()` of its own."""
    return shared.servers


@pytest.fixture(scope="session")
def kept(pytestconfig: pytest.Config) -> Kept:
    return pytestconfig.stash[KEPT]


@pytest.fixture
def database_url(shared: Shared, request: pytest.FixtureRequest) -> Iterator[str]:
    """A fresh, migrated, empty database for this test alone. What the test leaves in it must break no rule."""
    name = unique("batchpay_test")
    url = database_url_of(shared.servers.database_url, name)
    create_database(shared.servers.database_url, name, template=shared.template)
    try:
        yield url
        if not request.node.get_closest_marker(UNSOUND):
            assert broken_rules(url) == []
    finally:
        drop_database(shared.servers.database_url, name)


def broken_rules(database_url: str) -> list[Violation]:
    with psycopg.connect(database_url) as connection:
        return check(connection)


@pytest.fixture
def rabbitmq(servers: Servers) -> Iterator[RabbitMQ]:
    """A fresh virtual host for this test alone, to look into and to disturb."""
    with fresh_virtual_host(servers, "batchpay_test") as virtual_host:
        yield virtual_host


@pytest.fixture
def amqp_url(rabbitmq: RabbitMQ) -> str:
    """The URL of a fresh virtual host for this test alone."""
    return rabbitmq.amqp_url
