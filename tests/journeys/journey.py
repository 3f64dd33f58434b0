"""One practice's way through a whole sandbox: push, submit, void, let time pass, and compare with what moved."""

import secrets
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, LiteralString
from urllib.error import HTTPError

import psycopg

from services.development.comparison import compare
from services.development.sandbox import Sandbox, call
from services.submit.auth import mint
from shared.domain.payment import LIVE, State
from shared.domain.words import ProcessorName
from shared.store import invariants
from shared.store.statements import load
from tests.journeys.exports import Export
from tests.waiting import eventually

# Many times what an idle machine needs; only a fault waits so long.
WITHIN_S: Final = 60.0
# Past the cut-off of today and of tomorrow, and the delay of both reports.
THREE_DAYS_S: Final = 72 * 3600
# A look costs a pass of the janitor; asking more often would only make it busy.
_LOOK_EVERY_S: Final = 0.25
_LOOK_NOW: Final = load("sweep")["look_now"]
_OPEN: Final = tuple(state for state in LIVE if state is not State.SETTLED)


@dataclass(frozen=True, kw_only=True)
class Journey:
    """A practice in a sandbox. `folder` is where its export is written."""

    box: Sandbox
    export: Export
    folder: Path

    # --- upstream and the processor -----------------------------------------------------------------------------------

    def push(self) -> None:
        """Upstream pushes the practice as it is now; the processor knows its cards."""
        if self.export.behaviours:
            control(self.box, self.export.processor, "behaviours", self.export.behaviours, method="PUT")
        self.export.land(self.box.database_url, self.folder)

    def charges_sent(self, reference: str = "") -> int:
        """How many charge requests with this reference (a part of it, or any) of this practice are on the log."""
        requests = self.box.control(self.export.processor, "requests")
        return sum(self._is_charge(request) and reference in _key(request) for request in requests)

    def _is_charge(self, request: dict[str, Any]) -> bool:
        if self.export.processor is ProcessorName.VANTAGE:
            return "/ProcessedTransactions/" in request["path"] and self.export.account in request["body"]
        account = {name.lower(): value for name, value in request["headers"].items()}.get("stripe-account")
        return bool(request["method"] == "POST" and account == self.export.account)

    def executed(self) -> list[dict[str, Any]]:
        """The charges of this practice that moved money, oldest first."""
        facts = self.box.control(self.export.processor, f"ledger?account={self.export.account}")["entries"]
        return [fact for fact in facts if fact["kind"] == "charge"]

    # --- the HTTP interface -------------------------------------------------------------------------------------------

    def token(self, *, clinician: int | None = None) -> str:
        permissions = ["billing", "billing:void", "billing:refund"] + ["own_clients"] * bool(clinician)
        return mint(
            self.box.environment["BATCHPAY_JWT_SECRET"],
            subject="pat",
            practice=self.export.id,
            permissions=permissions,
            clinician=f"{self.export.id}-dr{clinician}" if clinician else None,
            audience="batchpay",
            now=datetime.now(UTC),
            lifetime=timedelta(hours=1),
        )

    def api(self, path: str, body: Any = None, *, key: str | None = None, clinician: int | None = None) -> Any:
        """One request of the practice's billing staff, or of one of its clinicians. Raises HTTPError.

        A request that was answered with 503 is sent again, as that answer asks for.
        """
        headers = {"Authorization": f"Bearer {self.token(clinician=clinician)}"}
        headers |= {"Idempotency-Key": key} if key else {}
        give_up_at = time.monotonic() + WITHIN_S
        while True:
            try:
                return call(f"{self.box.api_url}/v1/{path}", body, headers=headers)
            except HTTPError as error:
                if error.code != HTTPStatus.SERVICE_UNAVAILABLE or time.monotonic() > give_up_at:
                    raise
                with error:
                    time.sleep(float(error.headers["Retry-After"]))

    def preview(self, invoices: Sequence[str] | None = None, *, number: str | None = None) -> dict[str, Any]:
        """What would be submitted: these invoices, or everything that matches; ready to be sent as a submit."""
        selection: dict[str, Any] = {"matching": {}} if invoices is None else {"invoices": list(invoices)}
        if number:
            selection["payment_number"] = number
        return {**selection, "control": self.api("batches/preview", selection)["control"]}

    def submit(
        self, invoices: Sequence[str] | None = None, *, number: str | None = None, key: str | None = None
    ) -> dict[str, Any]:
        batch: dict[str, Any] = self.api(
            "batches", self.preview(invoices, number=number), key=key or secrets.token_hex(8)
        )
        return batch

    def retry(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Try the declines of a batch again."""
        control = self.api("batches/preview", {"retry_of": batch["id"]})["control"]
        retried: dict[str, Any] = self.api(
            f"batches/{batch['id']}/retry", {"control": control}, key=secrets.token_hex(8)
        )
        return retried

    def void(self, batch: dict[str, Any]) -> dict[str, int]:
        results: dict[str, int] = self.api(f"batches/{batch['id']}/void", {})["results"]
        return results

    def void_payment(self, payment: dict[str, Any]) -> dict[str, int]:
        results: dict[str, int] = self.api(f"payments/{payment['id']}/void", {})["results"]
        return results

    def refund(self, batch: dict[str, Any]) -> dict[str, int]:
        results: dict[str, int] = self.api(f"batches/{batch['id']}/refund", {})["results"]
        return results

    def refund_payment(self, payment: dict[str, Any]) -> str:
        result: str = self.api(f"payments/{payment['id']}/refund", {})["result"]
        return result

    def moved_back(self, kind: str) -> list[int]:
        """The amounts of this practice's voids, refunds or chargebacks at the processor, oldest first."""
        facts = self.box.control(self.export.processor, f"ledger?account={self.export.account}")["entries"]
        return [fact["amount_minor"] for fact in facts if fact["kind"] == kind]

    def batch(self, batch: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = self.api(f"batches/{batch['id']}")
        return found

    def report(self, batch: dict[str, Any]) -> dict[str, dict[str, Any]]:
        """The payments of a batch by invoice."""
        rows = self.api(f"batches/{batch['id']}/payments?limit=1000")["items"]
        return {row["invoice"]: row for row in rows}

    def timeline(self, payment: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = self.api(f"payments/{payment['id']}")
        return found

    def states(self, batch: dict[str, Any]) -> dict[str, int]:
        """How many payments of the batch are in each state."""
        return dict(Counter(row["state"] for row in self.report(batch).values()))

    # --- waiting ------------------------------------------------------------------------------------------------------

    def until(self, batch: dict[str, Any], states: dict[str, int], *, within_s: float = WITHIN_S) -> None:
        """Wait until the payments of the batch are in exactly these states."""

        def reached() -> bool:
            look_now(self.box)
            now = self.states(batch)
            assert now == states, now
            return True

        eventually(reached, within_s=within_s, what=f"payments in {states}")

    def some(self, batch: dict[str, Any], *states: str, at_least: int = 1) -> None:
        """Wait until some payments of the batch are in one of these states."""

        def reached() -> bool:
            now = self.states(batch)
            assert sum(now.get(state, 0) for state in states) >= at_least, now
            return True

        eventually(reached, within_s=WITHIN_S, what=f"{at_least} in {states}")

    def rows(self, statement: LiteralString, *parameters: Any) -> list[Any]:
        """Run SQL, as an operator or the passing of time would."""
        return rows(self.box, statement, *parameters)


def rows(box: Sandbox, statement: LiteralString, *parameters: Any) -> list[Any]:
    with psycopg.connect(box.database_url) as connection:
        cursor = connection.execute(statement, parameters)
        return cursor.fetchall() if cursor.description else []


def control(box: Sandbox, processor: ProcessorName, path: str, body: Any, *, method: str) -> None:
    call(f"{box.simulators[processor]}/_control/{path}", body, method=method)


def _key(request: dict[str, Any]) -> str:
    """Where the reference of a charge stands: Vantage's body, Stripe's header."""
    headers = {name.lower(): value for name, value in request["headers"].items()}
    return str(request["body"]) + str(headers.get("idempotency-key", ""))


# --- time passes ------------------------------------------------------------------------------------------------------


def set_clock(box: Sandbox, processor: ProcessorName, moment: datetime) -> None:
    box.control(processor, "clock", {"set": moment.isoformat()})


@contextmanager
def days_pass(box: Sandbox) -> Iterator[None]:
    """Three days pass at both processors; afterwards their clocks show the real time again."""
    for name in ProcessorName:
        box.control(name, "clock", {"advance_s": THREE_DAYS_S})
    try:
        yield
    finally:
        for name in ProcessorName:
            set_clock(box, name, datetime.now(UTC))


def look_now(box: Sandbox) -> None:
    """Bring every look of the janitor forward to now."""
    with psycopg.connect(box.database_url) as connection:
        connection.execute(_LOOK_NOW)


def let_wires_go(box: Sandbox) -> None:
    """Let the lease pass of every request that was given up by its owner: nothing of it is on the wire any more."""
    rows(
        box,
        "UPDATE payment SET lease_until = clock_timestamp()"
        " WHERE state = 'unknown' AND on_wire AND claim_token IS NULL AND lease_until > clock_timestamp()",
    )


def let_look(practice: Journey) -> bool:
    """Let the janitor look, and send again; always true, for conditions that are waited for."""
    look_now(practice.box)
    let_wires_go(practice.box)
    return True


def end_leases(box: Sandbox, *, claimed_before: datetime) -> None:
    """Let the leases pass of a process that died at `claimed_before`."""
    rows(
        box,
        "UPDATE payment p SET lease_until = clock_timestamp(), next_check_at = clock_timestamp()"
        " FROM attempt a WHERE a.payment_id = p.id AND a.finished_at IS NULL AND a.last_claimed_at <= %s"
        " AND p.state IN ('sending', 'voiding', 'refunding') AND p.lease_until > clock_timestamp()",
        claimed_before,
    )


def database_now(box: Sandbox) -> datetime:
    now: datetime = rows(box, "SELECT clock_timestamp()")[0][0]
    return now


# --- the end of every journey -----------------------------------------------------------------------------------------


def finish(box: Sandbox, *, within_s: float = WITHIN_S, repeat_hints: bool = False) -> None:
    """Let days pass, wait until every payment is final, then compare with what moved and check every invariant.

    `repeat_hints`: also let the minute pass after which a hint that may be lost is given again, and the leases of
    requests that broke off, which keep the other payments of their cards waiting.
    """
    # What executes after the days have passed is in the report of another day than our books say.
    eventually(lambda: _sent(box, repeat_hints=repeat_hints), within_s=within_s, what="nothing waits to be sent")
    with days_pass(box):
        eventually(lambda: _over(box), within_s=within_s, what="every payment final")
        eventually(lambda: _sound(box), within_s=within_s, what="every invariant holds and no event is under way")
    for result in compared(box):
        assert not result.differences, (result.practice, result.differences)
    for name in ProcessorName:
        executions = box.control(name, "ledger")["executions"]
        assert not {reference: times for reference, times in executions.items() if times > 1}


def compared(box: Sandbox) -> list[Any]:
    ledgers = {name: box.control(name, "ledger")["entries"] for name in ProcessorName}
    return compare(box.database_url, ledgers)


def _sent(box: Sandbox, *, repeat_hints: bool) -> bool:
    if repeat_hints:
        let_wires_go(box)
        rows(box, "UPDATE payment SET next_check_at = clock_timestamp() WHERE state = 'queued'")
        time.sleep(_LOOK_EVERY_S)
    waiting = rows(box, "SELECT id::text, state, lease_until FROM payment WHERE state IN ('queued', 'sending')")
    assert not waiting, waiting[:5]
    return True


def _over(box: Sandbox) -> bool:
    look_now(box)
    let_wires_go(box)
    time.sleep(_LOOK_EVERY_S)
    unfinished = rows(
        box, "SELECT id::text, state, next_check_at, lease_until FROM payment WHERE state = ANY(%s)", list(_OPEN)
    )
    assert not unfinished, unfinished[:5]
    return True


def _sound(box: Sandbox) -> bool:
    with psycopg.connect(box.database_url) as connection:
        broken = invariants.check(connection, settled_down=timedelta(0))
    assert not broken, broken
    return True
