"""Processes and servers die in the middle of a batch: nothing is charged twice, nothing is lost."""

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from http.client import HTTPException
from pathlib import Path
from urllib.error import URLError

import pytest
from dramatiq import Message

from schemas.commands import CHARGE_ACTORS, CHARGE_QUEUES, FIRST_CHARGE_ACTORS, FIRST_CHARGE_QUEUES
from services.development.processes import MODULES
from services.development.sandbox import Sandbox
from services.development.servers import Kind, Servers, development_servers
from services.development.stack import ProcessNotReady
from services.relay.ahead import FIRST_HINTS
from shared.domain.words import ProcessorName
from tests.journeys.exports import Export
from tests.journeys.journey import Journey, database_now, end_leases, finish
from tests.journeys.sandboxes import running
from tests.journeys.waves import CARDS, DUE_MINOR, RESTARTED_WITHIN_S, Waves, answering, back
from tests.sending import send
from tests.waiting import eventually

VANTAGE, STRIPE = ProcessorName.VANTAGE, ProcessorName.STRIPE


@pytest.fixture(scope="module")
def own_servers() -> Iterator[Servers]:
    """Servers that these tests may stop, kill and empty."""
    with development_servers(Kind.LOCAL) as servers:
        yield servers


@pytest.fixture(scope="module")
def own_box(own_servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with running(own_servers, tmp_path_factory.mktemp("killed")) as box:
        yield box


def kill(box: Sandbox, name: str) -> None:
    """`kill -9` as soon as the process runs."""

    def killed() -> bool:
        with suppress(ProcessNotReady):
            box.stack.kill(name)
            return True
        return False

    eventually(killed, within_s=RESTARTED_WITHIN_S, what=f"{name} runs")


def test_kill_9_of_every_process_in_turn_neither_doubles_nor_loses_a_charge(own_box: Sandbox, tmp_path: Path) -> None:
    waves = Waves(own_box, tmp_path, waves=len(MODULES))
    for name in MODULES:
        wave = waves.start()
        if name == "voids":
            wave[0][0].void(wave[0][1])
        starts = own_box.stack.starts(name)
        kill(own_box, name)
        died_at = database_now(own_box)
        back(own_box, name, starts)
        if name.startswith(("charge", "voids")):
            end_leases(own_box, claimed_before=died_at)
        eventually(partial(answering, wave[0][0]), within_s=RESTARTED_WITHIN_S, what="everything answers again")
    states = waves.finish()
    assert states.total() == len(MODULES) * CARDS * len(DUE_MINOR) * 2
    assert states.keys() <= {"settled", "failed", "voided", "canceled"}, states
    # Only what a simulator had not executed when it died may have failed: at Vantage nothing is sent a second time.
    assert states["failed"] <= CARDS, states
    for name in MODULES:
        assert own_box.stack.starts(name) >= 2, f"{name} was not killed"


def test_submit_killed_in_a_submit_that_is_repeated_makes_one_batch(own_box: Sandbox, tmp_path: Path) -> None:
    practice = Journey(box=own_box, export=Export(processor=STRIPE), folder=tmp_path / "own")
    for _ in range(20):
        practice.export.client()
    practice.push()
    confirmed = practice.preview()
    with ThreadPoolExecutor(1) as other:
        pressed = other.submit(lambda: practice.api("batches", confirmed, key="one"))
        kill(own_box, "submit")
        with suppress(URLError, HTTPException, OSError):
            pressed.result()
    eventually(lambda: answering(practice), within_s=RESTARTED_WITHIN_S, what="submit answers again")
    batch = practice.api("batches", confirmed, key="one")
    practice.until(batch, {"settled": 20})
    assert len(practice.api("batches")["items"]) == 1
    finish(own_box)


def test_rabbitmq_killed_and_restarted_empty_in_the_middle_of_a_batch(
    own_servers: Servers, own_box: Sandbox, tmp_path: Path
) -> None:
    assert own_servers.rabbitmq
    waves = Waves(own_box, tmp_path, waves=2)
    waves.start()
    data = Path(own_servers.rabbitmq.environment["RABBITMQ_MNESIA_BASE"])
    own_servers.rabbitmq.kill()
    shutil.rmtree(data)
    # Submits go on while RabbitMQ is away; only charging waits.
    waves.submit()
    own_servers.rabbitmq.start()
    states = waves.finish()
    assert states == {"settled": 2 * CARDS * len(DUE_MINOR) * 2}, states


def test_postgresql_killed_and_restarted_in_the_middle_of_a_batch(
    own_servers: Servers, own_box: Sandbox, tmp_path: Path
) -> None:
    assert own_servers.postgresql
    waves = Waves(own_box, tmp_path, waves=1)
    waves.start()
    own_servers.postgresql.kill()
    own_servers.postgresql.start()
    end_leases(own_box, claimed_before=database_now(own_box))
    states = waves.finish()
    assert states.total() == CARDS * len(DUE_MINOR) * 2
    # A claim whose COMMIT was cut off may never have been sent; Vantage's is then proven absent days later.
    assert states.keys() <= {"settled", "failed"}, states


def test_first_hints_whose_relay_and_worker_are_killed_and_that_come_again_both_ways_charge_once(
    own_box: Sandbox, tmp_path: Path
) -> None:
    practice = Journey(box=own_box, export=Export(processor=STRIPE), folder=tmp_path / "ahead")
    for _ in range(FIRST_HINTS):
        practice.export.client()
    practice.push()
    starts = {name: own_box.stack.starts(name) for name in ("relay", "charge-stripe")}
    batch = practice.submit()
    for name in starts:
        kill(own_box, name)
    died_at = database_now(own_box)
    ways = ((CHARGE_QUEUES, CHARGE_ACTORS), (FIRST_CHARGE_QUEUES, FIRST_CHARGE_ACTORS))
    hints = [
        (queues[STRIPE], Message(queues[STRIPE], actors[STRIPE], (row["id"],), {}, {}).encode())
        for row in practice.report(batch).values()
        for queues, actors in ways
    ]
    garbage = [(queues[STRIPE], body) for queues, _ in ways for body in (b"", b"{", b'{"args": ["nobody"]}')]
    send(own_box.environment["BATCHPAY_AMQP_URL"], "", [*hints, *garbage, *hints])
    for name, before in starts.items():
        back(own_box, name, before)
    end_leases(own_box, claimed_before=died_at)
    practice.until(batch, {"settled": FIRST_HINTS})
    assert len(practice.executed()) == FIRST_HINTS
    finish(own_box)
