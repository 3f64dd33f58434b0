"""Stories 2, 3 and 4 from the field, on the real processes: hints that come twice, old keys, lost answers.

After every story its fixture lets days pass, and compares and checks every invariant (see conftest.py).
"""

from collections.abc import Callable
from datetime import timedelta

import pika
import pytest
from dramatiq import Message

from schemas.commands import CHARGE_ACTORS, CHARGE_QUEUES
from services.development.sandbox import Sandbox
from shared.domain.words import ProcessorName
from tests.journeys.journey import Journey, let_look
from tests.journeys.pausing import paused
from tests.sending import send
from tests.waiting import eventually

Start = Callable[[ProcessorName], Journey]
VANTAGE, STRIPE = ProcessorName.VANTAGE, ProcessorName.STRIPE
both = pytest.mark.parametrize("processor", list(ProcessorName))


# --- 2: the processor's own retry plus ours; a scheduler that enqueues a job again ------------------------------------


@both
def test_2_a_hint_that_comes_ten_times_charges_once(journey: Start, processor: ProcessorName) -> None:
    practice = journey(processor)
    practice.export.client("slow:300")
    practice.push()
    with paused(practice.box, "relay"):
        batch = practice.submit()
        (payment,) = practice.report(batch).values()
        publish_hints(practice.box, processor, payment["id"], times=10)
        practice.some(batch, "approved", "settled")
    publish_hints(practice.box, processor, payment["id"], times=10)
    eventually(lambda: queue_is_empty(practice.box, processor), what="all hints taken")
    assert len(practice.timeline(payment)["attempts"]) == 1
    assert practice.charges_sent() == 1


def publish_hints(box: Sandbox, processor: ProcessorName, payment: str, *, times: int) -> None:
    queue = CHARGE_QUEUES[processor]
    hint: Message[None] = Message(
        queue_name=queue, actor_name=CHARGE_ACTORS[processor], args=(payment,), kwargs={}, options={}
    )
    send(box.environment["BATCHPAY_AMQP_URL"], "", [(queue, hint.encode())] * times)


def queue_is_empty(box: Sandbox, processor: ProcessorName) -> bool:
    with pika.BlockingConnection(pika.URLParameters(box.environment["BATCHPAY_AMQP_URL"])) as connection:
        declared = connection.channel().queue_declare(CHARGE_QUEUES[processor], passive=True)
        return bool(declared.method.message_count == 0)


# --- 3: an idempotency key that the processor forgot after 24 h -------------------------------------------------------


def test_3_a_key_younger_than_twenty_hours_is_sent_again(journey: Start) -> None:
    practice = journey(STRIPE)
    practice.export.client("reset_before_execute")
    practice.push()
    batch = practice.submit()
    practice.some(batch, "unknown")
    practice.rows(
        "UPDATE attempt SET first_send_at = first_send_at - interval '19 hours', last_send_at = last_send_at"
        " - interval '19 hours' WHERE account = %s",
        practice.export.account,
    )
    (payment,) = practice.report(batch).values()
    reference = practice.timeline(payment)["attempts"][0]["reference"]
    eventually(lambda: let_look(practice) and practice.charges_sent(reference) > 1, within_s=30, what="a second send")
    assert len(practice.timeline(payment)["attempts"]) == 1


def test_3_a_key_older_than_twenty_hours_is_never_sent_again(journey: Start) -> None:
    practice = journey(STRIPE)
    practice.export.client("reset_before_execute")
    practice.push()
    batch = practice.submit()
    practice.some(batch, "unknown")
    age(practice, hours=21)
    before = looks(practice)
    eventually(lambda: let_look(practice) and looks(practice) >= before + 3, what="three looks")
    assert practice.states(batch) == {"unknown": 1}
    assert practice.charges_sent() == 1
    age(practice, hours=4)
    practice.until(batch, {"failed": 1})
    assert practice.charges_sent() == 1


def age(practice: Journey, *, hours: int) -> None:
    """Move the sends of the practice's attempts into the past."""
    practice.rows(
        "UPDATE attempt SET first_send_at = first_send_at - %s, last_send_at = last_send_at - %s,"
        " last_claimed_at = last_claimed_at - %s WHERE account = %s",
        *[timedelta(hours=hours)] * 3,
        practice.export.account,
    )


def looks(practice: Journey) -> int:
    return int(practice.rows("SELECT max(lookups) FROM attempt WHERE account = %s", practice.export.account)[0][0])


# --- 4: the connection dropped but the charge went through ------------------------------------------------------------


@both
@pytest.mark.parametrize("answer", ["reset_after_execute", "truncated_after_execute", "http_500_after"])
def test_4_a_charge_whose_answer_was_lost_is_found_by_lookup_and_taken_once(
    journey: Start, processor: ProcessorName, answer: str
) -> None:
    practice = journey(processor)
    practice.export.client(answer)
    practice.push()
    batch = practice.submit()
    practice.until(batch, {"approved" if processor is VANTAGE else "settled": 1})
    assert len(practice.executed()) == 1
    (payment,) = practice.report(batch).values()
    assert "lose_track" in [step["event"] for step in practice.timeline(payment)["steps"]]
    assert practice.charges_sent() == 1
