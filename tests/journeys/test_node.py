"""An upstream app in Node: submits over AMQP, reads the answer, follows the batch by its own binding."""

import json
import os
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from services.development.sandbox import Sandbox
from shared.domain.words import ProcessorName
from tests.journeys.journey import Journey

Start = Callable[[ProcessorName], Journey]
NODE = Path(__file__).parents[1] / "node"
# Slow enough that the binding is there before the first charge is answered.
SLOW = "slow:2500"


def submit(box: Sandbox, request: dict[str, Any], folder: Path) -> list[dict[str, Any]]:
    """What `submit.mjs` prints."""
    file = folder / "request.json"
    file.write_text(json.dumps(request))
    done = subprocess.run(
        ["node", str(NODE / "submit.mjs"), str(file)],
        env={**os.environ, "AMQP_URL": box.environment["BATCHPAY_AMQP_URL"]},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_request_from_node_is_answered_and_every_event_of_its_batch_is_received(
    journey: Start, box: Sandbox, tmp_path: Path
) -> None:
    practice, other = journey(ProcessorName.STRIPE), journey(ProcessorName.STRIPE)
    clients = [practice.export.client(SLOW) for _ in range(4)]
    other.export.client()
    for one in (practice, other):
        one.push()
    invoices = [invoice for client in clients for invoice in client.invoices]
    other.submit()
    answer, *events = submit(
        box,
        {
            "practice": practice.export.id,
            "token": practice.token(),
            "idempotency_key": "node-1",
            "invoices": invoices,
            "control": practice.preview(invoices)["control"],
        },
        tmp_path,
    )
    assert (answer["type"], answer["outcome"], answer["count"]) == ("request.accepted", "submitted", 4)
    assert {event["batch_id"] for event in events} == {answer["batch_id"]}
    settled = [event["payment_id"] for event in events if event["type"] == "payment.settled"]
    assert len(settled) == len(set(settled)) == 4
    types = Counter(event["type"] for event in events)
    assert types["invoice.paid"] == 4
    assert types["batch.completed"] == 1


def test_a_wrong_request_from_node_is_answered_with_its_reasons(journey: Start, box: Sandbox, tmp_path: Path) -> None:
    practice = journey(ProcessorName.STRIPE)
    practice.export.client()
    practice.push()
    request = {"practice": practice.export.id, "token": practice.token(), "idempotency_key": "node-2"}
    selection = {"invoices": ["nothing"], "control": {"count": 0, "total_minor": 1}}
    (answer,) = submit(box, {**request, **selection}, tmp_path)
    assert (answer["type"], answer["code"]) == ("request.rejected", "invalid_request")
    assert [fault["field"] for fault in answer["errors"]] == ["control.count"]
    (answer,) = submit(box, {**request, **selection, "control": {"count": 1, "total_minor": 1}}, tmp_path)
    assert answer["type"] == "request.rejected"
    assert "nothing" in json.dumps(answer["errors"])
