"""What upstream apps and billing staff do while everything breaks: submit, submit again, void, refund."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from services.development.sandbox import Sandbox
from shared.domain.words import ProcessorName
from tests.chaos.insisting import insist
from tests.journeys.exports import Export
from tests.journeys.journey import Journey

PRACTICES_EACH: Final = 2
# Invoices of one client: its card charges them one after the other.
DUE_MINOR: Final = (2500, 2600, 2700)
SHORTEST, LONGEST = 4, 14
PAUSE_S: Final = (1.0, 4.0)
# Submits per practice and minute if nothing ever had to be repeated.
_SUBMITS_A_MINUTE: Final = 60 / (sum(PAUSE_S) / 2)
# Of ten cards one is refused, and one is slow.
_BEHAVIOURS: Final = {
    ProcessorName.VANTAGE: ("approve",) * 5 + ("slow:50",) * 3 + ("slow:1500", "decline:51"),
    ProcessorName.STRIPE: ("approve",) * 5 + ("slow:50",) * 3 + ("slow:1500", "decline:insufficient_funds"),
}


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A batch that upstream was told it is submitted."""

    batch_id: str
    invoices: tuple[str, ...]


@dataclass
class Load:
    """Practices at work; `acknowledged` is what upstream holds us to."""

    practices: list[Journey]
    seed: int
    stop: threading.Event = field(default_factory=threading.Event)
    acknowledged: list[Acknowledged] = field(default_factory=list)
    voids_asked: int = 0
    refunds_asked: int = 0
    longest_answer_s: float = 0.0


@contextmanager
def running(load: Load) -> Iterator[None]:
    """Submits, voids and refunds while the block runs; then every call has been answered. Raises what one raised."""
    with ThreadPoolExecutor(len(load.practices)) as threads:
        busy = [
            threads.submit(_work, load, practice, random.Random(load.seed + place))
            for place, practice in enumerate(load.practices)
        ]
        try:
            yield
        finally:
            load.stop.set()
        for each in busy:
            each.result()


def practices(box: Sandbox, folder: Path, *, seed: int, length_s: float) -> list[Journey]:
    """Practices at both processors, with enough open invoices for the whole time."""
    chance = random.Random(seed)
    clients = round(length_s / 60 * _SUBMITS_A_MINUTE * LONGEST / len(DUE_MINOR)) + LONGEST
    made = []
    for name in [*ProcessorName] * PRACTICES_EACH:
        practice = Journey(box=box, export=Export(processor=name), folder=folder / str(len(made)))
        practice.folder.mkdir(parents=True)
        for _ in range(clients):
            practice.export.client(chance.choice(_BEHAVIOURS[name]), due_minor=DUE_MINOR)
        practice.push()
        made.append(practice)
    return made


def _work(load: Load, practice: Journey, chance: random.Random) -> None:
    invoices = [row["invoice_id"] for row in practice.export.rows["invoice"]]
    chance.shuffle(invoices)
    while not load.stop.wait(chance.uniform(*PAUSE_S)) and len(invoices) >= LONGEST:
        chosen = [invoices.pop() for _ in range(chance.randint(SHORTEST, LONGEST))]
        batch = _submit(load, practice, chosen, twice=chance.random() < 0.1)
        load.acknowledged.append(Acknowledged(batch["id"], tuple(chosen)))
        fate = chance.random()
        if fate < 0.15:
            load.stop.wait(chance.uniform(0, 2))
            _answered(load, lambda batch=batch: practice.void(batch))
            load.voids_asked += 1
        elif fate < 0.3:
            rows = _answered(load, lambda batch=batch: practice.report(batch))
            _answered(load, lambda row=rows[chosen[0]]: practice.void_payment(row))
            load.voids_asked += 1
        elif fate < 0.5:
            # What has settled by then is given back: at Stripe a charge has when it is answered.
            load.stop.wait(chance.uniform(0, 4))
            _answered(load, lambda batch=batch: practice.refund(batch))
            load.refunds_asked += 1


def _submit(load: Load, practice: Journey, invoices: list[str], *, twice: bool) -> dict[str, Any]:
    confirmed = _answered(load, lambda: practice.preview(invoices))
    press = partial(_answered, load, lambda: practice.api("batches", confirmed, key=invoices[0]))
    first: dict[str, Any] = press()
    if twice:
        again = press()
        assert again["id"] == first["id"], "one key made two batches"
    return first


def _answered(load: Load, call: Callable[[], Any]) -> Any:
    began = time.monotonic()
    answer = insist(call, within_s=300.0)
    load.longest_answer_s = max(load.longest_answer_s, time.monotonic() - began)
    return answer
