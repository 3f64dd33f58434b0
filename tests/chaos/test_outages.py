"""A server stays, and does not do what it is there for: its disk or its memory is full, or it comes back in between."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest

from services.development.local import LocalServer
from services.development.management import Management
from services.development.rabbitmq import rabbitmq_server_program
from services.development.sandbox import Sandbox, call
from services.development.servers import Kind, Servers, development_servers
from shared.domain.words import ProcessorName
from tests.chaos.insisting import insist
from tests.journeys.exports import Export
from tests.journeys.journey import Journey, finish, rows
from tests.journeys.sandboxes import running
from tests.waiting import eventually

SLOW = "slow:300"
CARDS = 6
DUE_MINOR = (2500, 2600)
PAYMENTS = CARDS * len(DUE_MINOR)
WITHIN_S = 90.0

# Writing what the relay is to send fails as on a full disk. The real thing would stop the server: other tests do that.
DISK_FULL = """
    CREATE FUNCTION disk_full() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full';
    END $$;
    CREATE TRIGGER disk_full BEFORE INSERT ON outbox FOR EACH STATEMENT EXECUTE FUNCTION disk_full();
    CREATE TRIGGER disk_full BEFORE INSERT ON batch_hint FOR EACH STATEMENT EXECUTE FUNCTION disk_full()"""


@pytest.fixture(scope="module")
def own_servers() -> Iterator[Servers]:
    """Servers that these tests may fill and kill."""
    with development_servers(Kind.LOCAL) as servers:
        yield servers


@pytest.fixture(scope="module")
def box(own_servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with running(own_servers, tmp_path_factory.mktemp("outages")) as box:
        yield box


@pytest.fixture(params=list(ProcessorName))
def practice(request: pytest.FixtureRequest, box: Sandbox, tmp_path: Path) -> Journey:
    practice = Journey(box=box, export=Export(processor=request.param), folder=tmp_path / "practice")
    for _ in range(CARDS):
        practice.export.client(SLOW, due_minor=DUE_MINOR)
    practice.push()
    return practice


def at_work(practice: Journey) -> dict[str, Any]:
    """A batch with requests on the wire and others waiting."""
    invoices = [row["invoice_id"] for row in practice.export.rows["invoice"]]
    batch = practice.submit(invoices[: PAYMENTS // 2])
    practice.some(batch, "sending", "approved", "settled")
    return batch


def others(practice: Journey) -> list[str]:
    return [row["invoice_id"] for row in practice.export.rows["invoice"]][PAYMENTS // 2 :]


@contextmanager
def full_disk(box: Sandbox) -> Iterator[None]:
    rows(box, DISK_FULL)
    try:
        yield
    finally:
        rows(box, "DROP FUNCTION disk_full CASCADE")


def retried(box: Sandbox, process: str) -> int:
    return box.stack.logs(process).count('"record_retried"')


def test_a_full_disk_refuses_submits_and_keeps_answers_until_there_is_room(box: Sandbox, practice: Journey) -> None:
    worker = f"charge-{practice.export.processor}"
    before = retried(box, worker)
    batch = at_work(practice)
    confirmed = practice.preview(others(practice))
    with full_disk(box):
        eventually(lambda: retried(box, worker) > before, within_s=WITHIN_S, what="an answer that cannot be recorded")
        with pytest.raises(HTTPError) as refused:
            call(
                f"{box.api_url}/v1/batches",
                confirmed,
                headers={"Authorization": f"Bearer {practice.token()}", "Idempotency-Key": "full"},
            )
        with refused.value as problem:
            assert (problem.code, problem.headers["Retry-After"]) == (503, "1")
        assert len(practice.api("batches")["items"]) == 1
    second = practice.api("batches", confirmed, key="full")
    finish(box, repeat_hints=True)
    for each in (batch, second):
        assert practice.states(each) == {"settled": PAYMENTS // 2}
    assert practice.charges_sent() == len(practice.executed()) == PAYMENTS


@contextmanager
def memory_alarm(server: LocalServer) -> Iterator[None]:
    """RabbitMQ takes nothing more from publishers, as when its memory is full."""

    def set_high_watermark(share: str) -> None:
        program = rabbitmq_server_program().with_name("rabbitmqctl")
        command = [str(program), "set_vm_memory_high_watermark", share]
        subprocess.run(command, env=dict(server.environment), check=True, capture_output=True, timeout=WITHIN_S)

    set_high_watermark("0.00001")
    try:
        yield
    finally:
        set_high_watermark("0.4")


def test_a_memory_alarm_delays_charges_and_loses_nothing(own_servers: Servers, box: Sandbox, practice: Journey) -> None:
    assert own_servers.rabbitmq
    first, (*some, last) = at_work(practice), others(practice)
    with memory_alarm(own_servers.rabbitmq):
        second = practice.submit(some)
        eventually(lambda: publishers_blocked(own_servers), within_s=WITHIN_S, what="the relay is held back")
        third = practice.submit([last])
        assert practice.states(third) == {"queued": 1}
    # Nobody helps: what waits in the outbox leaves it when RabbitMQ takes it.
    for batch, count in ((first, PAYMENTS // 2), (second, len(some)), (third, 1)):
        practice.some(batch, "settled", "approved", at_least=count)
    finish(box)
    assert practice.charges_sent() == len(practice.executed()) == PAYMENTS


def publishers_blocked(servers: Servers) -> bool:
    """Whether RabbitMQ reads nothing more from a connection that publishes."""
    assert servers.rabbitmq_api_url
    connections = Management(servers.rabbitmq_api_url).get("connections")
    return any(connection.get("state") == "blocked" for connection in connections)


def test_rabbitmq_killed_and_restarted_with_its_data_in_the_middle_of_a_batch(
    own_servers: Servers, box: Sandbox, practice: Journey
) -> None:
    assert own_servers.rabbitmq
    first = at_work(practice)
    own_servers.rabbitmq.kill()
    second = practice.submit(others(practice))
    own_servers.rabbitmq.start()
    for batch in (first, second):
        eventually(
            partial(over, practice, batch), within_s=WITHIN_S, what="all charged, although hints may come a minute late"
        )
    finish(box)
    assert practice.charges_sent() == len(practice.executed()) == PAYMENTS


def over(practice: Journey, batch: dict[str, Any]) -> bool:
    states = insist(partial(practice.states, batch))
    assert states.keys() <= {"settled", "approved"}, states
    return True
