"""Sandboxes of their own for tests: a virtual host for each, so that two of them never share a queue."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import services.development
from services.development.sandbox import Sandbox, sandbox
from services.development.servers import Servers
from tests.forking import start_forked
from tests.rabbitmq_vhost import RabbitMQ, fresh_virtual_host

SAMPLE = Path(services.development.__file__).parent / "sample"
# The janitor comes every fifth of a second instead of every second: most of a journey is waiting for it.
SETTINGS = {"BATCHPAY_SWEEP_EVERY_S": "0.2"}


@contextmanager
def virtual_host(servers: Servers) -> Iterator[tuple[Servers, RabbitMQ]]:
    """The same servers, seen through a virtual host of their own."""
    with fresh_virtual_host(servers, "batchpay_journey") as rabbitmq:
        yield replace(servers, amqp_url=rabbitmq.amqp_url), rabbitmq


@contextmanager
def running(servers: Servers, run_directory: Path, **more: Any) -> Iterator[Sandbox]:
    """A whole Batchpay on `servers`, whose simulators know the cards of the sample; `more` goes to `sandbox`."""
    with pytest.MonkeyPatch.context() as settings:
        for name, value in SETTINGS.items():
            settings.setenv(name, value)
        with sandbox(
            servers, vault=SAMPLE / "vault.csv", run_directory=run_directory, start=start_forked, **more
        ) as box:
            yield box


def environment_of(box: Sandbox, **more: str) -> dict[str, str]:
    """What one more process of this sandbox needs."""
    return {**os.environ, **SETTINGS, **box.environment, **more}
