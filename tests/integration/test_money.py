"""The money view: summed over the steps, and the same as what moved."""

from datetime import date, timedelta
from typing import Any

import psycopg
import pytest

from shared.store import invariants
from tests import builders
from tests.submit_service import Caller, bearer, with_service

pytestmark = pytest.mark.unsound("payments are put into their states without attempts")
AMOUNT = 5_000
STEP = """
INSERT INTO payment_event (payment_id, event, from_state, to_state, actor, at)
VALUES (%s, %s, %s, %s, 'test', %s::timestamptz)"""


@pytest.fixture
def made(database_url: str) -> builders.Submitted:
    """Six payments: one settled, one approved, one voided, one refunded a day later, one disputed, one declined."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        made = builders.submitted(connection, 6)
        settled, approved, voided, refunded, disputed, declined = made.payments
        noon = "2026-03-17 16:00+00"
        for payment in (settled, refunded, disputed):
            take(connection, payment, "sending", "settle", "settled", noon)
        for payment in (approved, voided):
            take(connection, payment, "sending", "approve", "approved", noon)
        take(connection, voided, "approved", "seen_voided", "voided", noon)
        # 03:00 UTC on the 19th is still the 18th in New York.
        take(connection, refunded, "settled", "seen_refunded", "refunded", "2026-03-19 03:00+00")
        take(connection, declined, "sending", "decline", "declined", noon)
        connection.execute(
            "INSERT INTO dispute (processor, account, processor_ref, payment_id, attempt_id, amount_minor, standing,"
            " opened_at) VALUES ('vantage', 'a', 'd', %s, gen_random_uuid(), 5000, 'open', '2026-03-18 16:00+00')",
            [disputed],
        )
        charge = builders.attempt(connection, settled, outcome="settled", open_sends=0, processor_ref="r")
        connection.execute("INSERT INTO processor_fee (attempt_id, fee_minor) VALUES (%s, 198)", [charge])
        return made


def take(connection: psycopg.Connection[Any], payment: Any, *step: str) -> None:
    """A step as (before, event, after, at)."""
    before, event, after, at = step
    connection.execute(STEP, [payment, event, before, after, at])
    connection.execute("SET session_replication_role = replica")
    connection.execute(
        "UPDATE payment SET state = %s, next_check_at = clock_timestamp() WHERE id = %s", [after, payment]
    )
    connection.execute("SET session_replication_role = DEFAULT")


BATCH = {
    "charges": 5,
    "gross_minor": 5 * AMOUNT,
    "fees_minor": 198,
    "fees_unknown": 4,
    "voided_minor": AMOUNT,
    "refunded_minor": AMOUNT,
    "disputed_minor": AMOUNT,
    "net_minor": 2 * AMOUNT - 198,
    "pending_minor": AMOUNT,
    "posted_minor": 2 * AMOUNT,
}


def token(url: str, **more: Any) -> str:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT external_id FROM practice").fetchone()
    assert row
    return bearer(row[0], **more)


def test_a_batch_shows_what_it_brought_and_what_became_of_it(made: builders.Submitted, database_url: str) -> None:
    async def story(caller: Caller) -> None:
        reply = await caller.as_(token(database_url)).get(f"/v1/batches/{made.batch_id}/money")
        assert (reply.status, reply.body) == (200, BATCH)

    with_service(database_url, story)


@pytest.mark.usefixtures("made")
def test_days_are_the_practices_and_add_up_to_the_total(database_url: str) -> None:
    async def story(caller: Caller) -> None:
        staff = caller.as_(token(database_url))
        reply = await staff.get("/v1/money", **{"from": "2026-03-17", "to": "2026-03-19"})
        assert reply.body["total"] == BATCH
        seen = {
            day["day"]: (day["gross_minor"], day["voided_minor"], day["refunded_minor"], day["disputed_minor"])
            for day in reply.body["days"]
        }
        assert seen == {"2026-03-17": (5 * AMOUNT, AMOUNT, 0, 0), "2026-03-18": (0, 0, AMOUNT, AMOUNT)}
        later = await staff.get("/v1/money", **{"from": "2026-03-19", "to": "2026-03-19"})
        assert (later.body["days"], later.body["total"]["gross_minor"]) == ([], 0)

    with_service(database_url, story)


def test_a_clinician_sees_the_money_of_own_clients_only(made: builders.Submitted, database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        own = builders.insert(
            connection, "clinician", practice_id=made.practice_id, external_id="dr", name="Dr Example"
        )
        connection.execute(
            "UPDATE client SET clinician_id = %s WHERE id = (SELECT client_id FROM payment WHERE id = %s)",
            [own, made.payments[0]],
        )

    async def story(caller: Caller) -> None:
        restricted = token(database_url, permissions=("billing", "own_clients"), clinician="dr")
        own = caller.as_(restricted)
        batch = (await own.get(f"/v1/batches/{made.batch_id}/money")).body
        days = (await own.get("/v1/money", **{"from": "2026-03-17", "to": "2026-03-19"})).body
        assert batch == days["total"]
        assert (batch["gross_minor"], batch["refunded_minor"], batch["disputed_minor"]) == (AMOUNT, 0, 0)

    with_service(database_url, story)


@pytest.mark.usefixtures("made")
def test_a_span_that_is_empty_or_too_long_is_refused(database_url: str) -> None:
    async def story(caller: Caller) -> None:
        staff = caller.as_(token(database_url))
        first = date(2026, 3, 17)
        for last, status in ((first - timedelta(days=1), 422), (first + timedelta(days=91), 200),
                             (first + timedelta(days=92), 422)):  # fmt: skip
            assert (await staff.get("/v1/money", **{"from": first, "to": last})).status == status

    with_service(database_url, story)


def test_another_practice_sees_nothing_of_it(made: builders.Submitted, database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        builders.practice(connection, external_id="other")

    async def story(caller: Caller) -> None:
        other = caller.as_(bearer("other"))
        assert (await other.get(f"/v1/batches/{made.batch_id}/money")).status == 404
        assert (await other.get("/v1/money", **{"from": "2026-03-17", "to": "2026-03-19"})).body["days"] == []

    with_service(database_url, story)


def test_a_row_that_says_another_thing_than_its_steps_breaks_an_invariant(
    made: builders.Submitted, database_url: str
) -> None:
    def broken(connection: psycopg.Connection[Any]) -> list[tuple[str, ...]]:
        found = invariants.check(connection)
        return [one.ids for one in found if one.name == "money_in_rows_is_money_in_steps"]

    with psycopg.connect(database_url) as connection:
        assert broken(connection) == []
        connection.execute("SET session_replication_role = replica")
        connection.execute("UPDATE payment SET state = 'refunded' WHERE id = %s", [made.payments[0]])
        assert broken(connection) == [(str(made.payments[0]),)]
