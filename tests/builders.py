"""Rows for tests: each function inserts one sound row and returns its id; keywords replace columns."""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import count
from typing import Any
from uuid import UUID, uuid4

import psycopg
from psycopg import sql

_serial = count(1)

Connection = psycopg.Connection[Any]


def insert(connection: Connection, table: str, **columns: Any) -> Any:
    """Insert one row and return its id."""
    statement = sql.SQL("INSERT INTO {} ({}) VALUES ({}) RETURNING id").format(
        sql.Identifier(table),
        sql.SQL(", ").join(map(sql.Identifier, columns)),
        sql.SQL(", ").join(map(sql.Placeholder, columns)),
    )
    row = connection.execute(statement, columns).fetchone()
    assert row
    return row[0]


def practice(connection: Connection, **columns: Any) -> UUID:
    serial = next(_serial)
    defaults = {
        "external_id": f"practice-{serial}",
        "name": "Lakeside Practice",
        "timezone": "America/New_York",
        "currency": "USD",
        "processor": "vantage",
        "processor_account": f"account-{serial}",
        "enrolled": True,
    }
    return insert(connection, "practice", **defaults | columns)


def client(connection: Connection, practice_id: UUID, **columns: Any) -> UUID:
    defaults = {"practice_id": practice_id, "external_id": f"client-{next(_serial)}", "name": "Ada Example"}
    return insert(connection, "client", **defaults | columns)


def method(connection: Connection, practice_id: UUID, client_id: UUID, **columns: Any) -> UUID:
    serial = next(_serial)
    defaults = {
        "practice_id": practice_id,
        "external_id": f"method-{serial}",
        "client_id": client_id,
        "processor": "vantage",
        "type": "card",
        "brand": "Visa",
        "last4": "4242",
        "exp_month": 12,
        "exp_year": 2099,
        "payer_id": f"payer-{serial}",
        "token": f"token-{serial}",
        "is_default": True,
        "first_charged_on": date(2020, 1, 1),
    }
    return insert(connection, "payment_method", **defaults | columns)


def invoice(connection: Connection, practice_id: UUID, client_id: UUID, **columns: Any) -> UUID:
    serial = next(_serial)
    amount_minor = columns.pop("amount_minor", 5_000)
    defaults = {
        "practice_id": practice_id,
        "external_id": f"invoice-{serial}",
        "number": str(serial),
        "client_id": client_id,
        "currency": "USD",
        "total_minor": amount_minor,
        "pushed_due_minor": amount_minor,
        "issued_on": date(2026, 1, 5),
        "status": "open",
    }
    return insert(connection, "invoice", **defaults | columns)


def batch(connection: Connection, practice_id: UUID, *, total: int, total_minor: int, **columns: Any) -> UUID:
    serial = next(_serial)
    defaults = {
        "practice_id": practice_id,
        "number": 1000 + serial,
        "processor": "vantage",
        "processor_account": "account",
        "currency": "USD",
        "submitted_by": "user-1",
        "idempotency_key": f"key-{serial}",
        "request_sha256": b"0" * 32,
        "total": total,
        "total_minor": total_minor,
        "unfinished": total,
        "unfinished_minor": total_minor,
    }
    return insert(connection, "batch", **defaults | columns)


def payment(connection: Connection, batch_id: UUID, invoice_id: UUID, method_id: UUID, **columns: Any) -> UUID:
    """A queued payment as submit makes it: everything frozen is read from its batch, invoice and method."""
    frozen = connection.execute(
        """SELECT i.practice_id, i.client_id, pr.processor, pr.processor_account, m.payer_id, m.token, m.type,
             i.pushed_due_minor, i.currency
           FROM invoice i JOIN practice pr ON pr.id = i.practice_id JOIN payment_method m ON m.id = %s
           WHERE i.id = %s""",
        [method_id, invoice_id],
    ).fetchone()
    assert frozen
    names = (
        "practice_id", "client_id", "processor", "account", "payer_id", "token", "method_type", "amount_minor",
        "currency",
    )  # fmt: skip
    defaults = dict(zip(names, frozen, strict=True)) | {
        "batch_id": batch_id,
        "invoice_id": invoice_id,
        "method_id": method_id,
        "number": str(next(_serial)),
        "due_at": datetime(2026, 1, 5, tzinfo=UTC),
        "next_check_at": datetime.now(UTC),
    }
    return insert(connection, "payment", **defaults | columns)


def attempt(connection: Connection, payment_id: UUID, **columns: Any) -> UUID:
    """The payment's next attempt: a charge with one open send unless told otherwise. A charge becomes current."""
    row = connection.execute(
        "SELECT processor, account, amount_minor, attempts FROM payment WHERE id = %s", [payment_id]
    ).fetchone()
    assert row
    now = datetime.now(UTC)
    text = columns.get("request_text", "{}")
    defaults = {
        "payment_id": payment_id,
        "n": row[3] + 1,
        "kind": "charge",
        "reference": f"test-{uuid4()}",
        "processor": row[0],
        "account": row[1],
        "amount_minor": row[2],
        "request_text": text,
        "request_sha256": connection.execute("SELECT sha256(convert_to(%s, 'UTF8'))", [text]).fetchone()[0],  # type: ignore[index]
        "open_sends": 1,
        "sends": 1,
        "first_send_at": now,
        "last_send_at": now,
        "last_claimed_at": now,
    }
    values = defaults | columns
    attempt_id: UUID = insert(connection, "attempt", **values)
    connection.execute(
        "UPDATE payment SET attempts = %s, current_attempt = CASE WHEN %s = 'charge' THEN %s ELSE current_attempt END"
        " WHERE id = %s",
        [values["n"], values["kind"], attempt_id, payment_id],
    )
    return attempt_id


@dataclass(frozen=True)
class Submitted:
    """A submitted batch: one invoice, one method and one payment for each place."""

    practice_id: UUID
    batch_id: UUID
    methods: list[UUID]
    invoices: list[UUID]
    payments: list[UUID]


def subscription(connection: Connection, practice_id: UUID, **columns: Any) -> UUID:
    defaults = {"practice_id": practice_id, "url": "https://receiver.example/hook", "created_by": "pat"}
    return insert(connection, "subscription", **defaults | columns)


def submitted(
    connection: Connection,
    size: int = 1,
    *,
    processor: str = "vantage",
    one_card: bool = False,
    amount_minor: int = 5_000,
) -> Submitted:
    """A practice with a batch of `size` queued payments, all on one card or each on its own."""
    practice_id = practice(connection, processor=processor)
    clients = [client(connection, practice_id) for _ in range(1 if one_card else size)]
    cards = [method(connection, practice_id, one, processor=processor) for one in clients]
    owners = clients * size if one_card else clients
    methods = cards * size if one_card else cards
    invoices = [invoice(connection, practice_id, one, amount_minor=amount_minor) for one in owners]
    batch_id = batch(connection, practice_id, total=size, total_minor=size * amount_minor, processor=processor)
    payments = [payment(connection, batch_id, one, card) for one, card in zip(invoices, methods, strict=True)]
    return Submitted(practice_id, batch_id, methods, invoices, payments)


def paid(connection: Connection, payment_id: UUID, state: str = "settled") -> UUID:
    """Take a queued payment to `settled` or `approved` as its charge would; return the charge attempt's id."""
    connection.execute(
        """UPDATE payment SET state = 'sending', claim_token = gen_random_uuid(),
             lease_until = clock_timestamp() + interval '1 minute' WHERE id = %s""",
        [payment_id],
    )
    attempt_id = attempt(
        connection, payment_id, outcome=state, open_sends=0, processor_ref=f"ref-{next(_serial)}",
        finished_at=datetime.now(UTC),
    )  # fmt: skip
    connection.execute(
        """UPDATE payment SET state = %s, claim_token = NULL, lease_until = NULL, finished_at = clock_timestamp(),
             next_check_at = CASE WHEN %s = 'approved' THEN clock_timestamp() + interval '1 hour' END WHERE id = %s""",
        [state, state, payment_id],
    )
    connection.execute(
        "INSERT INTO payment_event (payment_id, attempt_id, event, from_state, to_state, actor)"
        " VALUES (%s, %s, CASE %s WHEN 'settled' THEN 'settle' ELSE 'approve' END, 'sending', %s, 'test')",
        [payment_id, attempt_id, state, state],
    )
    connection.execute(
        "UPDATE invoice i SET taken_minor = taken_minor + p.amount_minor, version = i.version + 1,"
        " deltas_minor = i.deltas_minor || p.amount_minor FROM payment p"
        " WHERE p.id = %s AND i.id = p.invoice_id",
        [payment_id],
    )
    return attempt_id
