"""A command that cannot do its work says what is wrong and how to mend it, and never shows a traceback."""

import socket
import subprocess
import sys

import pytest

from services.development.local import free_port
from tests.command_line import batchpay

NOWHERE = f"127.0.0.1:{free_port()}"
NO_DATABASE = f"postgresql://{NOWHERE}/batchpay"
ON_THE_DATABASE = [
    ("migrate",),
    ("trace", "BP-1001"),
    ("review", "list"),
    ("findings", "list", "oak"),
    ("reconcile", "oak", "2026-11-27"),
    ("pause", "vantage", "--reason", "x"),
    ("resume", "vantage"),
    ("restore-drill", "--once"),
]
ON_RABBITMQ = [("queues",), ("deadletters", "list"), ("deadletters", "replay")]
OVER_HTTP = [("history",), ("status", "BP-1001"), ("report", "BP-1001"), ("void", "BP-1001", "--yes")]


@pytest.mark.parametrize("words", ON_THE_DATABASE, ids=" ".join)
def test_a_database_that_is_away_is_named(words: tuple[str, ...]) -> None:
    ended = batchpay(*words, BATCHPAY_DATABASE_URL=NO_DATABASE)
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith("The database of BATCHPAY_DATABASE_URL does not answer: connection failed")
    assert "is the address right?" in ended.err


@pytest.mark.parametrize("words", ON_RABBITMQ, ids=" ".join)
def test_a_rabbitmq_that_is_away_is_named(words: tuple[str, ...]) -> None:
    ended = batchpay(*words, BATCHPAY_DATABASE_URL=NO_DATABASE, BATCHPAY_AMQP_URL=f"amqp://{NOWHERE}/")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith("RabbitMQ of BATCHPAY_AMQP_URL does not answer")
    assert "refused" in ended.err


@pytest.mark.parametrize("words", [*ON_THE_DATABASE, *ON_RABBITMQ], ids=" ".join)
def test_a_variable_that_is_not_set_is_named(words: tuple[str, ...]) -> None:
    ended = batchpay(*words, BATCHPAY_DATABASE_URL=None, BATCHPAY_AMQP_URL=None)
    assert (ended.code, ended.out, ended.err) == (1, "", "BATCHPAY_DATABASE_URL is not set.\n")


def test_a_variable_that_is_wrong_is_named_without_its_value() -> None:
    ended = batchpay("migrate", BATCHPAY_DATABASE_URL="mysql://admin:secret@db/x", BATCHPAY_LOG_LEVEL="loud")
    assert ended.code == 1
    assert "BATCHPAY_DATABASE_URL must be of the form ^postgres" in ended.err
    assert "BATCHPAY_LOG_LEVEL: Input should be" in ended.err
    assert "secret" not in ended.err


@pytest.mark.parametrize("words", OVER_HTTP, ids=" ".join)
def test_a_service_that_is_away_is_named(words: tuple[str, ...]) -> None:
    ended = batchpay(*words, BATCHPAY_API_URL=f"http://{NOWHERE}", BATCHPAY_API_TOKEN="token")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith(f"No answer from http://{NOWHERE}")


@pytest.mark.parametrize("words", OVER_HTTP, ids=" ".join)
@pytest.mark.parametrize("token", [None, ""], ids=["missing", "empty"])
def test_a_token_that_is_not_there_is_asked_for(words: tuple[str, ...], token: str | None) -> None:
    ended = batchpay(*words, BATCHPAY_API_TOKEN=token)
    assert (ended.code, ended.err) == (2, "Set BATCHPAY_API_TOKEN. `batchpay token PRACTICE` prints one.\n")


def test_a_token_needs_a_secret_and_no_database() -> None:
    assert "BATCHPAY_JWT_SECRET" in batchpay("token", "oak", BATCHPAY_DATABASE_URL=None, BATCHPAY_JWT_SECRET=None).err
    assert batchpay("token", "oak", BATCHPAY_DATABASE_URL=None, BATCHPAY_JWT_SECRET="s" * 40).code == 0


def test_up_names_a_port_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        ended = batchpay("up", "--port", str(port))
    assert ended.code == 2
    assert f"Port {port} is taken" in ended.err


def test_the_help_is_there_without_what_development_needs() -> None:
    """As in the image, where psutil is not installed."""
    code = "import sys; sys.modules['psutil'] = None; from services.cli.main import app; app([{!r}])"
    told = subprocess.run([sys.executable, "-c", code.format("--help")], capture_output=True, text=True, check=False)
    assert (told.returncode, told.stderr) == (0, "")
    assert "Not in this installation" in told.stdout
    tried = subprocess.run([sys.executable, "-c", code.format("up")], capture_output=True, text=True, check=False)
    assert (tried.returncode, tried.stdout) == (1, "")
    assert "psutil is missing" in tried.stderr
