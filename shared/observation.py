"""What every process that serves for long does around its work: metrics and health on a port, spans, garbage."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

from shared.garbage import seldom_collected
from shared.messaging import topology
from shared.settings import Settings
from shared.store import pool
from shared.telemetry.endpoint import Check, endpoint
from shared.telemetry.traces import tracing


@contextmanager
def observed(process: str, settings: Settings, *, alive: Check, needs_rabbitmq: bool = True) -> Iterator[int | None]:
    """For the time of the block; `alive` is asked from other threads whether the process makes progress.

    A process that does its work without RabbitMQ is ready without it. Yields the port, where there is one.
    """
    with ExitStack() as stack:
        stack.enter_context(tracing(process))
        stack.enter_context(seldom_collected())
        port = None
        if settings.metrics_port is not None:
            ready: dict[str, Check] = {"postgresql": partial(pool.is_reachable, settings.database_url, process=process)}
            if needs_rabbitmq:
                ready["rabbitmq"] = partial(topology.is_reachable, settings.amqp_url)
            port = stack.enter_context(endpoint(settings.metrics_host, settings.metrics_port, alive=alive, ready=ready))
        yield port
