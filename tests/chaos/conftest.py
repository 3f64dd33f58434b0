"""A virtual host of their own for the processes that are to die."""

from collections.abc import Iterator

import pytest

from services.development.servers import Servers
from tests.journeys.sandboxes import virtual_host
from tests.rabbitmq_vhost import RabbitMQ


@pytest.fixture(scope="session")
def own_host(servers: Servers) -> Iterator[tuple[Servers, RabbitMQ]]:
    with virtual_host(servers) as own:
        yield own
