"""Journeys that somebody disturbs: two at once, pauses beyond every bound, connections cut in the middle."""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any
from urllib.error import HTTPError

import pika
import psycopg
import pytest

from schemas.commands import CHARGE_QUEUES
from services.development.sandbox import Sandbox
from shared.domain.words import ProcessorName
from tests.journeys.journey import Journey, database_now, end_leases, look_now, rows
from tests.journeys.pausing import paused
from tests.journeys.sandboxes import environment_of
from tests.rabbitmq_vhost import RabbitMQ
from tests.waiting import eventually

Start = Callable[[ProcessorName], Journey]
VANTAGE, STRIPE = ProcessorName.VANTAGE, ProcessorName.STRIPE
both = pytest.mark.parametrize("processor", list(ProcessorName))
TAKEN = {VANTAGE: "approved", STRIPE: "settled"}
# workers/sending.py: the first byte leaves within this time after the claim began, or never.
SEND_BUDGET_S = 5


# --- Two at once ------------------------------------------------------------------------------------------------------


def at_once(times: int, call: Callable[[int], Any]) -> list[Any]:
    """The answers of calls that start together; a refusal is its HTTP status."""
    together = threading.Barrier(times)

    def one(number: int) -> Any:
        together.wait()
        try:
            return call(number)
        except HTTPError as error:
            with error:
                return error.code

    with ThreadPoolExecutor(times) as threads:
        return list(threads.map(one, range(times)))


def test_a_submit_that_is_pressed_eight_times_at_once_makes_one_batch(journey: Start) -> None:
    practice = journey(VANTAGE)
    for _ in range(20):
        practice.export.client()
    practice.push()
    confirmed = practice.preview()
    answers = at_once(8, lambda _: practice.api("batches", confirmed, key="pressed"))
    batches = {answer["id"] for answer in answers if isinstance(answer, dict)}
    assert len(batches) == 1, answers
    assert set(filter(lambda answer: isinstance(answer, int), answers)) <= {503}, answers
    practice.until({"id": batches.pop()}, {"approved": 20})
    assert practice.charges_sent() == 20


def test_the_same_invoices_in_eight_different_submits_at_once_are_charged_once(journey: Start) -> None:
    practice = journey(STRIPE)
    for _ in range(20):
        practice.export.client()
    practice.push()
    confirmed = practice.preview([row["invoice_id"] for row in practice.export.rows["invoice"]])
    answers = at_once(8, lambda number: practice.api("batches", confirmed, key=f"user-{number}"))
    batches = [answer for answer in answers if isinstance(answer, dict)]
    assert len(batches) == 1, answers
    assert {answer for answer in answers if isinstance(answer, int)} <= {409, 422, 503}, answers
    practice.until(batches[0], {"settled": 20})
    assert practice.charges_sent() == 20


@both
def test_a_void_in_the_moment_of_the_submit_reaches_every_payment(journey: Start, processor: ProcessorName) -> None:
    practice = journey(processor)
    for _ in range(5):
        practice.export.client("slow:100", due_minor=[2500, 2600, 2700])
    practice.push()
    batch = practice.submit()
    at_once(3, lambda _: practice.void(batch))

    def over() -> bool:
        look_now(practice.box)
        states = practice.states(batch)
        assert states.keys() <= {"canceled", "voided", "settled"}, states
        return True

    eventually(over, within_s=30, what="everything canceled or voided")
    if processor is VANTAGE:
        assert "settled" not in practice.states(batch)
    eventually(lambda: practice.batch(batch)["unfinished"]["count"] == 0, what="the batch shows it")


@contextmanager
def second_worker(box: Sandbox, processor: ProcessorName) -> Iterator[None]:
    environment = environment_of(box, BATCHPAY_CHARGE_PROCESSOR=processor.value)
    worker = subprocess.Popen([sys.executable, "-m", "workers.charge"], env=environment, stderr=subprocess.DEVNULL)
    try:
        eventually(lambda: consumers(box, CHARGE_QUEUES[processor]) == 2, within_s=60, what="a second worker")
        yield
    finally:
        worker.terminate()
        worker.wait(timeout=40)


def consumers(box: Sandbox, queue: str) -> int:
    with pika.BlockingConnection(pika.URLParameters(box.environment["BATCHPAY_AMQP_URL"])) as connection:
        return int(connection.channel().queue_declare(queue, passive=True).method.consumer_count)


def test_two_workers_on_one_queue_charge_every_payment_once(journey: Start) -> None:
    practice = journey(STRIPE)
    for _ in range(20):
        practice.export.client("slow:20", due_minor=[2500, 2600, 2700])
    practice.push()
    with second_worker(practice.box, STRIPE):
        batch = practice.submit()
        practice.until(batch, {"settled": 60})
    assert practice.charges_sent() == len(practice.executed()) == 60


# --- Pauses -----------------------------------------------------------------------------------------------------------


@both
def test_a_worker_that_sleeps_past_its_lease_with_a_charge_on_the_wire_changes_nothing_when_it_wakes(
    journey: Start, processor: ProcessorName
) -> None:
    practice = journey(processor)
    practice.export.client("slow:300", due_minor=[2500, 2600])
    practice.push()
    batch = practice.submit()
    practice.some(batch, "sending")
    with paused(practice.box, f"charge-{processor}"):
        eventually(lambda: len(practice.executed()) == 1, what="the charge went through")
        end_leases(practice.box, claimed_before=database_now(practice.box))
        practice.until(batch, {TAKEN[processor]: 1, "queued": 1})
    practice.until(batch, {TAKEN[processor]: 2})
    assert practice.charges_sent() == 2


def test_trace_4_a_worker_that_sleeps_between_claim_and_send_sends_nothing_when_it_wakes(journey: Start) -> None:
    practice = journey(VANTAGE)
    practice.export.client()
    practice.push()
    with psycopg.connect(practice.box.database_url) as somebody:
        somebody.execute("LOCK TABLE attempt IN SHARE ROW EXCLUSIVE MODE")
        batch = practice.submit()
        eventually(lambda: waits_for_a_lock(practice.box), what="the claim waits for the table")
        with paused(practice.box, "charge-vantage"):
            somebody.rollback()
            asleep_since = database_now(practice.box)
            eventually(
                lambda: (database_now(practice.box) - asleep_since).total_seconds() > SEND_BUDGET_S,
                what="the send budget is over",
            )
    practice.until(batch, {"approved": 1})
    (payment,) = practice.report(batch).values()
    first, second = practice.timeline(payment)["attempts"]
    assert (first["outcome"], first["outcome_code"]) == ("not_executed", "send_budget")
    assert practice.charges_sent(first["reference"]) == 0
    assert practice.charges_sent(second["reference"]) == 1


def waits_for_a_lock(box: Sandbox) -> bool:
    """Whether the charge worker does; the server's own vacuum may wait for the same table."""
    found = rows(
        box,
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        " AND application_name LIKE '%%charge-vantage%%'",
    )
    return bool(found)


def test_a_void_worker_that_sleeps_past_its_lease_does_no_harm(journey: Start) -> None:
    practice = journey(VANTAGE)
    practice.export.client()
    practice.push()
    batch = practice.submit()
    practice.until(batch, {"approved": 1})
    practice.box.control(VANTAGE, "script", [{"behaviour": "slow:500", "operation": "void"}])
    practice.void(batch)
    eventually(lambda: voided_there(practice, "VoidedTransactions") == 1, what="the void is on the wire")
    with paused(practice.box, "voids"):
        end_leases(practice.box, claimed_before=database_now(practice.box))
        eventually(lambda: practice.executed()[0]["state"] == "voided", what="the void went through")
    practice.until(batch, {"voided": 1})


def voided_there(practice: Journey, path: str) -> int:
    requests = practice.box.control(VANTAGE, "requests")
    return sum(path in request["path"] and practice.export.account in request["body"] for request in requests)


# --- Connections cut in the middle ------------------------------------------------------------------------------------


@both
def test_database_connections_cut_again_and_again_change_nothing(journey: Start, processor: ProcessorName) -> None:
    practice = journey(processor)
    for _ in range(10):
        practice.export.client("slow:80", due_minor=[2500, 2600, 2700])
    practice.push()
    batch = practice.submit()
    for finished in (1, 8, 16, 24):
        eventually(partial(came_to, practice, batch, finished), within_s=60, what=f"{finished} charged")
        cut_database_connections(practice.box)
    end = TAKEN[processor]
    eventually(lambda: settled_down(practice, batch, end), within_s=60, what=f"all {end}")
    assert len(practice.executed()) == 30


def came_to(practice: Journey, batch: dict[str, Any], finished: int) -> bool:
    """Hints that were dropped with their connection come again after a minute, which passes here at once."""
    rows(practice.box, "UPDATE payment SET next_check_at = clock_timestamp() WHERE state = 'queued'")
    states = practice.states(batch)
    return states.get("approved", 0) + states.get("settled", 0) >= finished


def settled_down(practice: Journey, batch: dict[str, Any], end: str) -> bool:
    """As time would: the leases of claims whose COMMIT was lost pass, and hints that were dropped come again."""
    look_now(practice.box)
    rows(practice.box, "UPDATE payment SET next_check_at = clock_timestamp() WHERE state = 'queued'")
    states = practice.states(batch)
    assert states == {end: 30}, states
    return True


def cut_database_connections(box: Sandbox) -> None:
    rows(
        box,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )


@both
def test_broker_connections_cut_and_queues_deleted_change_nothing(
    journey: Start, processor: ProcessorName, broker: RabbitMQ
) -> None:
    practice = journey(processor)
    for _ in range(10):
        practice.export.client("slow:80", due_minor=[2500, 2600, 2700])
    practice.push()
    batch = practice.submit()
    practice.some(batch, TAKEN[processor], at_least=2)
    broker.close_connections()
    practice.some(batch, TAKEN[processor], at_least=10)
    for queue in (CHARGE_QUEUES[processor], "aggregator.v1"):
        broker.management.delete("queues", broker.vhost, queue)
    end = TAKEN[processor]
    eventually(lambda: settled_down(practice, batch, end), within_s=60, what=f"all {end}")
    assert practice.charges_sent() == len(practice.executed()) == 30
