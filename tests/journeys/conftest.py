"""One sandbox for all journeys of a test process: starting nine processes costs more than the journeys."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from services.development.sandbox import Sandbox
from services.development.servers import Servers
from shared.domain.words import ProcessorName
from tests.journeys.exports import Export
from tests.journeys.journey import Journey, finish
from tests.journeys.sandboxes import running, virtual_host
from tests.rabbitmq_vhost import RabbitMQ


@pytest.fixture(scope="session")
def own_host(servers: Servers) -> Iterator[tuple[Servers, RabbitMQ]]:
    with virtual_host(servers) as own:
        yield own


@pytest.fixture(scope="session")
def broker(own_host: tuple[Servers, RabbitMQ]) -> RabbitMQ:
    """The virtual host of `box`, to look into and to disturb."""
    return own_host[1]


@pytest.fixture(scope="session")
def box(own_host: tuple[Servers, RabbitMQ], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with running(own_host[0], tmp_path_factory.mktemp("sandbox"), name="dev") as box:
        yield box


@pytest.fixture
def journey(box: Sandbox, tmp_path: Path) -> Iterator[Callable[[ProcessorName], Journey]]:
    """Makes a practice. When the test is over, all it left must become final, agree with what moved, and be sound."""

    def start(processor: ProcessorName) -> Journey:
        export = Export(processor=processor)
        return Journey(box=box, export=export, folder=tmp_path / export.id)

    yield start
    finish(box)
