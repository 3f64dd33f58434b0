"""Load while processes and servers die: batches of slow payments, and when everything is back."""

from collections import Counter
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError

from services.development.sandbox import Sandbox
from shared.domain.words import ProcessorName
from tests.journeys.exports import Export
from tests.journeys.journey import Journey, finish
from tests.waiting import eventually

# Slow enough that every kill finds requests on the wire.
SLOW = "slow:700"
# Cards of each processor in one wave; each pays two invoices, one after the other.
CARDS = 2
DUE_MINOR = (2500, 2600)
# A process, its imports and its connections, on two busy cores.
RESTARTED_WITHIN_S = 60.0


class Waves:
    """Batches of slow payments at both processors, one after the other, never waiting for the one before."""

    def __init__(self, box: Sandbox, folder: Path, *, waves: int) -> None:
        self.box = box
        self.batches: list[tuple[Journey, dict[str, Any]]] = []
        self._waiting: list[tuple[Journey, list[list[str]]]] = []
        for name in ProcessorName:
            practice = Journey(box=box, export=Export(processor=name), folder=folder / name)
            clients = [practice.export.client(SLOW, due_minor=DUE_MINOR) for _ in range(CARDS * waves)]
            practice.push()
            invoices = [invoice for client in clients for invoice in client.invoices]
            size = CARDS * len(DUE_MINOR)
            self._waiting.append((practice, [invoices[n : n + size] for n in range(0, len(invoices), size)]))

    def submit(self) -> list[tuple[Journey, dict[str, Any]]]:
        """Submit the next wave: a batch for each processor."""
        wave = [(practice, practice.submit(batches.pop(0))) for practice, batches in self._waiting]
        self.batches += wave
        return wave

    def start(self) -> list[tuple[Journey, dict[str, Any]]]:
        """Submit the next wave and wait until each processor is at work on it."""
        wave = self.submit()
        for practice, batch in wave:
            practice.some(batch, "sending", "approved", "settled", "unknown")
        return wave

    def finish(self) -> Counter[str]:
        """Wait until every payment of every wave is final, and compare; the number of payments by state."""
        finish(self.box, within_s=90, repeat_hints=True)
        return sum((Counter(practice.states(batch)) for practice, batch in self.batches), Counter())


def back(box: Sandbox, name: str, starts: int) -> None:
    eventually(
        lambda: box.stack.starts(name) > starts and box.stack.pid(name) is not None,
        within_s=RESTARTED_WITHIN_S,
        what=f"{name} is started again",
    )


def answering(practice: Journey) -> bool:
    """Whether the service and both simulators answer again."""
    try:
        practice.api("batches")
        for name in ProcessorName:
            practice.box.control(name, "health")
    except HTTPError as error:
        error.close()
        return False
    except (URLError, HTTPException, OSError):
        return False
    return True
