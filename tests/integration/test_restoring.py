"""A restored database sends nothing before it knows what it has forgotten. The timeline is changed by hand here."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from shared.store import findings, restores
from tests import builders
from tests.integration.janitor_ground import BOTH_REPORTS_OUT, STRIPE, VANTAGE, Ground, hours, on_ground
from tests.integration.returning import look_at_refunds, refund_attempts, refunding, run_refund, run_void, script
from workers.charge.charging import charge
from workers.charge.claiming import Claimer, claim_group
from workers.charge.slots import Slots
from workers.evidence import Answered, record
from workers.janitor.restoring import watch

both = pytest.mark.parametrize("name", [STRIPE, VANTAGE])


def restore(ground: Ground) -> None:
    """The database goes on under another timeline, as of an hour ago."""
    ground.connection.execute("UPDATE timeline SET name = 'gone/00000001', seen_at = now() - interval '1 hour'")


async def look(ground: Ground) -> None:
    """The janitor's watch, in which every hold is due and nothing is on the wire any more."""
    await watch(janitor=ground.janitor, environment="test")
    ground.connection.execute(
        "UPDATE restore_hold SET found_at = now() - interval '5 minutes', next_try_at = now() WHERE released_at IS NULL"
    )
    await watch(janitor=ground.janitor, environment="test")


async def look_until_released(ground: Ground) -> None:
    await look(ground)
    if ground.name is VANTAGE:
        assert hold(ground)["released_at"] is None
        await ground.bench.advance(BOTH_REPORTS_OUT)
        await look(ground)


def hold(ground: Ground) -> dict[str, Any]:
    row = ground.connection.execute("SELECT * FROM restore_hold").fetchone()
    assert row
    return row


def payment(ground: Ground, payment_id: UUID) -> dict[str, Any]:
    row = ground.connection.execute("SELECT * FROM payment WHERE id = %s", [payment_id]).fetchone()
    assert row
    return row


async def charge_all(ground: Ground) -> None:
    """Every payment is hinted to a charge worker."""
    processor = ground.bench.processor
    claimer = Claimer(pool=ground.pool, processor=processor, environment="test", actor="test")

    async def claim(payment_id: UUID) -> Any:
        return (await claim_group([payment_id], claimer=claimer))[0]

    async def keep(answered: Answered) -> None:
        await record([answered], pool=ground.pool, actor="test")

    for row in ground.connection.execute("SELECT id FROM payment").fetchall():
        await charge(row["id"], claim=claim, record=keep, processor=processor, slots=Slots(1))


def charges(ground: Ground) -> int:
    """How many times money was taken, whatever our books say."""
    core = ground.bench.core if ground.name is STRIPE else ground.bench.book.core
    return sum(entry.kind == "charge" and entry.moved for entry in core.ledger)


@both
def test_trace_14_a_restored_database_charges_nothing_from_its_first_statement_on(name: Any, database_url: str) -> None:
    async def story(ground: Ground) -> None:
        payment_id, _ = await ground.forgotten("approve")
        restore(ground)
        await charge_all(ground)
        assert (payment(ground, payment_id)["state"], charges(ground)) == ("queued", 1)

    on_ground(name, database_url, story)


@both
def test_trace_14_a_charge_that_was_forgotten_is_found_and_not_made_again(name: Any, database_url: str) -> None:
    async def story(ground: Ground) -> None:
        payment_id, order = await ground.forgotten("approve")
        restore(ground)
        await look_until_released(ground)
        assert hold(ground)["released_at"]
        await charge_all(ground)
        found = payment(ground, payment_id)
        assert (found["state"], found["review_reason"], charges(ground)) == ("settled", None, 1)
        assert hold(ground)["remembered"] == 1
        attempt = ground.connection.execute("SELECT reference, n, outcome FROM attempt").fetchall()
        assert attempt == [{"reference": order.reference, "n": 1, "outcome": "settled"}]

    on_ground(name, database_url, story)


@both
def test_trace_14_a_charge_after_a_refused_one_is_found_too(name: Any, database_url: str) -> None:
    async def story(ground: Ground) -> None:
        payment_id, _ = await ground.forgotten("approve", n=3)
        restore(ground)
        await look_until_released(ground)
        await charge_all(ground)
        found = payment(ground, payment_id)
        assert (found["state"], found["attempts"], charges(ground)) == ("settled", 3, 1)

    on_ground(name, database_url, story)


@both
@pytest.mark.parametrize("was", ["sending", "unknown"])
def test_trace_14_an_open_attempt_that_was_followed_by_a_forgotten_one_never_executed(
    name: Any, was: str, database_url: str
) -> None:
    async def story(ground: Ground) -> None:
        payment_id, _ = await ground.forgotten("approve", n=2)
        ground.connection.execute(
            "UPDATE payment SET state = 'sending', claim_token = gen_random_uuid(), lease_until = now() WHERE id = %s",
            [payment_id],
        )
        with psycopg.connect(database_url, autocommit=True) as connection:
            builders.attempt(connection, payment_id, reference=f"test-{payment_id}-1")
        if was == "unknown":
            ground.connection.execute("UPDATE payment SET state = 'unknown' WHERE id = %s", [payment_id])
        restore(ground)
        await look_until_released(ground)
        await ground.sweep()
        await charge_all(ground)
        found = payment(ground, payment_id)
        assert (found["state"], found["attempts"], charges(ground)) == ("settled", 2, 1)
        outcomes = ground.connection.execute("SELECT n, outcome FROM attempt ORDER BY n").fetchall()
        assert [tuple(row.values()) for row in outcomes] == [(1, "not_executed"), (2, "settled")]

    on_ground(name, database_url, story)


def test_trace_14_a_key_is_not_sent_again_while_a_newer_one_may_be_forgotten(database_url: str) -> None:
    async def story(ground: Ground) -> None:
        lost = await ground.unknown("reset_before_execute")
        restore(ground)
        await ground.sweep()
        assert (lost.attempt()["sends"], charges(ground)) == (1, 0)
        await look(ground)
        await ground.sweep()
        assert (lost.attempt()["sends"], charges(ground)) == (2, 1)

    on_ground(STRIPE, database_url, story)


@both
def test_trace_14_a_charge_of_a_forgotten_batch_holds_its_account_until_a_person_has_seen_it(
    name: Any, database_url: str
) -> None:
    async def story(ground: Ground) -> None:
        waiting, order = await ground.forgotten("approve")
        processor = ground.bench.processor
        unheard_of = replace(ground.bench.order("approve"), reference=f"test-{uuid4()}-1")
        await processor.charge(processor.freeze_charge(unheard_of))
        restore(ground)
        await look_until_released(ground)
        assert hold(ground)["waits_for"] == "people: 1 charges of forgotten payments (findings)"
        (found,) = ground.connection.execute("SELECT id FROM finding WHERE kind = 'forgotten_charge'").fetchall()
        async with ground.pool.connection() as connection:
            assert await restores.held(connection, name, order.account)
            await findings.resolve(connection, found["id"], by="pat", note="told upstream", source="test")
        await look(ground)
        assert hold(ground)["released_at"]
        assert payment(ground, waiting)["state"] == "settled"

    on_ground(name, database_url, story)


@both
def test_a_processor_that_cannot_be_asked_keeps_its_accounts_held(name: Any, database_url: str) -> None:
    async def story(ground: Ground) -> None:
        payment_id, _ = await ground.forgotten("approve")
        restore(ground)
        whole, ground.bench.processor = ground.bench.processor, ground.bench.aimed_at("http://127.0.0.1:9")
        await look(ground)
        assert hold(ground)["waits_for"].startswith("lookups that failed")
        ground.bench.processor = whole
        await charge_all(ground)
        assert (payment(ground, payment_id)["state"], charges(ground)) == ("queued", 1)

    on_ground(name, database_url, story)


def test_trace_14_what_was_on_the_wire_when_the_database_was_restored_is_waited_for(database_url: str) -> None:
    async def story(ground: Ground) -> None:
        await ground.forgotten("approve")
        restore(ground)
        for _ in range(2):
            await watch(janitor=ground.janitor, environment="test")
            ground.connection.execute("UPDATE restore_hold SET next_try_at = now()")
        assert hold(ground)["waits_for"] == "requests that may still be on the wire"

    on_ground(STRIPE, database_url, story)


@both
def test_what_was_not_forgotten_is_charged_after_the_release(name: Any, database_url: str) -> None:
    async def story(ground: Ground) -> None:
        payment_id, _ = ground.queued("approve")
        restore(ground)
        await look_until_released(ground)
        assert (hold(ground)["remembered"], charges(ground)) == (0, 0)
        await charge_all(ground)
        assert payment(ground, payment_id)["state"] in ("approved", "settled")
        assert charges(ground) == 1

    on_ground(name, database_url, story)


@pytest.mark.parametrize(("state", "kind"), [("voiding", "void"), ("refunding", "refund")])
def test_money_is_not_given_back_before_it_is_known_what_was(state: str, kind: str, database_url: str) -> None:
    async def story(ground: Ground) -> None:
        lost = await ground.unknown("reset_after_execute")
        await ground.sweep()
        if kind == "refund":
            await ground.bench.advance(BOTH_REPORTS_OUT)
            await ground.sweep()
        ground.connection.execute(
            f"UPDATE payment SET state = '{state}', next_check_at = now() WHERE id = %s",  # noqa: S608
            [lost.payment_id],
        )
        restore(ground)
        await (run_void if kind == "void" else run_refund)(lost)
        assert ground.connection.execute("SELECT FROM attempt WHERE kind <> 'charge'").fetchall() == []

    on_ground(VANTAGE, database_url, story)


def test_a_refund_under_a_living_key_is_not_sent_again_before_it_is_known_what_was(database_url: str) -> None:
    """What was forgotten may be that the refund was refused, and made under the next key."""

    async def story(ground: Ground) -> None:
        lost = await refunding(ground)
        script(ground, "reset_before_execute", "refund")
        await run_refund(lost)
        restore(ground)
        await look_at_refunds(ground)
        (attempt,) = refund_attempts(ground)
        assert (attempt["sends"], lost.state) == (1, "refunding")
        await look_until_released(ground)
        await look_at_refunds(ground)
        (attempt,) = refund_attempts(ground)
        assert (attempt["sends"], lost.state) == (2, "refunded")

    on_ground(STRIPE, database_url, story)


def test_a_person_can_say_that_the_database_was_restored(database_url: str) -> None:
    """A snapshot of the disk goes on under the same timeline: nothing in the database shows it."""

    async def story(ground: Ground) -> None:
        payment_id, order = await ground.forgotten("approve")
        since = datetime.now(UTC) - hours(2)
        async with ground.pool.connection() as connection:
            begun = await restores.begin(connection, since=since)
        assert begun == [("stripe", order.account, since)]
        await charge_all(ground)
        assert payment(ground, payment_id)["state"] == "queued"
        await look(ground)
        assert payment(ground, payment_id)["state"] == "settled"

    on_ground(STRIPE, database_url, story)


def test_a_database_that_was_not_restored_holds_nothing_and_notes_that_it_is_alive(database_url: str) -> None:
    async def story(ground: Ground) -> None:
        ground.connection.execute("UPDATE timeline SET seen_at = now() - interval '1 hour'")
        await watch(janitor=ground.janitor, environment="test")
        assert ground.connection.execute("SELECT FROM restore_hold").fetchall() == []
        seen = ground.connection.execute("SELECT seen_at > now() - interval '1 minute' AS now FROM timeline").fetchone()
        assert seen == {"now": True}

    on_ground(STRIPE, database_url, story)
