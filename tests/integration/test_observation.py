"""What a process tells its operators: metrics, whether it makes progress, and whether it reaches its servers."""

import asyncio
import json
import threading
from collections.abc import Callable
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from services.development.local import free_port
from shared.observation import observed
from shared.settings import Settings
from shared.telemetry.progress import Pulse, Turning


def settings_of(database_url: str, amqp_url: str) -> Settings:
    return Settings(database_url=database_url, amqp_url=amqp_url, metrics_port=0)


def asked(
    settings: Settings, path: str, *, alive: Callable[[], bool] = lambda: True, needs_rabbitmq: bool = True
) -> tuple[int, str]:
    with observed("test", settings, alive=alive, needs_rabbitmq=needs_rabbitmq) as port:
        try:
            with urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except HTTPError as error:
            with error:
                return error.code, error.read().decode()


def test_a_process_that_reaches_its_servers_is_ready(database_url: str, amqp_url: str) -> None:
    status, words = asked(settings_of(database_url, amqp_url), "/readyz")
    assert (status, json.loads(words)) == (200, {"postgresql": "ok", "rabbitmq": "ok"})


def test_ready_names_the_server_that_is_away(database_url: str, amqp_url: str) -> None:
    no_database = settings_of(f"postgresql://127.0.0.1:{free_port()}/nothing", amqp_url)
    status, words = asked(no_database, "/readyz")
    assert (status, json.loads(words)) == (503, {"postgresql": "failed", "rabbitmq": "ok"})
    no_rabbitmq = settings_of(database_url, f"amqp://127.0.0.1:{free_port()}/%2f")
    status, words = asked(no_rabbitmq, "/readyz")
    assert (status, json.loads(words)) == (503, {"postgresql": "ok", "rabbitmq": "failed"})
    # A submit waits in the outbox, and the janitor in the table: both do their work without RabbitMQ.
    status, words = asked(no_rabbitmq, "/readyz", needs_rabbitmq=False)
    assert (status, json.loads(words)) == (200, {"postgresql": "ok"})


def test_a_loop_that_is_stuck_is_not_alive(database_url: str, amqp_url: str) -> None:
    turning, begun, go_on = Turning(within_s=0.2), threading.Event(), threading.Event()

    async def hang() -> None:
        turning.begin()
        await asyncio.sleep(0)
        begun.set()
        go_on.wait()  # blocks the loop, as a library that does not know asyncio would

    settings = settings_of(database_url, amqp_url)
    thread = threading.Thread(target=asyncio.run, args=(hang(),))
    assert asked(settings, "/healthz", alive=turning.is_alive) == (200, '{"progress":"ok"}')
    thread.start()
    begun.wait()
    try:
        assert asked(settings, "/healthz", alive=turning.is_alive) == (503, '{"progress":"failed"}')
    finally:
        go_on.set()
        thread.join()
    assert not turning.is_alive(), "its loop is closed"


def test_a_thread_that_does_not_come_round_is_not_alive() -> None:
    now_s = 100.0
    pulse = Pulse(within_s=30.0, monotonic=lambda: now_s)
    now_s = 130.0
    assert pulse.is_alive()
    now_s = 131.0
    assert not pulse.is_alive()
    pulse.beat()
    assert pulse.is_alive()


@pytest.mark.parametrize(("path", "status", "says"), [("/metrics", 200, "python_info"), ("/", 404, "/healthz")])
def test_metrics_are_served_and_other_paths_say_what_there_is(
    database_url: str, amqp_url: str, path: str, status: int, says: str
) -> None:
    found, text = asked(settings_of(database_url, amqp_url), path)
    assert found == status
    assert says in text
