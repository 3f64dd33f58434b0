"""The private servers: apart from each other, and gone afterwards however their owner ends."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pika
import psutil
import psycopg
import pytest

from services.development.local import ServerStartFailed
from services.development.rabbitmq import RabbitMQMissing, install_command, rabbitmq_server_program
from services.development.servers import Kind, Servers, development_servers, servers_from, wanted_kind
from tests.waiting import eventually

OWNER = """
import json, signal, sys
# A shell that runs the tests in the background makes its children ignore Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)
from services.development.servers import Kind, development_servers
with development_servers(Kind.LOCAL) as servers:
    print(json.dumps([servers.database_url, servers.amqp_url, str(servers.postgresql.log.parent)]), flush=True)
    sys.stdin.read()
"""


@contextmanager
def owner_process() -> Iterator[tuple[subprocess.Popen[str], str, str, Path]]:
    """Another process that owns servers until its input ends: itself, their URLs and their directory."""
    with subprocess.Popen(
        [sys.executable, "-c", OWNER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        process_group=0,
    ) as process:
        assert process.stdout is not None
        try:
            database_url, amqp_url, directory = json.loads(process.stdout.readline())
            yield process, database_url, amqp_url, Path(directory)
        finally:
            process.kill()


def processes_under(directory: Path) -> list[psutil.Process]:
    """Every living process that mentions `directory` on its command line or in its environment."""
    found = []
    for process in psutil.process_iter():
        try:
            if str(directory) in " ".join([*process.cmdline(), *process.environ().values()]):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def test_servers_and_their_directory_are_gone_after_their_owner_is_killed_and_nobody_elses() -> None:
    with owner_process() as (interrupted, other_url, _, other_directory):
        with owner_process() as (killed, database_url, amqp_url, directory):
            psycopg.connect(database_url).close()
            pika.BlockingConnection(pika.URLParameters(amqp_url)).close()
            assert processes_under(directory)

            killed.send_signal(signal.SIGKILL)
            killed.wait(30)
            assert_everything_is_gone(database_url, directory)

        psycopg.connect(other_url).close()  # the servers beside them noticed nothing
        interrupted.send_signal(signal.SIGINT)
        interrupted.wait(30)
        assert_everything_is_gone(other_url, other_directory)


def assert_everything_is_gone(database_url: str, directory: Path) -> None:
    eventually(lambda: not processes_under(directory), within_s=30, what="no process of the servers is left")
    eventually(lambda: not directory.exists(), within_s=30, what="the directory is removed")
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(database_url, connect_timeout=2)


@pytest.fixture(scope="module")
def own_servers() -> Iterator[Servers]:
    with development_servers(Kind.LOCAL) as servers:
        yield servers


def test_postgresql_keeps_what_was_committed_when_it_is_killed(own_servers: Servers, servers: Servers) -> None:
    assert own_servers.postgresql is not None
    with psycopg.connect(own_servers.database_url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS one")

    own_servers.postgresql.kill()

    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(own_servers.database_url, connect_timeout=2)
    psycopg.connect(servers.database_url).close()  # the servers beside it notice nothing
    own_servers.postgresql.start()
    with psycopg.connect(own_servers.database_url) as connection:
        assert connection.execute("SELECT one FROM kept").fetchone() == (1,)


def test_rabbitmq_keeps_confirmed_messages_when_it_is_killed(own_servers: Servers, servers: Servers) -> None:
    assert own_servers.rabbitmq is not None
    connection = pika.BlockingConnection(pika.URLParameters(own_servers.amqp_url))
    channel = connection.channel()
    channel.confirm_delivery()
    channel.queue_declare("kept", durable=True, arguments={"x-queue-type": "quorum"})
    channel.basic_publish("", "kept", b"one", mandatory=True)
    # RabbitMQ 3.10 saves what it knows of a NEW quorum queue a moment after it has confirmed; a node killed before that
    # never elects a leader for the queue again. There is nothing to look at that tells when it is done.
    time.sleep(2)

    own_servers.rabbitmq.kill()

    with pytest.raises(pika.exceptions.AMQPConnectionError):
        connection.process_data_events(time_limit=10)
    pika.BlockingConnection(pika.URLParameters(servers.amqp_url)).close()  # the servers beside it notice nothing
    own_servers.rabbitmq.start()
    again = pika.BlockingConnection(pika.URLParameters(own_servers.amqp_url))
    try:
        channel = again.channel()
        assert eventually(lambda: channel.basic_get("kept", auto_ack=True)[2], what="the message is back") == b"one"
    finally:
        again.close()


def test_private_servers_listen_on_the_loopback_address_only(own_servers: Servers) -> None:
    assert own_servers.postgresql is not None
    members = processes_under(own_servers.postgresql.log.parent)
    listening = {
        connection.laddr.ip
        for member in members
        for connection in member.net_connections()
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening
    assert listening <= {"127.0.0.1", "::1"}


def test_a_commit_is_on_disk_before_it_is_reported(own_servers: Servers) -> None:
    with psycopg.connect(own_servers.database_url) as connection:
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            assert connection.execute("SELECT current_setting(%s)", (setting,)).fetchone() == ("on",)


def test_a_missing_rabbitmq_is_an_error_that_names_the_command_to_run(tmp_path: Path) -> None:
    with pytest.raises(RabbitMQMissing) as missing:
        rabbitmq_server_program(search=str(tmp_path))
    assert install_command() in str(missing.value)


def test_one_url_without_the_other_is_an_error_that_names_the_missing_one() -> None:
    with pytest.raises(ServerStartFailed, match="BATCHPAY_AMQP_URL must be set as well"):
        servers_from({"BATCHPAY_DATABASE_URL": "postgresql://somewhere/db"})


def test_servers_of_the_environment_are_taken_as_they_are() -> None:
    servers = servers_from({"BATCHPAY_DATABASE_URL": "postgresql://a/b", "BATCHPAY_AMQP_URL": "amqp://c"})
    assert servers == Servers(
        database_url="postgresql://a/b", amqp_url="amqp://c", rabbitmq_api_url=None, kind=Kind.ENVIRONMENT
    )


def test_an_unknown_kind_of_servers_is_an_error_that_names_the_kinds() -> None:
    with pytest.raises(ServerStartFailed, match="environment, docker, local"):
        wanted_kind({"BATCHPAY_SERVERS": "podman"})
