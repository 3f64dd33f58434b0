"""A release is rolled out under load, and finds in the queues what the release before it wrote."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import pytest

from schemas.commands import AGGREGATOR_QUEUE, CHARGE_QUEUES, FIRST_CHARGE_QUEUES, REFUND_QUEUE, VOID_QUEUE
from schemas.requests import REQUESTS_EXCHANGE, SUBMIT_QUEUE
from services.development.processes import MODULES
from services.development.sandbox import Sandbox
from services.development.stack import ProcessNotReady
from services.relay.events import messages
from services.relay.hints import FIRST_LANES, LANES, Goal, Hints
from shared.domain.words import ProcessorName
from shared.messaging import topology
from shared.store.outbox import CommandRow, EventRow, FirstHint, Hint
from tests.journeys.journey import Journey
from tests.journeys.pausing import paused
from tests.journeys.sandboxes import environment_of
from tests.journeys.waves import RESTARTED_WITHIN_S, Waves, answering, back
from tests.sending import send
from tests.waiting import eventually

Start = Callable[[ProcessorName], Journey]
VANTAGE, STRIPE = ProcessorName.VANTAGE, ProcessorName.STRIPE
# The processors are nobody's release.
ROLLED: Final = [name for name, (module, _) in MODULES.items() if not module.startswith("workers.simulators")]
RELEASED: Final = Path(__file__).parent / "released"
# What stands in the frozen messages where a test has ids of its own.
PAYMENT, BATCH = "00000000-0000-7000-8000-000000000001", "00000000-0000-7000-8000-000000000002"


# --- Rolling restart --------------------------------------------------------------------------------------------------


@contextmanager
def second_worker(box: Sandbox, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """One more process of the pool of Vantage, which has begun to work."""
    with log.open("wb") as output:
        worker = subprocess.Popen(
            [sys.executable, "-m", "workers.charge"],
            env=environment_of(box, BATCHPAY_CHARGE_PROCESSOR=VANTAGE),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            eventually(lambda: b"endpoint_opened" in log.read_bytes(), within_s=RESTARTED_WITHIN_S, what="it works")
            yield worker
        finally:
            worker.kill()
            worker.wait()


def drain(box: Sandbox, name: str) -> None:
    def asked() -> bool:
        with suppress(ProcessNotReady):
            box.stack.terminate(name)
            return True
        return False

    eventually(asked, within_s=RESTARTED_WITHIN_S, what=f"{name} runs")


def test_a_rolling_restart_under_load_loses_and_doubles_nothing(box: Sandbox, tmp_path: Path) -> None:
    waves = Waves(box, tmp_path, waves=len(ROLLED))
    with second_worker(box, tmp_path / "second.log") as worker:
        for name in ROLLED:
            practice = waves.start()[0][0]
            starts, ends = box.stack.starts(name), len(box.stack.exit_codes(name))
            drain(box, name)
            if name == "charge-vantage":
                worker.terminate()
            back(box, name, starts)
            assert box.stack.exit_codes(name)[ends:] == [0], f"{name} did not drain"
            eventually(partial(answering, practice), within_s=RESTARTED_WITHIN_S, what="everything answers again")
        assert worker.wait(RESTARTED_WITHIN_S) == 0
    states = waves.finish()
    # Nothing was in doubt for a moment: what was on the wire was recorded before its process ended.
    assert states == {"settled": states.total()}, states
    for practice, batch in waves.batches:
        for payment in practice.report(batch).values():
            events = [step["event"] for step in practice.timeline(payment)["steps"]]
            assert events.count("claim") == 1, events
            assert "lose_track" not in events, events


# --- Messages of the release before -----------------------------------------------------------------------------------


def released(queue: str, **mine: str) -> bytes:
    """The message that an earlier release wrote into this queue, with a test's own ids."""
    text = (RELEASED / f"{queue}.json").read_text()
    for before, after in mine.items():
        text = text.replace({"payment": PAYMENT, "batch": BATCH}.get(before, before), after)
    return text.encode()


def publish(box: Sandbox, body: bytes, *, queue: str, exchange: str = "", **properties: Any) -> None:
    send(box.environment["BATCHPAY_AMQP_URL"], exchange, [(queue, body)], **properties)


def only_payment(practice: Journey, batch: dict[str, Any]) -> dict[str, Any]:
    (payment,) = practice.report(batch).values()
    return payment


def test_there_is_a_frozen_message_of_every_queue_that_somebody_works_on() -> None:
    worked_on = {*topology.COMMAND_QUEUES, AGGREGATOR_QUEUE, SUBMIT_QUEUE}
    assert {path.stem for path in RELEASED.iterdir()} == worked_on


@pytest.mark.parametrize("queues", [CHARGE_QUEUES, FIRST_CHARGE_QUEUES], ids=["in turn", "ahead"])
@pytest.mark.parametrize("processor", list(ProcessorName))
def test_todays_workers_charge_what_an_older_relay_hinted(
    journey: Start, processor: ProcessorName, queues: dict[str, str]
) -> None:
    practice = journey(processor)
    practice.export.client()
    practice.push()
    with paused(practice.box, "relay"):
        batch = practice.submit()
        payment = only_payment(practice, batch)["id"]
        queue = queues[processor]
        publish(practice.box, released(queue, payment=payment), queue=queue)
        practice.some(batch, "approved", "settled")


def test_todays_workers_give_back_what_an_older_relay_hinted(journey: Start) -> None:
    voided, refunded = journey(VANTAGE), journey(STRIPE)
    for practice in (voided, refunded):
        practice.export.client()
        practice.push()
    of_void, of_refund = voided.submit(), refunded.submit()
    voided.until(of_void, {"approved": 1})
    refunded.until(of_refund, {"settled": 1})
    box = voided.box
    with paused(box, "relay"):
        voided.void(of_void)
        refunded.refund(of_refund)
        for practice, batch, queue in ((voided, of_void, VOID_QUEUE), (refunded, of_refund, REFUND_QUEUE)):
            publish(box, released(queue, payment=only_payment(practice, batch)["id"]), queue=queue)
        voided.some(of_void, "voided")
        refunded.some(of_refund, "refunded")


def test_todays_aggregator_counts_what_an_older_relay_told(journey: Start) -> None:
    practice = journey(STRIPE)
    practice.export.client()
    practice.push()
    with paused(practice.box, "relay", "janitor"):
        batch = practice.submit()
        payment = only_payment(practice, batch)["id"]
        publish(practice.box, released(CHARGE_QUEUES[STRIPE], payment=payment), queue=CHARGE_QUEUES[STRIPE])
        practice.some(batch, "settled")
        assert practice.batch(batch)["status"] == "processing"
        queue = AGGREGATOR_QUEUE
        publish(practice.box, released(queue, payment=payment, batch=batch["id"]), queue=queue)
        eventually(lambda: practice.batch(batch)["status"] == "completed", what="the batch is counted")


def test_todays_ingress_takes_an_older_request(journey: Start) -> None:
    practice = journey(STRIPE)
    client = practice.export.client()
    practice.push()
    mine = {"oak-i1": client.invoices[0], "oak": practice.export.id, "TOKEN": practice.token()}
    body = released(SUBMIT_QUEUE, **mine)
    publish(practice.box, body, queue=SUBMIT_QUEUE, exchange=REQUESTS_EXCHANGE)
    (batch,) = eventually(lambda: practice.api("batches")["items"], within_s=30, what="it is submitted")
    practice.until(batch, {"settled": 1})


def test_an_older_aggregator_reads_what_todays_relay_writes() -> None:
    """It reads a batch's id, wherever else its messages differ."""
    event = {"batch_id": BATCH, "practice_id": None}
    _, count = messages(EventRow(1, "payment.approved", "{}"), event, ())
    assert json.loads(count.body) == {"batch_id": json.loads(released(AGGREGATOR_QUEUE))["batch_id"]}


@pytest.mark.parametrize("hint", [CommandRow(1, UUID(BATCH), UUID(PAYMENT)), FirstHint(UUID(BATCH), UUID(PAYMENT))])
@pytest.mark.parametrize(("lane", "goal"), [*LANES.items(), *FIRST_LANES.items()])
def test_an_older_worker_reads_what_todays_relay_writes(lane: str, goal: Goal, hint: Hint) -> None:
    """But for its id and its time a message is what it was: who reads the old one reads this one."""
    today = json.loads(Hints(lane, goal).message(hint).body)
    before = json.loads(released(goal.queue))
    for told in (today, before):
        del told["message_id"], told["message_timestamp"]
    assert today == before
