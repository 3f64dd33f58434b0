"""The verdict finds what a run must never come to; else its zeros would mean nothing."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from shared.domain.words import ProcessorName
from tests import builders
from tests.chaos.load import Acknowledged
from tests.chaos.verdict import Verdict, judge

VANTAGE, STRIPE = ProcessorName.VANTAGE, ProcessorName.STRIPE


class Books:
    """A batch of two settled payments at Vantage, and the charges of its account."""

    def __init__(self, connection: psycopg.Connection[Any], database_url: str) -> None:
        self.connection, self.url = connection, database_url
        made = builders.submitted(connection, 2)
        self.payments = made.payments
        self.attempts = [builders.paid(connection, payment) for payment in made.payments]
        connection.execute(
            "UPDATE batch SET approved = 2, approved_minor = 10000, unfinished = 0, unfinished_minor = 0,"
            " status = 'completed', posting = 'posted'"
        )
        rows = connection.execute(
            "SELECT reference, account, amount_minor, processor_ref FROM attempt ORDER BY id"
        ).fetchall()
        self.ledger = [
            {
                "kind": "charge",
                "reference": reference,
                "account": account,
                "amount_minor": minor,
                "state": "settled",
                "processor_ref": processor_ref,
            }
            for reference, account, minor, processor_ref in rows
        ]
        invoices = connection.execute("SELECT external_id FROM invoice ORDER BY 1").fetchall()
        self.acknowledged = [Acknowledged(str(made.batch_id), tuple(name for (name,) in invoices))]

    def judged(self) -> Verdict:
        self.connection.commit()
        return judge(self.url, {VANTAGE: self.ledger, STRIPE: []}, self.acknowledged)


@pytest.fixture
def books(database_url: str) -> Iterator[Books]:
    with psycopg.connect(database_url) as connection:
        yield Books(connection, database_url)


def test_equal_books_are_good(books: Books) -> None:
    verdict = books.judged()
    assert verdict.good, verdict
    assert (verdict.payments, verdict.states) == (2, {"settled": 2})


def test_a_reference_that_executed_twice_is_a_double_charge(books: Books) -> None:
    books.ledger.append(dict(books.ledger[0]))
    verdict = books.judged()
    assert not verdict.good
    assert any("executed 2 times" in each for each in verdict.double_charges)


@pytest.mark.unsound("it breaks rules")
def test_two_attempts_that_both_took_money_are_a_double_charge_unless_one_gave_it_back(books: Books) -> None:
    second = builders.attempt(
        books.connection, books.payments[0], outcome="settled", open_sends=0, processor_ref="another"
    )
    row = books.connection.execute("SELECT reference FROM attempt WHERE id = %s", [second]).fetchone()
    assert row
    books.ledger.append({**books.ledger[0], "reference": row[0]})
    assert any("was charged 2 times" in each for each in books.judged().double_charges)
    books.ledger[-1]["state"] = "voided"
    assert not books.judged().double_charges


def test_more_given_back_than_was_taken_is_a_double_return(books: Books) -> None:
    charge = books.ledger[0]
    refund = {"kind": "refund", "reference": "r", "account": charge["account"], "parent_ref": charge["processor_ref"]}
    half = charge["amount_minor"] // 2
    books.ledger += [{**refund, "amount_minor": half}, {**refund, "amount_minor": charge["amount_minor"] - half}]
    books.ledger.append({**refund, "account": "another, which numbers alike", "amount_minor": half})
    assert not books.judged().double_returns
    books.ledger.append({**refund, "amount_minor": 1})
    verdict = books.judged()
    assert not verdict.good
    assert any(charge["reference"] in each for each in verdict.double_returns)


def test_a_payment_that_took_nothing_there_is_a_difference(books: Books) -> None:
    books.ledger.pop()
    verdict = books.judged()
    assert not verdict.good
    assert any("took nothing there" in each for each in verdict.differences)


def test_an_acknowledged_invoice_without_a_payment_is_lost(books: Books) -> None:
    books.acknowledged.append(Acknowledged(books.acknowledged[0].batch_id, ("never-seen",)))
    assert any("never-seen" in each for each in books.judged().lost_payments)
    assert not books.judged().good


def test_a_payment_that_comes_to_no_end_is_not_good(books: Books) -> None:
    builders.submitted(books.connection)
    verdict = books.judged()
    assert (verdict.unfinished, verdict.good) == (1, False)


@pytest.mark.unsound("it breaks rules")
def test_a_broken_invariant_is_not_good(books: Books) -> None:
    books.connection.execute("UPDATE invoice SET taken_minor = 0")
    verdict = books.judged()
    assert not verdict.good
    assert any("invoice_knows_what_was_taken" in each for each in verdict.broken_invariants)


@pytest.mark.unsound("it has steps without a payment that took them")
def test_the_time_to_resolution_runs_from_losing_track_to_knowing(books: Books) -> None:
    began = datetime(2026, 1, 5, tzinfo=UTC)
    way = (
        ("lose_track", "sending", "unknown", 0),
        ("resend", "unknown", "sending", 10),
        ("lose_track", "sending", "unknown", 20),
        ("settle", "unknown", "settled", 65),
    )
    for event, source, target, after_s in way:
        books.connection.execute(
            "INSERT INTO payment_event (payment_id, at, event, from_state, to_state, actor)"
            " VALUES (%s, %s, %s, %s, %s, 'x')",
            [books.payments[0], began + timedelta(seconds=after_s), event, source, target],
        )
    books.connection.execute(
        "INSERT INTO payment_event (payment_id, at, event, from_state, to_state, actor)"
        " VALUES (%s, %s, 'lose_track', 'sending', 'unknown', 'x')",
        [books.payments[1], began],
    )
    verdict = books.judged()
    assert (verdict.unknowns, verdict.unknowns_resolved, verdict.longest_resolution_s) == (3, 2, 65.0)
