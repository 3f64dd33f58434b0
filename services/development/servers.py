"""PostgreSQL and RabbitMQ for development and tests, wherever they can be had.

In this order: servers that the environment names (BATCHPAY_DATABASE_URL and BATCHPAY_AMQP_URL, with
BATCHPAY_RABBITMQ_API_URL for what needs the management API); containers, if a Docker engine answers; private servers on
free ports of 127.0.0.1 under one temporary directory. BATCHPAY_SERVERS=environment, docker or local insists on one.

Servers started here end with the block, also on an exception, Ctrl-C, SIGTERM or SIGKILL of this process. Servers not
started here are never looked for, stopped or changed.
"""

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

import structlog

from services.development.containers import docker_answers, start_postgresql_container, start_rabbitmq_container
from services.development.local import LocalServer, ServerStartFailed
from services.development.postgresql import private_postgresql
from services.development.rabbitmq import private_rabbitmq, rabbitmq_server_program
from services.development.watchdog import Watchdog

log = structlog.get_logger(__name__)

# A port that was free when it was chosen may be taken a moment later: another start chooses others.
STARTS = 3

First = TypeVar("First")
Second = TypeVar("Second")


class Kind(StrEnum):
    ENVIRONMENT = "environment"
    DOCKER = "docker"
    LOCAL = "local"


@dataclass(frozen=True, kw_only=True)
class Servers:
    """Where the servers are. `database_url` names an administrator and an existing database.

    `postgresql` and `rabbitmq` are set for servers of kind local: fault tests stop, kill and start them. Start servers
    of your own for that; those of a test run are everybody's.
    """

    database_url: str
    amqp_url: str
    rabbitmq_api_url: str | None
    kind: Kind
    postgresql: LocalServer | None = None
    rabbitmq: LocalServer | None = None


@contextmanager
def development_servers(kind: Kind | None = None, *, parent: Path | None = None) -> Iterator[Servers]:
    """The servers, for the time of the block; `kind` insists on one source. Private ones live in a folder of `parent`.

    Raises ServerStartFailed (RabbitMQMissing is one) with a message that names the fix.
    """
    wanted = kind or wanted_kind(os.environ)
    if wanted is Kind.ENVIRONMENT or (wanted is None and names_servers(os.environ)):
        yield servers_from(os.environ)
    elif wanted is Kind.DOCKER:
        with docker_servers() as servers:
            yield servers
    elif wanted is None and docker_answers():
        with docker_servers_or_local_ones(parent) as servers:
            yield servers
    else:
        with local_servers(parent) as servers:
            yield servers


def wanted_kind(environment: Mapping[str, str]) -> Kind | None:
    named = environment.get("BATCHPAY_SERVERS", "")
    if not named:
        return None
    try:
        return Kind(named)
    except ValueError:
        raise ServerStartFailed(
            f"BATCHPAY_SERVERS is {named!r}; it must be one of {', '.join(Kind)} (or unset, to take the first there is)"
        ) from None


def names_servers(environment: Mapping[str, str]) -> bool:
    return bool(environment.get("BATCHPAY_DATABASE_URL") or environment.get("BATCHPAY_AMQP_URL"))


def servers_from(environment: Mapping[str, str]) -> Servers:
    """The servers that `environment` names. Raises ServerStartFailed if it names only one of the two."""
    missing = [name for name in ("BATCHPAY_DATABASE_URL", "BATCHPAY_AMQP_URL") if not environment.get(name)]
    if missing:
        raise ServerStartFailed(
            f"{' and '.join(missing)} must be set as well: "
            "both servers come from the environment or neither (unset the other to have both started for you)"
        )
    return Servers(
        database_url=environment["BATCHPAY_DATABASE_URL"],
        amqp_url=environment["BATCHPAY_AMQP_URL"],
        rabbitmq_api_url=environment.get("BATCHPAY_RABBITMQ_API_URL") or None,
        kind=Kind.ENVIRONMENT,
    )


@contextmanager
def docker_servers_or_local_ones(parent: Path | None) -> Iterator[Servers]:
    """An engine may answer and still be unable to get the images; private servers are as good then."""
    with ExitStack() as stack:
        try:
            servers = stack.enter_context(docker_servers())
        except ServerStartFailed as error:
            log.warning("docker_unusable", error=str(error), instead="private servers on this machine")
            servers = stack.enter_context(local_servers(parent))
        yield servers


@contextmanager
def docker_servers() -> Iterator[Servers]:
    with Watchdog() as watchdog:
        database_url, (amqp_url, rabbitmq_api_url) = in_parallel(
            lambda: start_postgresql_container(watchdog), lambda: start_rabbitmq_container(watchdog)
        )
        yield Servers(database_url=database_url, amqp_url=amqp_url, rabbitmq_api_url=rabbitmq_api_url, kind=Kind.DOCKER)


@contextmanager
def local_servers(parent: Path | None = None) -> Iterator[Servers]:
    rabbitmq_server_program()  # before anything is started, so that the error is all there is to read
    with ExitStack() as stack:
        servers = None
        for left in reversed(range(STARTS)):
            try:
                servers = stack.enter_context(started_locally(parent))
                break
            except ServerStartFailed as error:
                if not left:
                    raise
                log.warning("servers_started_again", error=str(error))
        assert servers
        yield servers


@contextmanager
def started_locally(parent: Path | None = None) -> Iterator[Servers]:
    with Watchdog() as watchdog, ExitStack() as stack:
        directory = Path(tempfile.mkdtemp(prefix="batchpay-servers-", dir=parent))
        watchdog.remove_directory(directory)
        directory.chmod(0o711)  # PostgreSQL may have to run as another account, below this folder

        def start_postgresql() -> tuple[LocalServer, str]:
            server, url = private_postgresql(directory, watchdog)
            stack.callback(server.quit)
            server.start()
            return server, url

        def start_rabbitmq() -> tuple[LocalServer, str, str]:
            servers, amqp_url, api_url = private_rabbitmq(directory, watchdog)
            for server in servers:
                stack.callback(server.quit)
                server.start()
            return servers[-1], amqp_url, api_url

        (postgresql, database_url), (rabbitmq, amqp_url, api_url) = in_parallel(start_postgresql, start_rabbitmq)
        yield Servers(
            database_url=database_url,
            amqp_url=amqp_url,
            rabbitmq_api_url=api_url,
            kind=Kind.LOCAL,
            postgresql=postgresql,
            rabbitmq=rabbitmq,
        )


def in_parallel(first: Callable[[], First], second: Callable[[], Second]) -> tuple[First, Second]:
    """Both results. If either raises, the other is still waited for, so that nothing starts after the clean-up."""
    with ThreadPoolExecutor(2) as threads:
        one, other = threads.submit(first), threads.submit(second)
        return one.result(), other.result()
