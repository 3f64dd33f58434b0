"""One sandbox for all journeys of a test process: starting twelve processes costs more than most journeys."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from services.development.sandbox import Sandbox
from services.development.servers import Servers
from shared.domain.words import ProcessorName
from tests.journeys.exports import Export
from tests.journeys.journey import Journey, finish
from tests.journeys.sandboxes import running, virtual_host
from tests.kept import Kept
from tests.rabbitmq_vhost import RabbitMQ


@pytest.fixture(scope="module")
def box_and_broker(servers: Servers, tmp_path_factory: pytest.TempPathFactory, kept: Kept) -> tuple[Sandbox, RabbitMQ]:
    @contextmanager
    def opened() -> Iterator[tuple[Sandbox, RabbitMQ]]:
        with (
            virtual_host(servers) as (own, broker),
            running(own, tmp_path_factory.mktemp("sandbox"), name="dev") as box,
        ):
            yield box, broker

    return kept.get("sandbox", opened)


@pytest.fixture(scope="module")
def broker(box_and_broker: tuple[Sandbox, RabbitMQ]) -> RabbitMQ:
    """The virtual host of `box`, to look into and to disturb."""
    return box_and_broker[1]


@pytest.fixture(scope="module")
def box(box_and_broker: tuple[Sandbox, RabbitMQ]) -> Sandbox:
    return box_and_broker[0]


@pytest.fixture
def journey(box: Sandbox, tmp_path: Path) -> Iterator[Callable[[ProcessorName], Journey]]:
    """Makes a practice. When the test is over, all it left must become final, agree with what moved, and be sound."""

    def start(processor: ProcessorName) -> Journey:
        export = Export(processor=processor)
        return Journey(box=box, export=export, folder=tmp_path / export.id)

    yield start
    finish(box)
