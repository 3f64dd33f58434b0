"""Each invariant can be broken, and says so by its name."""

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from psycopg import sql

from shared.domain.payment import LIVE, TABLE, UNFINISHED
from shared.store import invariants
from shared.store.invariants import Violation, check
from tests import builders

BY_HAND = "SET LOCAL session_replication_role = replica;"  # triggers sleep; indexes are dropped by name
AT_ONCE = timedelta(0)

# What to do to a batch of three payments (queued, settled, approved) so that exactly this rule is broken. %(queued)s
# and the like are its payments, %(charge)s the settled payment's charge.
BROKEN = {
    "i1_one_live_payment_per_invoice": """
        DROP INDEX payment_live_invoice;
        UPDATE payment SET invoice_id = (SELECT invoice_id FROM payment WHERE id = {settled}) WHERE id = {queued}""",
    "i2_one_unreturned_success_per_invoice": """
        DROP INDEX payment_live_invoice;
        UPDATE payment SET invoice_id = (SELECT invoice_id FROM payment WHERE id = {settled})
        WHERE id = {approved}""",
    "i3_no_newer_attempt_while_an_older_one_is_open": """
        UPDATE attempt SET outcome = NULL WHERE id = {charge};
        INSERT INTO attempt SELECT (copy).* FROM (SELECT jsonb_populate_record(a, jsonb_build_object('id', uuid7(),
          'n', a.n + 1, 'reference', 'second', 'processor_ref', NULL)) AS copy FROM attempt a WHERE id = {charge}) x""",
    "i3_no_newer_attempt_before_absence_is_final": """
        INSERT INTO attempt SELECT (copy).* FROM (SELECT jsonb_populate_record(a, jsonb_build_object('id', uuid7(),
          'n', a.n + 1, 'reference', 'second', 'processor_ref', NULL)) AS copy FROM attempt a WHERE id = {charge}) x;
        UPDATE attempt SET outcome = 'not_executed', open_sends = 1 WHERE id = {charge}""",
    "i4_money_state_has_a_paid_attempt": "UPDATE attempt SET outcome = 'declined' WHERE id = {charge}",
    "i4_state_without_money_has_no_paid_attempt": "UPDATE payment SET state = 'declined' WHERE id = {settled}",
    "i5_returned_money_is_confirmed": "UPDATE payment SET state = 'refunded' WHERE id = {settled}",
    "i5_money_is_returned_once": """
        DROP INDEX attempt_confirmed_return;
        INSERT INTO attempt SELECT (copy).* FROM (SELECT jsonb_populate_record(a, jsonb_build_object('id', uuid7(),
          'n', a.n + place, 'kind', 'refund', 'parent_id', a.id, 'outcome', 'confirmed',
          'processor_ref', NULL, 'reference', 'refund-' || place)) AS copy
          FROM attempt a, generate_series(1, 2) place WHERE id = {charge}) x""",
    "i6_sending_is_owned_and_nothing_else_is": """
        ALTER TABLE payment DROP CONSTRAINT payment_claim_free;
        UPDATE payment SET claim_token = uuid7(), lease_until = clock_timestamp() WHERE id = {queued}""",
    "i7_vantage_charge_is_sent_once": "UPDATE attempt SET sends = 2 WHERE id = {charge}",
    "i7_stripe_key_is_used_while_it_lives": """
        UPDATE attempt SET processor = 'stripe', sends = 2, last_send_at = first_send_at + interval '20 hours 1 second'
        WHERE id = {charge}""",
    "i7_request_is_never_changed": "UPDATE attempt SET request_text = 'another' WHERE id = {charge}",
    "i8_one_charge_on_the_wire_per_card": """
        DROP INDEX payment_on_wire;
        UPDATE payment SET on_wire = true, token = (SELECT token FROM payment WHERE id = {settled})""",
    "i8_processor_reference_is_unique": """
        DROP INDEX attempt_processor_ref;
        UPDATE attempt SET processor_ref = 'the-same', account = 'the-same'""",
    "i9_nothing_is_sent_after_void_was_asked_for": """
        UPDATE payment SET void_requested_at = clock_timestamp() - interval '1 day' WHERE id = {settled}""",
    "i10_nothing_is_forgotten": """
        UPDATE payment SET next_check_at = clock_timestamp() - interval '11 minutes' WHERE id = {queued}""",
    "i11_batch_is_what_its_payments_are": "UPDATE batch SET status = 'completed'",
    "i11_events_leave_the_outbox": """
        INSERT INTO outbox (lane, batch_id, routing_key, body, created_at)
        SELECT 'event', id, 'batch.progressed', '{{}}', clock_timestamp() - interval '1 hour' FROM batch""",
    "i12_every_step_is_in_the_transition_table": """
        INSERT INTO payment_event (payment_id, event, from_state, to_state, actor)
        VALUES ({queued}, 'approve', 'queued', 'settled', 'test')""",
    "i12_amounts_never_change": "UPDATE attempt SET amount_minor = 1 WHERE id = {charge}",
    "money_in_rows_is_money_in_steps": "UPDATE payment SET state = 'settled' WHERE id = {queued}",
    "invoice_knows_what_was_taken": """
        UPDATE invoice SET taken_minor = 1 WHERE id = (SELECT invoice_id FROM payment WHERE id = {queued})""",
}


@pytest.fixture
def connection(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database_url) as connection:
        yield connection


def sound_batch(connection: psycopg.Connection[Any]) -> dict[str, sql.Composable]:
    made = builders.submitted(connection, 3)
    queued, settled, approved = made.payments
    charge = builders.paid(connection, settled)
    builders.paid(connection, approved, "approved")
    connection.execute("UPDATE batch SET approved = 2, approved_minor = 10000, unfinished = 1, unfinished_minor = 5000")
    ids = {"queued": queued, "settled": settled, "approved": approved, "charge": charge}
    return {name: sql.Literal(value) for name, value in ids.items()}


def test_a_sound_database_breaks_no_rule(connection: psycopg.Connection[Any]) -> None:
    sound_batch(connection)
    assert check(connection, settled_down=AT_ONCE) == []


def test_each_rule_has_its_own_way_to_be_broken() -> None:
    assert set(BROKEN) == set(invariants.NAMES)


def test_each_rule_can_be_broken_and_is_named_with_its_rows(connection: psycopg.Connection[Any]) -> None:
    ids = sound_batch(connection)
    unnamed = {}
    for name, doing in BROKEN.items():
        with connection.transaction(force_rollback=True):
            connection.execute(BY_HAND)
            connection.execute(sql.SQL(doing).format(**ids))
            broken = check(connection, settled_down=AT_ONCE)
            if not any(violation.name == name and violation.ids for violation in broken):
                unnamed[name] = broken
    assert unnamed == {}


def test_what_is_under_way_is_no_violation_yet(connection: psycopg.Connection[Any]) -> None:
    sound_batch(connection)
    connection.execute("UPDATE batch SET approved = 1, updated_at = clock_timestamp()")
    assert check(connection) == []
    assert [violation.name for violation in check(connection, settled_down=AT_ONCE)] == [
        "i11_batch_is_what_its_payments_are"
    ]


@pytest.mark.unsound("it breaks rules")
def test_a_violation_names_the_offending_rows(connection: psycopg.Connection[Any]) -> None:
    made = builders.submitted(connection, 2)
    connection.execute(
        "UPDATE payment SET next_check_at = clock_timestamp() - interval '1 hour' WHERE id = %s", [made.payments[1]]
    )
    assert check(connection) == [Violation("i10_nothing_is_forgotten", (str(made.payments[1]),))]


# --- The schema itself ------------------------------------------------------------------------------------------------


def test_the_database_knows_exactly_the_steps_of_the_transition_table(connection: psycopg.Connection[Any]) -> None:
    rows = connection.execute("SELECT from_state, event, to_state FROM legal_transition").fetchall()
    assert set(rows) == {(step.source, step.event, step.target) for step in TABLE}


def test_the_last_line_against_assigned_states_allows_exactly_the_steps_of_the_table(
    connection: psycopg.Connection[Any],
) -> None:
    definition = connection.execute(
        "SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgname = 'payment_legal_state'"
    ).fetchone()
    assert definition
    allowed = set(re.findall(r"(\w+)>(\w+)", definition[0]))
    assert allowed == {(step.source, step.target) for step in TABLE}


def test_the_indexes_cover_exactly_the_states_of_the_domain(connection: psycopg.Connection[Any]) -> None:
    for index, states in (("payment_live_invoice", LIVE), ("payment_next_check", UNFINISHED)):
        definition = connection.execute("SELECT pg_get_indexdef(%s::regclass)", [index]).fetchone()
        assert definition
        assert set(re.findall(r"'(\w+)'", definition[0])) == {str(state) for state in states}, index


@pytest.mark.unsound("it breaks rules")
def test_a_state_that_is_simply_assigned_is_refused(connection: psycopg.Connection[Any]) -> None:
    builders.submitted(connection)
    connection.execute("UPDATE payment SET state = 'skipped'")
    for target in ("refunded", "voided", "queued", "processing"):
        with (
            pytest.raises(psycopg.errors.RestrictViolation, match=f"from skipped to {target}"),
            connection.transaction(),
        ):
            connection.execute("UPDATE payment SET state = %s", [target])
    connection.execute("UPDATE payment SET state = 'settled'")  # money was taken after all


@pytest.mark.parametrize(("first", "second"), [("void", "void"), ("refund", "refund"), ("void", "refund")])
def test_a_charge_has_one_open_void_or_refund(connection: psycopg.Connection[Any], first: str, second: str) -> None:
    made = builders.submitted(connection)
    charge = builders.paid(connection, made.payments[0])
    builders.attempt(connection, made.payments[0], kind=first, parent_id=charge)
    with pytest.raises(psycopg.errors.UniqueViolation, match="attempt_open_return"):
        builders.attempt(connection, made.payments[0], kind=second, parent_id=charge)
    connection.rollback()


FROZEN = {
    "amount_minor": "amount_minor + 1",
    "currency": "'CAD'",
    "invoice_id": "uuid7()",
    "method_id": "uuid7()",
    "token": "'x'",
    "payer_id": "'x'",
    "account": "'x'",
    "processor": "'stripe'",
}


def test_what_was_frozen_at_submit_cannot_be_changed(connection: psycopg.Connection[Any]) -> None:
    builders.submitted(connection)
    for column, value in FROZEN.items():
        change = sql.SQL("UPDATE payment SET {} = {}").format(sql.Identifier(column), sql.SQL(value))
        with pytest.raises(psycopg.errors.RestrictViolation, match="UPDATE is refused"), connection.transaction():
            connection.execute(change)
