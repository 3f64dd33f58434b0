"""A process dies at every named place: nothing is charged twice, nothing is lost, and nothing stays behind.

`make test` runs the places at which most is at stake; BATCHPAY_CRASH_POINTS=all (`make crash-points`) runs all.
"""

import os
import re
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

from services.development.sandbox import Sandbox
from shared.crash_points import CRASH_POINTS, EXIT_CODE, CrashPoint, read
from shared.domain.words import ProcessorName
from tests.chaos.insisting import insist
from tests.journeys.exports import Export
from tests.journeys.journey import Journey, database_now, end_leases, finish, let_wires_go, look_now, rows
from tests.journeys.pausing import paused
from tests.journeys.sandboxes import running
from tests.waiting import eventually

VANTAGE, STRIPE = ProcessorName.VANTAGE, ProcessorName.STRIPE
ROOT = Path(__file__).parents[2]
# Slow enough that a death finds others on the wire, quick enough that the next place's turn comes soon.
SLOW = "slow:40"
CARDS = 3
DUE_MINOR = (2500, 2600)
WITHIN_S = 60.0

CHARGING: Final = (
    "claim_written",
    "claim_committed",
    "send_allowed",
    "send_answered",
    "record_written",
    "record_committed",
)
STATUS: Final = ("status_written", "status_committed")
STEP: Final = ("step_written", "step_committed")
HINTS: Final = ("hints_written", "hints_committed")
LEASES: Final = ("leases_written", "leases_committed")
PLACES: Final = {
    "submit": ("batch_written", "batch_committed", "void_marked", "void_asked"),
    "relay": ("relay_taken", "relay_confirmed", "relay_deleted"),
    "charge-vantage": CHARGING,
    "charge-stripe": CHARGING,
    "voids": (
        "void_claim_written",
        "void_claim_committed",
        "send_allowed",
        "send_answered",
        *STEP,
    ),
    "janitor": (
        *HINTS,
        *LEASES,
        *STEP,
        *CHARGING[2:],  # it sends a Stripe key again and records the answer
        *STATUS,
    ),
    "aggregator": STATUS,
}
MATRIX: Final = [(process, point) for process, points in PLACES.items() for point in points]
SHORT: Final = [
    ("relay", "relay_confirmed"),
    ("charge-vantage", "send_answered"),
    ("charge-stripe", "claim_committed"),
    ("voids", "send_answered"),
]
RUN: Final = MATRIX if os.environ.get("BATCHPAY_CRASH_POINTS") == "all" else SHORT


@pytest.fixture(scope="module")
def box(own_host: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    servers, _ = own_host
    with running(servers, tmp_path_factory.mktemp("crash-points"), name="dev") as box:
        yield box


class Load:
    """A batch at each processor, and one more at Vantage to be voided; one Stripe charge gets no answer."""

    def __init__(self, box: Sandbox, folder: Path) -> None:
        self.box = box
        self.practices = {
            name: Journey(box=box, export=Export(processor=name), folder=folder / name) for name in ProcessorName
        }
        for practice in self.practices.values():
            for _ in range(CARDS):
                practice.export.client(SLOW, due_minor=DUE_MINOR)
        lost = self.practices[STRIPE].export.client(SLOW)
        self.voided = self.practices[VANTAGE].export.client(SLOW, due_minor=DUE_MINOR).invoices
        for practice in self.practices.values():
            practice.push()
        unanswered = {"behaviour": "reset_before_execute", "operation": "charge", "token": lost.token}
        box.control(STRIPE, "script", [unanswered])
        self.batches: list[tuple[Journey, dict[str, Any]]] = []

    def submit(self) -> None:
        for practice in self.practices.values():
            invoices = [row["invoice_id"] for row in practice.export.rows["invoice"]]
            self._submit(practice, [invoice for invoice in invoices if invoice not in self.voided])

    def void(self) -> None:
        """Submit the batch that is to be voided, and void it once it is at work."""
        practice = self.practices[VANTAGE]
        batch = self._submit(practice, self.voided)
        eventually(
            lambda: practice.rows("SELECT id FROM payment WHERE batch_id = %s AND state <> 'queued'", batch["id"]),
            within_s=WITHIN_S,
            what="something to void",
        )
        insist(partial(practice.void, batch))

    def _submit(self, practice: Journey, invoices: list[str]) -> dict[str, Any]:
        confirmed = insist(partial(practice.preview, invoices))
        batch = insist(partial(practice.api, "batches", confirmed, key=invoices[0]))
        self.batches.append((practice, batch))
        return batch

    def states(self) -> Counter[str]:
        return sum((Counter(practice.states(batch)) for practice, batch in self.batches), Counter())


class Provocation(ExitStack):
    """Makes the janitor come to places that only another process's trouble leads to, for the time of the block."""

    def __init__(self, box: Sandbox, process: str, point: CrashPoint) -> None:
        super().__init__()
        self._box = box
        if process == "janitor" and point in STATUS:
            self.enter_context(paused(box, "aggregator"))
        if point in HINTS:
            self.enter_context(paused(box, "charge-stripe"))
        self._kill = "charge-vantage" if point in LEASES else None

    def go_on(self) -> None:
        """Let time pass, and one worker die in the middle of its work."""
        look_now(self._box)
        let_wires_go(self._box)
        rows(self._box, "UPDATE payment SET next_check_at = clock_timestamp() WHERE state = 'queued'")
        rows(self._box, "UPDATE batch SET updated_at = updated_at - interval '2 minutes' WHERE posting = 'pending'")
        if self._kill and rows(self._box, "SELECT id FROM payment WHERE state = 'sending' AND processor = 'vantage'"):
            self._box.stack.restart(self._kill, {})
            self._kill = None
        if self._kill is None:
            end_leases(self._box, claimed_before=database_now(self._box))


@pytest.mark.parametrize(("process", "point"), RUN, ids=[f"{process}-{point}" for process, point in RUN])
def test_a_death_at(box: Sandbox, tmp_path: Path, process: str, point: CrashPoint) -> None:
    load = Load(box, tmp_path)
    deaths = len(box.stack.exit_codes(process))
    starts = box.stack.starts(process)
    box.stack.restart(process, {"BATCHPAY_CRASH_AT": point})
    eventually(lambda: box.stack.starts(process) > starts, within_s=WITHIN_S, what=f"{process} is started")
    with Provocation(box, process, point) as provocation:
        load.submit()
        load.void()

        def died() -> bool:
            provocation.go_on()
            return EXIT_CODE in box.stack.exit_codes(process)[deaths:]

        eventually(died, within_s=WITHIN_S, what=f"{process} comes to {point}")
    assert box.stack.exit_codes(process)[deaths:] == [-signal.SIGKILL, EXIT_CODE]
    end_leases(box, claimed_before=database_now(box))
    finish(box, repeat_hints=True)
    states = load.states()
    assert states.total() == 2 * CARDS * len(DUE_MINOR) + 1 + len(load.voided)
    # What a dead worker had claimed and not sent: at Vantage it is proven absent days later, and not sent again.
    late = {"failed"} if process == "charge-vantage" or point in LEASES else set()
    assert states.keys() <= {"settled", "voided", "canceled"} | late, states


def test_the_matrix_has_every_place() -> None:
    assert {point for _, point in MATRIX} == set(CRASH_POINTS)
    assert set(SHORT) < set(MATRIX)


def test_every_place_is_somewhere_in_the_product_and_only_once() -> None:
    found = Counter(
        name
        for folder in ("services", "shared", "workers")
        for module in (ROOT / folder).rglob("*.py")
        for name in re.findall(r'reached\("(\w+)"\)', module.read_text())
    )
    assert found == dict.fromkeys(CRASH_POINTS, 1)


@pytest.mark.parametrize("environment", ["", "prod", "production", "demo", "staging", "predev"])
def test_no_process_starts_that_could_crash_outside_development(environment: str) -> None:
    with pytest.raises(ValueError, match="BATCHPAY_ENVIRONMENT"):
        read({"BATCHPAY_CRASH_AT": "claim_committed", "BATCHPAY_ENVIRONMENT": environment})


def test_a_place_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="claim_comitted"):
        read({"BATCHPAY_CRASH_AT": "claim_comitted", "BATCHPAY_ENVIRONMENT": "dev"})


def test_a_place_is_given_with_or_without_a_count() -> None:
    for wanted, expected in {
        "": {},
        "claim_committed": {"claim_committed": 1},
        "step_written:3": {"step_written": 3},
    }.items():
        assert read({"BATCHPAY_CRASH_AT": wanted, "BATCHPAY_ENVIRONMENT": "dev1"}) == expected
