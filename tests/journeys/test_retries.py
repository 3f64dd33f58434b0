"""A batch's declines tried again on the real processes: what may be, once, and nothing else."""

from collections.abc import Callable

import pytest

from shared.domain.words import ProcessorName
from tests.journeys.journey import Journey

Start = Callable[[ProcessorName], Journey]
VANTAGE, STRIPE = ProcessorName.VANTAGE, ProcessorName.STRIPE


@pytest.mark.parametrize(
    ("processor", "soft", "hard"),
    [(VANTAGE, "decline:51", "decline:14"), (STRIPE, "decline:insufficient_funds", "decline:stolen_card")],
)
def test_a_soft_decline_is_charged_in_the_retry_and_a_hard_one_is_left_alone(
    journey: Start, processor: ProcessorName, soft: str, hard: str
) -> None:
    practice = journey(processor)
    client = practice.export.client(soft)
    practice.export.client(hard)
    practice.push()
    batch = practice.submit()
    practice.until(batch, {"declined": 2})
    practice.export.behave(client, "approve")
    practice.push()
    practice.rows("UPDATE practice SET retry_pause = '0' WHERE external_id = %s", practice.export.id)
    retried = practice.retry(batch)
    practice.until(retried, {"approved" if processor is VANTAGE else "settled": 1})
    assert list(practice.report(retried)) == client.invoices
    assert practice.batch(retried)["retry_of"] == batch["id"]
    assert practice.states(batch) == {"declined": 2}
    assert len(practice.executed()) == 1
    assert practice.charges_sent() == 3
