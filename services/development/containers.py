"""PostgreSQL and RabbitMQ as Docker containers, through testcontainers."""

import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from services.development.local import START_WITHIN_S, ServerStartFailed
from services.development.postgresql import MAX_CONNECTIONS, postgresql_answers
from services.development.rabbitmq import rabbitmq_answers
from services.development.watchdog import Watchdog

if TYPE_CHECKING:
    from testcontainers.core.container import DockerContainer

POSTGRESQL_IMAGE = "postgres:17"
RABBITMQ_IMAGE = "rabbitmq:4-management"

_INITDB = "--encoding=UTF8 --locale-provider=builtin --builtin-locale=C.UTF-8 --locale=C"

ENGINE_ANSWERS_WITHIN_S = 2
"""An engine that needs longer than this to say that it is there is not worth waiting for."""

SOCKETS = (Path("/var/run/docker.sock"), Path.home() / ".docker" / "run" / "docker.sock")

LOOPBACK = frozenset({"localhost", "127.0.0.1"})


def docker_answers() -> bool:
    """Whether a Docker engine answers now. Costs nothing where none is installed."""
    if "DOCKER_HOST" not in os.environ and not any(path.exists() for path in SOCKETS):
        return False
    # A third of a second that a machine without Docker need not pay.
    import docker  # type: ignore[import-untyped]  # noqa: PLC0415

    try:
        client = docker.from_env(timeout=ENGINE_ANSWERS_WITHIN_S)
    except docker.errors.DockerException:
        return False
    try:
        return bool(client.ping())
    except (docker.errors.DockerException, OSError):
        return False
    finally:
        client.close()


def start_postgresql_container(watchdog: Watchdog) -> str:
    """Start PostgreSQL in a container that `watchdog` removes; return the URL of database postgres."""
    password = secrets.token_hex(16)
    container = (
        local_container(POSTGRESQL_IMAGE, 5432)
        .with_env("POSTGRES_PASSWORD", password)
        .with_env("POSTGRES_INITDB_ARGS", _INITDB)
        .with_env("LANG", "C.UTF-8")
        .with_command(["postgres", "-c", f"max_connections={MAX_CONNECTIONS}", "-c", "timezone=UTC"])
    )
    start(container, watchdog)
    url = f"postgresql://postgres:{password}@{address(container, 5432)}/postgres"
    wait_until(lambda: postgresql_answers(url), POSTGRESQL_IMAGE, container)
    return url


def start_rabbitmq_container(watchdog: Watchdog) -> tuple[str, str]:
    """Start RabbitMQ in a container that `watchdog` removes; return its AMQP URL and its management API's."""
    password = secrets.token_hex(16)
    container = (
        local_container(RABBITMQ_IMAGE, 5672, 15672)
        .with_env("RABBITMQ_DEFAULT_USER", "batchpay")
        .with_env("RABBITMQ_DEFAULT_PASS", password)
    )
    start(container, watchdog)
    amqp_url = f"amqp://batchpay:{password}@{address(container, 5672)}/%2F"
    management_url = f"http://batchpay:{password}@{address(container, 15672)}"
    wait_until(lambda: rabbitmq_answers(amqp_url, management_url), RABBITMQ_IMAGE, container)
    return amqp_url, management_url


def local_container(image: str, *ports: int) -> "DockerContainer":
    from testcontainers.core.config import ConnectionMode, testcontainers_config  # noqa: PLC0415 - see docker_answers
    from testcontainers.core.container import DockerContainer  # noqa: PLC0415 - see docker_answers

    # Our watchdog removes the containers, so no privileged helper container with the engine's socket is needed.
    testcontainers_config.ryuk_disabled = True
    container = DockerContainer(image)
    engine = container.get_docker_client()
    # From inside a container the way to another one is not the loopback address; testcontainers knows which it is.
    by_loopback = engine.get_connection_mode() is ConnectionMode.docker_host and engine.host() in LOOPBACK
    for port in ports:
        # testcontainers publishes on all addresses unless told; its type leaves out docker's (address, port) form.
        container.ports[f"{port}/tcp"] = ("127.0.0.1", None) if by_loopback else None  # type: ignore[assignment]
    return container


def start(container: "DockerContainer", watchdog: Watchdog) -> None:
    try:
        container.start()
    except Exception as error:  # docker, requests and testcontainers each raise their own
        raise ServerStartFailed(f"Docker could not start {container.image}: {error}") from error
    watchdog.remove_container(container.get_wrapped_container().id)


def address(container: "DockerContainer", port: int) -> str:
    host = container.get_container_host_ip()
    return f"{'127.0.0.1' if host == 'localhost' else host}:{container.get_exposed_port(port)}"


def wait_until(answers: Callable[[], None], image: str, container: "DockerContainer") -> None:
    give_up_at = time.monotonic() + START_WITHIN_S
    while True:
        try:
            return answers()
        except Exception as error:
            if time.monotonic() > give_up_at:
                output = b"".join(container.get_logs()).decode(errors="replace")
                raise ServerStartFailed(
                    f"{image} did not answer within {START_WITHIN_S:.0f} s:\n{output[-2000:]}"
                ) from error
            time.sleep(0.2)
