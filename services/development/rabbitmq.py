"""A private RabbitMQ node: its own ports, name, cookie, port mapper and directories, apart from any system node."""

import os
import platform
import secrets
import shutil
import signal
import socket
from pathlib import Path

import pika

from services.development.local import LocalServer, ServerStartFailed, free_port
from services.development.management import Management
from services.development.watchdog import Watchdog

USUAL_FOLDERS = ("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin", "/opt/homebrew/bin", "/usr/lib/rabbitmq/bin")
"""Where packages put rabbitmq-server although an ordinary user's PATH often lacks the folder."""

CONFIGURATION = """
listeners.tcp.local = 127.0.0.1:{amqp_port}
management.tcp.ip = 127.0.0.1
management.tcp.port = {management_port}
default_user = batchpay
default_pass = {password}
loopback_users = none
# The system's disk is not this node's worry; the default threshold blocks publishers on a nearly full laptop.
disk_free_limit.absolute = 50MB
# Statistics fresh enough for a test that waits on them; the default is 5 s.
collect_statistics_interval = 500
"""

UNUSED_PLUGINS = (
    "rabbitmq_amqp1_0",
    "rabbitmq_auth_",
    "rabbitmq_aws",
    "rabbitmq_consistent_hash_exchange",
    "rabbitmq_event_exchange",
    "rabbitmq_federation",
    "rabbitmq_jms_topic_exchange",
    "rabbitmq_mqtt",
    "rabbitmq_peer_discovery_",
    "rabbitmq_prometheus",
    "rabbitmq_random_exchange",
    "rabbitmq_recent_history_exchange",
    "rabbitmq_sharding",
    "rabbitmq_shovel",
    "rabbitmq_stomp",
    "rabbitmq_stream",
    "rabbitmq_top",
    "rabbitmq_tracing",
    "rabbitmq_trust_store",
    "rabbitmq_web_mqtt",
    "rabbitmq_web_stomp",
)
"""A starting node reads every module of every plugin it could enable; without these it starts in half the time."""

SHARED_CORES = "+sbwt none +sbwtdcpu none +sbwtdio none"
"""Schedulers that are out of work sleep at once: by default they spin for a while, on cores that others could use."""

ADVANCED_CONFIGURATION = "[{rabbit, [{quorum_tick_interval, 500}]}].\n"


class RabbitMQMissing(ServerStartFailed):
    """RabbitMQ is not installed, and no Docker engine answers."""

    def __init__(self) -> None:
        super().__init__(
            f"{self.__doc__} Install it with: {install_command()}\n"
            "(or start Docker, or set BATCHPAY_DATABASE_URL and BATCHPAY_AMQP_URL to servers of your own)"
        )


def private_rabbitmq(directory: Path, watchdog: Watchdog) -> tuple[list[LocalServer], str, str]:
    """Prepare a node under `directory`.

    Returns its servers in starting order, not yet started (Erlang's port mapper, then the node), its AMQP URL and
    the URL of its management API. Raises RabbitMQMissing.
    """
    program = rabbitmq_server_program()
    home = directory / "rabbitmq"
    home.mkdir(mode=0o700)
    password = secrets.token_hex(16)
    amqp_port, management_port, distribution_port, epmd_port = (free_port() for _ in range(4))
    write_configuration(home, amqp_port=amqp_port, management_port=management_port, password=password)
    environment = node_environment(home, distribution_port=distribution_port, epmd_port=epmd_port)
    environment |= used_plugins(program, home)
    amqp_url = f"amqp://batchpay:{password}@127.0.0.1:{amqp_port}/%2F"
    management_url = f"http://batchpay:{password}@127.0.0.1:{management_port}"
    port_mapper = LocalServer(
        name="epmd (Erlang's port mapper)",
        command=[epmd_program(), "-port", str(epmd_port), "-address", "127.0.0.1"],
        environment=environment,
        log=directory / "epmd.log",
        answers=lambda: socket.create_connection(("127.0.0.1", epmd_port), timeout=3).close(),
        watchdog=watchdog,
        stop_signal=signal.SIGTERM,
        quit_signal=signal.SIGKILL,
    )
    node = LocalServer(
        name="RabbitMQ",
        command=[str(program)],
        environment=environment,
        log=directory / "rabbitmq.log",
        answers=lambda: rabbitmq_answers(amqp_url, management_url),
        watchdog=watchdog,
        stop_signal=signal.SIGTERM,
        quit_signal=signal.SIGKILL,
    )
    return [port_mapper, node], amqp_url, management_url


def write_configuration(home: Path, *, amqp_port: int, management_port: int, password: str) -> None:
    write_private(home / ".erlang.cookie", secrets.token_hex(16), mode=0o400)
    write_private(
        home / "rabbitmq.conf",
        CONFIGURATION.format(amqp_port=amqp_port, management_port=management_port, password=password),
    )
    write_private(home / "advanced.config", ADVANCED_CONFIGURATION)
    write_private(home / "enabled_plugins", "[rabbitmq_management].\n")
    write_private(home / "rabbitmq-env.conf", "")


def rabbitmq_answers(amqp_url: str, management_url: str) -> None:
    """Return when the broker accepts a connection and the management API answers; raise while either does not."""
    Management(management_url).get("vhosts")
    parameters = pika.URLParameters(amqp_url)
    parameters.socket_timeout = 3.0
    parameters.blocked_connection_timeout = 3.0
    pika.BlockingConnection(parameters).close()


def rabbitmq_server_program(search: str | None = None) -> Path:
    """The `rabbitmq-server` program found on `search` (by default PATH and the usual folders); or RabbitMQMissing."""
    folders = os.pathsep.join((os.environ.get("PATH", ""), *USUAL_FOLDERS)) if search is None else search
    found = shutil.which("rabbitmq-server", path=folders)
    if found is None:
        raise RabbitMQMissing
    program = Path(found).resolve()
    if program.name == "rabbitmq-script-wrapper":
        # Debian's wrapper changes to the account and the directories of the system node.
        return program.with_name("rabbitmq-server")
    return Path(found)


def install_command() -> str:
    if platform.system() == "Darwin":
        return "brew install rabbitmq"
    for manager, command in (
        ("apt-get", "apt-get install --no-install-recommends rabbitmq-server"),
        ("dnf", "dnf install rabbitmq-server"),
        ("apk", "apk add rabbitmq-server"),
        ("pacman", "pacman -S rabbitmq"),
    ):
        if shutil.which(manager):
            return command if os.geteuid() == 0 else f"sudo {command}"
    return "your system's package manager (the package is called rabbitmq-server)"


def epmd_program() -> str:
    """Erlang's port mapper, on PATH or beside the `erl` that PATH names."""
    folders = os.pathsep.join((os.environ.get("PATH", ""), "/usr/bin", "/usr/local/bin", "/opt/homebrew/bin"))
    erl = shutil.which("erl", path=folders)
    beside = str(Path(erl).resolve().parent) if erl else ""
    found = shutil.which("epmd", path=os.pathsep.join((folders, beside)))
    if found is None:
        raise ServerStartFailed(
            f"RabbitMQ is installed, but Erlang's epmd is missing. Repair with: {install_command()}"
        )
    return found


def node_environment(home: Path, *, distribution_port: int, epmd_port: int) -> dict[str, str]:
    """Everything the node reads or writes lies under `home`; nothing of a system node is inherited."""
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("RABBITMQ_", "ERL_", "ERLANG_"))
    }
    return inherited | {
        "HOME": str(home),
        "ERL_EPMD_PORT": str(epmd_port),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODENAME": f"batchpay-{secrets.token_hex(4)}@localhost",
        "RABBITMQ_DIST_PORT": str(distribution_port),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"-kernel inet_dist_use_interface {{127,0,0,1}} {SHARED_CORES}",
        "RABBITMQ_CONFIG_FILE": str(home / "rabbitmq.conf"),
        "RABBITMQ_ADVANCED_CONFIG_FILE": str(home / "advanced.config"),
        "RABBITMQ_CONF_ENV_FILE": str(home / "rabbitmq-env.conf"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "enabled_plugins"),
        "RABBITMQ_MNESIA_BASE": str(home / "data"),
        "RABBITMQ_LOG_BASE": str(home / "log"),
        "RABBITMQ_LOGS": "-",
        "RABBITMQ_SCHEMA_DIR": str(home / "schema"),
        "RABBITMQ_GENERATED_CONFIG_DIR": str(home / "generated"),
        "RABBITMQ_PID_FILE": str(home / "rabbitmq.pid"),
        "RABBITMQ_FEATURE_FLAGS_FILE": str(home / "feature_flags"),
    }


def used_plugins(program: Path, home: Path) -> dict[str, str]:
    """The environment for a plugin folder of links, without UNUSED_PLUGINS; empty where the plugins lie elsewhere."""
    installed = program.resolve().parent.parent / "plugins"
    if not installed.is_dir():
        return {}
    linked = home / "plugins"
    linked.mkdir()
    for plugin in installed.iterdir():
        if not plugin.name.startswith(UNUSED_PLUGINS):
            (linked / plugin.name).symlink_to(plugin)
    return {"RABBITMQ_PLUGINS_DIR": str(linked)}


def write_private(path: Path, text: str, *, mode: int = 0o600) -> None:
    path.touch(mode=0o600)
    path.write_text(text)
    path.chmod(mode)
