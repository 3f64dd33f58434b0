"""What a run came to: our books against upstream's, the processors' and our own rules."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import psycopg

from services.development.comparison import compare
from shared.domain.words import ProcessorName
from shared.store import invariants
from tests.chaos.load import Acknowledged
from tests.chaos.quiet import OPEN

Facts = Mapping[ProcessorName, Sequence[Mapping[str, Any]]]

_GIVEN_BACK: Final = frozenset({"voided", "refunded"})
_RETURNS: Final = frozenset({"void", "refund"})
# From losing track of a payment to knowing again: a resend that is lost in its turn begins anew and is part of it.
_RESOLUTIONS: Final = """
    SELECT lost.payment_id, min(known.at) - lost.at
    FROM payment_event lost LEFT JOIN payment_event known
      ON known.payment_id = lost.payment_id AND known.id > lost.id AND known.to_state NOT IN ('sending', 'unknown')
    WHERE lost.event = 'lose_track'
    GROUP BY lost.payment_id, lost.id, lost.at"""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """`good` only if nothing was charged or given back twice, nothing is lost or open, and every rule holds."""

    payments: int
    states: Mapping[str, int]
    double_charges: tuple[str, ...]
    double_returns: tuple[str, ...]
    lost_payments: tuple[str, ...]
    differences: tuple[str, ...]
    broken_invariants: tuple[str, ...]
    unfinished: int
    review_items: int
    unknowns: int
    unknowns_resolved: int
    longest_resolution_s: float

    @property
    def good(self) -> bool:
        wrong = (self.double_charges, self.double_returns, self.lost_payments, self.differences, self.broken_invariants)
        return not any(wrong) and not self.unfinished


def judge(database_url: str, ledgers: Facts, acknowledged: Sequence[Acknowledged]) -> Verdict:
    """Judge a quiet system: `ledgers` are all that moved at each processor, `acknowledged` what upstream relies on."""
    with psycopg.connect(database_url) as connection:
        states = dict(connection.execute("SELECT state, count(*) FROM payment GROUP BY 1 ORDER BY 1").fetchall())
        resolutions = [took for _, took in connection.execute(_RESOLUTIONS)]
        resolved = [took.total_seconds() for took in resolutions if took is not None]
        return Verdict(
            payments=sum(states.values()),
            states=states,
            double_charges=tuple(_charged_twice(connection, ledgers)),
            double_returns=tuple(_given_back_twice(ledgers)),
            lost_payments=tuple(_lost(connection, acknowledged)),
            differences=tuple(
                f"{result.practice}: {difference}"
                for result in compare(database_url, ledgers)
                for difference in result.differences
            ),
            broken_invariants=tuple(
                f"{name}: {', '.join(ids)}" for name, ids in invariants.check(connection, settled_down=timedelta(0))
            ),
            unfinished=sum(states.get(state, 0) for state in OPEN),
            review_items=_count(connection, "SELECT count(*) FROM payment WHERE review_reason IS NOT NULL"),
            unknowns=len(resolutions),
            unknowns_resolved=len(resolved),
            longest_resolution_s=max(resolved, default=0.0),
        )


def _charged_twice(connection: psycopg.Connection[Any], ledgers: Facts) -> list[str]:
    """References that executed twice, and invoices for which two charges stand."""
    charges = [fact for facts in ledgers.values() for fact in facts if fact["kind"] == "charge"]
    executed = Counter(charge["reference"] for charge in charges)
    invoice_of = dict(
        connection.execute(
            "SELECT a.reference, i.external_id FROM attempt a"
            " JOIN payment p ON p.id = a.payment_id JOIN invoice i ON i.id = p.invoice_id"
        ).fetchall()
    )
    standing = Counter(
        invoice_of.get(charge["reference"], charge["reference"])
        for charge in charges
        if charge["state"] not in _GIVEN_BACK
    )
    return [
        *(f"{reference} executed {times} times" for reference, times in executed.items() if times > 1),
        *(f"invoice {invoice} was charged {times} times" for invoice, times in standing.items() if times > 1),
    ]


def _given_back_twice(ledgers: Facts) -> list[str]:
    """Charges of which more was voided and refunded than was taken."""
    found = []
    for facts in ledgers.values():
        # Vantage numbers the transactions of each account from one.
        given_back: Counter[tuple[str, str]] = Counter()
        for fact in facts:
            if fact["kind"] in _RETURNS:
                given_back[fact["account"], fact["parent_ref"]] += fact["amount_minor"]
        found += [
            f"{fact['reference']} took {fact['amount_minor']} and gave {returned} back"
            for fact in facts
            if fact["kind"] == "charge"
            and (returned := given_back[fact["account"], fact["processor_ref"]]) > fact["amount_minor"]
        ]
    return found


def _lost(connection: psycopg.Connection[Any], acknowledged: Sequence[Acknowledged]) -> list[str]:
    """Invoices of acknowledged batches without exactly one payment in their batch."""
    found = Counter(
        connection.execute(
            "SELECT p.batch_id::text, i.external_id FROM payment p JOIN invoice i ON i.id = p.invoice_id"
        ).fetchall()
    )
    return [
        f"{invoice} of batch {batch.batch_id} has {found[batch.batch_id, invoice]} payments"
        for batch in acknowledged
        for invoice in batch.invoices
        if found[batch.batch_id, invoice] != 1
    ]


def _count(connection: psycopg.Connection[Any], statement: Any) -> int:
    row = connection.execute(statement).fetchone()
    assert row
    return int(row[0])
