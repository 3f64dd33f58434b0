"""An upstream app in Node receives the events of a batch by webhook, and knows that they are ours."""

import json
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from schemas.events import EVENT_TYPES, BatchEvent, InvoiceEvent, PaymentEvent
from services.development.sandbox import Sandbox
from shared.domain.words import ProcessorName
from tests.command_line import batchpay
from tests.journeys.journey import WITHIN_S, Journey, rows
from tests.waiting import eventually

Start = Callable[[ProcessorName], Journey]
NODE = Path(__file__).parents[1] / "node"
MODELS = {"payment": PaymentEvent, "invoice": InvoiceEvent, "batch": BatchEvent}


class NodeReceiver:
    """`receive.mjs`, and what it prints, as it comes."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout
        self._process = process
        self.url = f"http://127.0.0.1:{json.loads(process.stdout.readline())['port']}/"
        self.got: list[dict[str, Any]] = []

    def read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            self.got.append(json.loads(line))

    def know(self, secret: str) -> None:
        assert self._process.stdin
        self._process.stdin.write(f"{secret}\n")
        self._process.stdin.flush()

    @property
    def verified(self) -> list[dict[str, Any]]:
        return [one for one in self.got if one["answered"] != 401]


@contextmanager
def node_receiver() -> Iterator[NodeReceiver]:
    command = ["node", str(NODE / "receive.mjs")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        receiver = NodeReceiver(process)
        reading = Thread(target=receiver.read)
        reading.start()
        try:
            yield receiver
        finally:
            process.kill()
            reading.join()


def refused(url: str, webhook_id: str) -> int:
    """The status of the answer to an event that we did not sign."""
    try:
        urlopen(Request(url, data=b"{}", headers={"webhook-id": webhook_id}), timeout=10)  # noqa: S310  # it is ours
    except HTTPError as error:
        with error:
            return error.code
    return 200


def test_every_event_of_a_batch_arrives_signed_and_only_its_practice_is_told(journey: Start, box: Sandbox) -> None:
    practice, other = journey(ProcessorName.STRIPE), journey(ProcessorName.STRIPE)
    for one in (practice, other):
        for _ in range(3):
            one.export.client()
        one.push()
    with node_receiver() as receiver:
        added = batchpay("webhooks", "add", practice.export.id, receiver.url, "--json", **box.environment).json
        receiver.know(added["secret"])
        other.submit()
        batch = practice.submit()
        practice.until(batch, {"settled": 3})

        def told() -> Counter[str]:
            return Counter(one["event"]["type"] for one in receiver.verified if one["answered"] == 204)

        waiting = "SELECT id FROM delivery WHERE subscription_id = %s AND state <> 'delivered'"
        eventually(
            lambda: told()["batch.completed"] and not rows(box, waiting, added["id"]),
            within_s=WITHIN_S,
            what="everything is delivered",
        )
        assert refused(receiver.url, "forged") == 401
    assert {one["event"]["batch_id"] for one in receiver.verified} == {batch["id"]}
    for one in receiver.verified:
        MODELS[one["event"]["type"].partition(".")[0]].model_validate(one["event"])
        assert one["event"]["type"] in EVENT_TYPES
        assert one["id"] == one["event"]["event_id"].replace(".", "-")
    assert (told()["payment.settled"], told()["invoice.paid"]) == (3, 3)
    first, *others = (one["id"] for one in receiver.verified)
    assert Counter(others)[first] == 1, "the receiver was away at first, and got the same event again"
    assert max(Counter(others).values()) == 1
    assert [one["id"] for one in receiver.got if one["answered"] == 401] == ["forged"]
