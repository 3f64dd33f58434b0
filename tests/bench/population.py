"""Rows to charge, made by the set: practices with clients, one default card each, and open invoices."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import psycopg
from psycopg import AsyncConnection

from shared.store import submissions
from shared.store.scope import Scope, resolve
from shared.store.submissions import Submission

AMOUNT_MINOR: Final = 12_500

_PRACTICES: Final = """
INSERT INTO practice (external_id, name, timezone, currency, processor, processor_account, enrolled)
SELECT 'practice-' || n, 'Practice ' || n, 'America/New_York', 'USD', %(processor)s,
  CASE WHEN %(processor)s = 'vantage' THEN (700000 + n)::text ELSE 'acct_bench' || n END, true
FROM generate_series(1, cardinality(%(invoices)s::integer[])) n
"""
_CLIENTS: Final = """
INSERT INTO client (practice_id, external_id, name)
SELECT p.id, p.external_id || '-c' || n, 'Client ' || to_char(n, 'FM000000')
FROM unnest(%(invoices)s::integer[]) WITH ORDINALITY AS wanted (invoices, place)
JOIN practice p ON p.external_id = 'practice-' || wanted.place
CROSS JOIN LATERAL generate_series(1, wanted.invoices) n
"""
_METHODS: Final = """
INSERT INTO payment_method (practice_id, external_id, client_id, processor, type, brand, last4, exp_month, exp_year,
  payer_id, token, is_default, first_charged_on)
SELECT c.practice_id, c.external_id || '-m', c.id, p.processor, 'card', 'visa', '4242', 12, 2099,
  CASE WHEN p.processor = 'vantage' THEN lpad(abs(hashtext(c.external_id))::text, 16, '2')
       ELSE 'cus_' || md5(c.external_id) END,
  CASE WHEN p.processor = 'vantage' THEN gen_random_uuid()::text ELSE 'pm_' || md5(c.external_id) END,
  true, '2026-01-01'
FROM client c JOIN practice p ON p.id = c.practice_id
"""
_INVOICES: Final = """
INSERT INTO invoice (practice_id, external_id, number, client_id, currency, total_minor, pushed_due_minor, issued_on,
  status, first_service_on, last_service_on, session_count)
SELECT c.practice_id, replace(c.external_id, '-c', '-i'), 'INV-' || split_part(c.external_id, '-c', 2), c.id, 'USD',
  %(amount_minor)s, %(amount_minor)s, '2026-10-01', 'open', '2026-09-01', '2026-09-01', 1
FROM client c
"""
_FILLED: Final = "practice, client, payment_method, invoice"


@dataclass(frozen=True, slots=True)
class Job:
    """One payment as a program without our database would be told of it."""

    payment_id: str
    invoice_id: str
    account: str
    payer_id: str
    token: str
    amount_minor: int


def populate(connection: psycopg.Connection[Any], *, processor: str, invoices: Sequence[int]) -> None:
    """Practices named practice-1..., with so many clients each that have one card and one open invoice each."""
    parameters = {"processor": processor, "invoices": list(invoices), "amount_minor": AMOUNT_MINOR}
    with psycopg.ClientCursor(connection) as cursor:
        for statement in (_PRACTICES, _CLIENTS, _METHODS, _INVOICES):
            cursor.execute(statement, parameters)
        cursor.execute(f"ANALYZE {_FILLED}")


def invoice_ids(practice: int, places: range) -> list[str]:
    """Upstream's ids of a practice's invoices; the first place is 1."""
    return [f"practice-{practice}-i{place}" for place in places]


def settle_down(connection: psycopg.Connection[Any]) -> None:
    """What the preparation left behind must not be cleaned up at the cost of what is measured."""
    connection.execute("VACUUM ANALYZE")
    connection.execute("CHECKPOINT")


def submit_rows(database_url: str, batches: Sequence[range]) -> list[UUID]:
    """Batches of practice 1 as the submit service writes them, by the same statement, without HTTP and its limits.

    Each batch is the places of its invoices.
    """
    return asyncio.run(_submit_all(database_url, batches))


async def _submit_all(database_url: str, batches: Sequence[range]) -> list[UUID]:
    async with await AsyncConnection.connect(database_url) as connection:
        scope = await resolve(connection, practice="practice-1", clinician=None)
        assert scope
        return [await _submit(connection, scope, places) for places in batches]


async def _submit(connection: AsyncConnection[Any], scope: Scope, places: range) -> UUID:
    submission = Submission(
        invoices=invoice_ids(1, places),
        payment_number=None,
        control_count=len(places),
        control_minor=len(places) * AMOUNT_MINOR,
        idempotency_key=f"places-{places.start}",
        request_sha256=b"0" * 32,
        actor="bench",
        source="bench",
    )
    batch = await submissions.submit(connection, scope, submission)
    assert batch, "every invoice of the bench can be charged"
    return batch.id


def take_hints(connection: psycopg.Connection[Any], *, batch: UUID) -> list[Job]:
    """The payments of a batch, whose hints the relay does not find any more: whoever asks publishes them otherwise."""
    connection.execute("DELETE FROM batch_hint WHERE batch_id = %s", (batch,))
    rows = connection.execute(
        "SELECT id::text, invoice_id::text, account, payer_id, token, amount_minor FROM payment WHERE batch_id = %s"
        " ORDER BY id",
        (batch,),
    ).fetchall()
    return [Job(*row) for row in rows]


def open_payments(connection: psycopg.Connection[Any]) -> int:
    """Payments that are not charged yet or whose answer is not recorded yet."""
    row = connection.execute("SELECT count(*) FROM payment WHERE state IN ('queued', 'sending')").fetchone()
    assert row
    return int(row[0])
