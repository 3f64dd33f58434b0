"""What no look can tell ends on the review list, and a person resolves it at the command line."""

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from shared.domain.words import ProcessorName
from tests.journeys.journey import Journey, let_wires_go, look_now
from tests.journeys.pausing import paused
from tests.journeys.sandboxes import environment_of
from tests.waiting import eventually

Start = Callable[[ProcessorName], Journey]
both = pytest.mark.parametrize("processor", list(ProcessorName))
_BATCHPAY = Path(sys.executable).parent / "batchpay"


def review(practice: Journey, *words: str) -> subprocess.CompletedProcess[str]:
    """`batchpay review` as support runs it."""
    return subprocess.run(
        [_BATCHPAY, "review", *words],
        env=environment_of(practice.box),
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )


def listed(practice: Journey) -> list[dict[str, Any]]:
    shown = review(practice, "list", "--practice", practice.export.id, "--json")
    assert shown.returncode == 0, shown.stderr
    rows: list[dict[str, Any]] = json.loads(shown.stdout)
    return rows


def resolve(practice: Journey, payment: dict[str, Any], *verdict: str) -> str:
    """What is said: on the one stream if it is believed, on the other if it is refused."""
    said = review(practice, "resolve", payment["id"], *verdict, "--by", "pat", "--note", "seen in the dashboard")
    assert said.returncode == (0 if said.stdout else 1), said
    return said.stdout + said.stderr


def unknown(practice: Journey, behaviour: str, *, hours: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """A batch and its one payment, sent `hours` ago, unknown, and looked at for the next time half a day later."""
    practice.export.client(behaviour)
    practice.push()
    with paused(practice.box, "janitor"):
        batch = practice.submit()
        practice.some(batch, "unknown")
        age(practice, hours=hours)
    (payment,) = practice.report(batch).values()
    return batch, payment


def age(practice: Journey, *, hours: int) -> None:
    practice.rows(
        "UPDATE attempt SET first_send_at = first_send_at - %s, last_send_at = last_send_at - %s,"
        " last_claimed_at = last_claimed_at - %s, lookups = 5 WHERE account = %s",
        *[timedelta(hours=hours)] * 3,
        practice.export.account,
    )
    practice.rows(
        "UPDATE payment SET next_check_at = clock_timestamp() + interval '12 hours' WHERE account = %s",
        practice.export.account,
    )


def look_in_vain(practice: Journey) -> None:
    """One look of the janitor, to which the processor does not answer; it ends on the review list."""
    script = {"behaviour": "http_500_before", "operation": "lookup", "account": practice.export.account}
    practice.box.control(practice.export.processor, "script", [script])
    look_now(practice.box)
    let_wires_go(practice.box)
    eventually(lambda: listed(practice), within_s=60, what="the payment is on the review list")


@both
def test_a_person_resolves_a_charge_that_was_executed(journey: Start, processor: ProcessorName) -> None:
    practice = journey(processor)
    batch, payment = unknown(practice, "reset_after_execute", hours=49)
    assert listed(practice) == []
    look_in_vain(practice)
    (row,) = listed(practice)
    (charge,) = practice.executed()
    assert (row["id"], row["state"], row["reference"]) == (payment["id"], "unknown", charge["reference"])
    assert "no look could tell" in row["reason"]
    assert "resolve as charged" in row["suggestion"]

    assert "the processor shows" in resolve(practice, payment, "not-executed")
    assert "must be found out first" in resolve(practice, payment, "acknowledged")
    assert resolve(practice, payment, "charged", "12345678").startswith("Refused")
    assert practice.states(batch) == {"unknown": 1}
    assert len(listed(practice)) == 1

    assert resolve(practice, payment, "charged", charge["processor_ref"]) == "Resolved: charged.\n"
    assert listed(practice) == []
    (state,) = practice.states(batch)
    assert state in {"approved", "settled"}
    steps = practice.timeline(payment)["steps"]
    assert [step["actor"] for step in steps[-2:]] == ["pat", "pat"]
    assert len(practice.executed()) == 1
    # Its settlement is looked for in the reports of the days on which it was really sent.
    age(practice, hours=-49)


@both
def test_not_executed_is_refused_until_absence_is_final(journey: Start, processor: ProcessorName) -> None:
    practice = journey(processor)
    batch, payment = unknown(practice, "reset_before_execute", hours=0)
    if processor is ProcessorName.STRIPE:
        age(practice, hours=21)
    assert "absence is not final" in resolve(practice, payment, "not-executed")
    age(practice, hours=49)
    look_in_vain(practice)
    assert resolve(practice, payment, "charged", "12345678").startswith("Refused")
    assert resolve(practice, payment, "not-executed") == "Resolved: not-executed.\n"
    assert practice.states(batch) == {"failed": 1}
    assert listed(practice) == []
    assert practice.executed() == []


def test_wrong_words_are_explained(journey: Start) -> None:
    practice = journey(ProcessorName.STRIPE)
    somebody = {"id": "0197f0a2-0000-7000-8000-000000000000"}
    for words in (["maybe"], ["charged"], ["not-executed", "pi_1"]):
        said = review(practice, "resolve", somebody["id"], *words, "--by", "pat", "--note", "seen")
        assert said.returncode == 2
    assert "There is no payment" in resolve(practice, somebody, "not-executed")
