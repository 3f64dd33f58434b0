"""Claims and records on a real PostgreSQL: who owns a payment, what is skipped, and what an answer leaves behind."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, LiteralString, TypeVar
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from shared.domain import claiming
from shared.domain.answers import Approved, Blame, ChargeAnswer, Declined, NotExecuted, Settled, Unknown
from shared.domain.declines import Decline, NeutralCode
from shared.domain.reasons import Reason
from shared.domain.snapshot import Attempt, Payment
from shared.store import payments, voids
from shared.store.invariants import check
from shared.store.payments import StepLostError
from shared.store.pool import open_pool
from tests import builders
from tests.builders import Submitted
from tests.integration.paper import Paper
from workers.charge.claiming import Claimer, claim_group
from workers.evidence import Answered, record, record_until_done
from workers.sending import Claimed

Connection = psycopg.Connection[Any]
T = TypeVar("T")

SOFT = Declined(decline=Decline(code=NeutralCode.INSUFFICIENT_FUNDS, raw_code="51"))
HARD = Declined(decline=Decline(code=NeutralCode.ACCOUNT_CLOSED, raw_code="14"))


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with psycopg.connect(database_url, autocommit=True, row_factory=dict_row) as connection:
        yield connection


@pytest.fixture
def made(connection: Connection) -> Submitted:
    return submitted(connection)


def submitted(connection: Connection, size: int = 1, **given: Any) -> Submitted:
    with psycopg.connect(connection.info.dsn, password=connection.info.password, autocommit=True) as plain:
        return builders.submitted(plain, size, **given)


def with_pool(database_url: str, work: Callable[[AsyncConnectionPool], Awaitable[T]]) -> T:
    async def main() -> T:
        async with open_pool(database_url, process="test", most=4) as pool:
            return await work(pool)

    return asyncio.run(main())


def claimer(pool: AsyncConnectionPool, actor: str = "test") -> Claimer:
    return Claimer(pool=pool, processor=Paper(), environment="test", actor=actor)


def claim(database_url: str, *ids: UUID) -> list[Claimed | None]:
    return with_pool(database_url, lambda pool: claim_group(ids, claimer=claimer(pool)))


def owned(claimed: Claimed | None) -> Claimed:
    assert claimed
    return claimed


def answer(claimed: Claimed, given: ChargeAnswer) -> Answered:
    return Answered(claimed.owned, given)


def recorded(database_url: str, *answers: Answered) -> None:
    with_pool(database_url, lambda pool: record(answers, pool=pool, actor="test"))


def row(connection: Connection, payment_id: UUID) -> dict[str, Any]:
    found = connection.execute("SELECT * FROM payment WHERE id = %s", [payment_id]).fetchone()
    assert found
    return found


def states(connection: Connection, made: Submitted) -> list[str]:
    return [row(connection, payment_id)["state"] for payment_id in made.payments]


def assert_sound(connection: Connection) -> None:
    with psycopg.connect(connection.info.dsn, password=connection.info.password) as plain:
        assert check(plain) == []


# --- Claiming ---------------------------------------------------------------------------------------------------------


def test_two_claimers_race_for_each_payment_and_exactly_one_owns_it(connection: Connection, database_url: str) -> None:
    made = submitted(connection, 30)

    async def race(pool: AsyncConnectionPool) -> list[list[Claimed | None]]:
        groups = [claim_group(made.payments, claimer=claimer(pool, f"worker-{n}")) for n in range(4)]
        return await asyncio.gather(*groups)

    claims = [one for group in with_pool(database_url, race) for one in group if one]
    assert sorted(one.owned.payment_id for one in claims) == sorted(made.payments)
    tokens = {row(connection, one.owned.payment_id)["claim_token"] for one in claims}
    assert tokens == {one.owned.token for one in claims}
    assert connection.execute("SELECT count(*) AS n FROM attempt").fetchone() == {"n": 30}
    assert_sound(connection)


def test_a_claim_commits_intent_request_and_event(made: Submitted, connection: Connection, database_url: str) -> None:
    (claimed,) = claim(database_url, *made.payments)
    attempt = connection.execute("SELECT * FROM attempt").fetchone()
    assert attempt
    assert attempt["reference"] == f"test-{made.payments[0]}-1"
    assert attempt["request_text"] == owned(claimed).owned.request_text == f"charge {attempt['reference']} 5000 USD"
    assert (attempt["open_sends"], attempt["sends"], attempt["outcome"]) == (1, 1, None)
    payment = row(connection, made.payments[0])
    assert (payment["state"], payment["on_wire"], payment["current_attempt"]) == ("sending", True, attempt["id"])
    assert payment["lease_until"] > datetime.now(UTC) + timedelta(seconds=90)
    events = connection.execute("SELECT event, from_state, to_state, actor FROM payment_event").fetchall()
    assert events == [{"event": "claim", "from_state": "queued", "to_state": "sending", "actor": "test"}]
    assert_sound(connection)


def test_a_payment_that_is_not_due_owned_or_over_is_not_claimed(connection: Connection, database_url: str) -> None:
    made = submitted(connection, 3)
    connection.execute(
        "UPDATE payment SET due_at = clock_timestamp() + interval '1 hour' WHERE id = %s", [made.payments[0]]
    )
    connection.execute("UPDATE payment SET state = 'skipped' WHERE id = %s", [made.payments[1]])
    assert [bool(one) for one in claim(database_url, *made.payments, uuid4())] == [False, False, True, False]
    assert claim(database_url, made.payments[2]) == [None]


def test_a_hint_that_comes_twice_in_one_group_is_claimed_once(made: Submitted, database_url: str) -> None:
    assert [bool(one) for one in claim(database_url, *made.payments, *made.payments)] == [True, False]


def test_siblings_on_one_card_are_charged_one_after_the_other(connection: Connection, database_url: str) -> None:
    made = submitted(connection, 2, one_card=True)
    first, second = claim(database_url, *made.payments)
    assert second is None
    assert claim(database_url, made.payments[1]) == [None]
    connection.execute("DELETE FROM outbox")
    recorded(database_url, answer(owned(first), Approved(processor_ref="ref-1")))
    hints = connection.execute("SELECT payment_id FROM outbox WHERE lane = 'charge.vantage'").fetchall()
    assert hints == [{"payment_id": made.payments[1]}]
    assert owned(claim(database_url, made.payments[1])[0])
    assert_sound(connection)


SKIPPED = {
    "invoice_closed": "UPDATE invoice SET status = 'closed'",
    "amount_changed": "UPDATE invoice SET pushed_due_minor = 4999",
    "method_removed": "UPDATE payment_method SET removed_at = clock_timestamp()",
    "method_changed": "UPDATE payment_method SET is_default = false",
    "method_expired": "UPDATE payment_method SET exp_year = 2020",
    "practice_not_enrolled": "UPDATE practice SET enrolled = false",
    "processor_changed": "UPDATE practice SET processor_account = 'another'",
}


def test_a_charge_that_would_surprise_somebody_is_skipped_with_the_reason(
    connection: Connection, database_url: str
) -> None:
    told = {}
    for change in SKIPPED.values():
        made = submitted(connection)
        with connection.transaction():
            connection.execute(change)
        assert claim(database_url, *made.payments) == [None]
        payment = row(connection, made.payments[0])
        told[payment["reason_code"]] = payment["state"]
    assert told == dict.fromkeys(SKIPPED, "skipped")
    assert connection.execute("SELECT count(*) AS n FROM attempt").fetchone() == {"n": 0}


@pytest.mark.parametrize("whose", ["batch", "payment"])
def test_trace_17_a_payment_whose_void_was_asked_for_is_never_sent(
    made: Submitted, connection: Connection, database_url: str, whose: str
) -> None:
    change = sql.SQL("UPDATE {} SET void_requested_at = clock_timestamp(), void_requested_by = 'user-1'")
    connection.execute(change.format(sql.Identifier(whose)))
    assert claim(database_url, *made.payments) == [None]
    payment = row(connection, made.payments[0])
    assert (payment["state"], payment["void_requested_by"]) == ("canceled", "user-1")


def test_a_held_account_is_not_charged_and_its_payments_wait(
    made: Submitted, connection: Connection, database_url: str
) -> None:
    connection.execute(
        "INSERT INTO merchant_account"
        " SELECT processor, account, clock_timestamp() + interval '1 hour', 'key' FROM payment"
    )
    assert claim(database_url, *made.payments) == [None]
    payment = row(connection, made.payments[0])
    assert payment["state"] == "queued"
    assert payment["due_at"] > datetime.now(UTC) + timedelta(minutes=50)


# --- Recording --------------------------------------------------------------------------------------------------------


def test_an_approval_closes_the_invoice_and_is_told(made: Submitted, connection: Connection, database_url: str) -> None:
    (claimed,) = claim(database_url, *made.payments)
    recorded(database_url, answer(owned(claimed), Approved(processor_ref="ref-1", history_ref="history-1")))
    invoice = connection.execute("SELECT taken_minor, amount_due_minor FROM invoice").fetchone()
    assert invoice == {"taken_minor": 5_000, "amount_due_minor": 0}
    told = connection.execute("SELECT routing_key FROM outbox WHERE lane = 'event' ORDER BY routing_key").fetchall()
    assert told == [{"routing_key": "invoice.paid"}, {"routing_key": "payment.approved"}]
    assert_sound(connection)


def test_an_answer_that_is_recorded_twice_counts_once(
    made: Submitted, connection: Connection, database_url: str
) -> None:
    (claimed,) = claim(database_url, *made.payments)
    once = answer(owned(claimed), Settled(processor_ref="ref-1"))
    recorded(database_url, once)
    before = row(connection, made.payments[0])
    recorded(database_url, once, once)
    assert row(connection, made.payments[0]) == before
    assert connection.execute("SELECT taken_minor FROM invoice").fetchone() == {"taken_minor": 5_000}
    assert_sound(connection)


def test_the_answers_of_a_group_are_recorded_together(connection: Connection, database_url: str) -> None:
    made = submitted(connection, 4)
    claims = [owned(one) for one in claim(database_url, *made.payments)]
    refused = NotExecuted(code="429", blame=Blame.NOTHING, detail="later")
    given = [Approved(processor_ref="ref-1"), SOFT, refused, Unknown(code="timeout", detail="")]
    recorded(database_url, *(answer(one, what) for one, what in zip(claims, given, strict=True)))
    assert states(connection, made) == ["approved", "declined", "queued", "unknown"]
    assert_sound(connection)


def test_trace_8_late_money_of_a_declined_payment_is_taken_in(
    made: Submitted, connection: Connection, database_url: str
) -> None:
    (claimed,) = claim(database_url, *made.payments)
    recorded(database_url, answer(owned(claimed), SOFT))
    recorded(database_url, answer(owned(claimed), Settled(processor_ref="ref-1")))
    payment = row(connection, made.payments[0])
    assert payment["state"] == "settled"
    assert payment["review_reason"]
    assert connection.execute("SELECT taken_minor FROM invoice").fetchone() == {"taken_minor": 5_000}
    assert_sound(connection)


def test_trace_8_late_money_beside_another_live_payment_is_surplus(
    made: Submitted, connection: Connection, database_url: str
) -> None:
    (claimed,) = claim(database_url, *made.payments)
    recorded(database_url, answer(owned(claimed), SOFT))
    second_batch = connection.execute(
        """INSERT INTO batch (practice_id, number, processor, processor_account, currency, submitted_by,
             idempotency_key, request_sha256, total, total_minor, unfinished, unfinished_minor)
           SELECT practice_id, number + 1, processor, processor_account, currency, submitted_by, 'second',
             request_sha256, total, total_minor, unfinished, unfinished_minor FROM batch RETURNING id"""
    ).fetchone()
    assert second_batch
    with psycopg.connect(connection.info.dsn, password=connection.info.password, autocommit=True) as plain:
        builders.payment(plain, second_batch["id"], made.invoices[0], made.methods[0])
    recorded(database_url, answer(owned(claimed), Settled(processor_ref="ref-1")))
    payment = row(connection, made.payments[0])
    assert payment["state"] == "surplus"
    assert payment["review_reason"]
    assert connection.execute("SELECT taken_minor FROM invoice").fetchone() == {"taken_minor": 0}


def test_an_older_attempts_late_money_is_taken_in_before_the_payment_is_sent_again(
    made: Submitted, connection: Connection, database_url: str
) -> None:
    refused = NotExecuted(code="429", blame=Blame.NOTHING, detail="later")
    (first,) = claim(database_url, *made.payments)
    recorded(database_url, answer(owned(first), refused))
    connection.execute("UPDATE payment SET due_at = clock_timestamp()")
    (second,) = claim(database_url, *made.payments)
    recorded(database_url, answer(owned(second), refused))
    connection.execute("UPDATE payment SET due_at = clock_timestamp()")
    recorded(database_url, answer(owned(first), Approved(processor_ref="ref-1")))
    assert claim(database_url, *made.payments) == [None]
    payment = row(connection, made.payments[0])
    assert (payment["state"], payment["current_attempt"]) == ("approved", owned(first).owned.attempt_id)
    assert_sound(connection)


def test_story_7_a_hard_decline_spares_the_card_its_other_payments(connection: Connection, database_url: str) -> None:
    made = submitted(connection, 3, one_card=True)
    (first,) = claim(database_url, made.payments[0])
    recorded(database_url, answer(owned(first), HARD))
    assert states(connection, made) == ["declined", "skipped", "skipped"]
    assert {row(connection, one)["reason_code"] for one in made.payments[1:]} == {"card_declined"}
    assert_sound(connection)


def test_two_soft_declines_rest_the_card_for_its_batch_and_one_does_not(
    connection: Connection, database_url: str
) -> None:
    made = submitted(connection, 3, one_card=True)
    (first,) = claim(database_url, made.payments[0])
    recorded(database_url, answer(owned(first), SOFT))
    assert states(connection, made) == ["declined", "queued", "queued"]
    (second,) = claim(database_url, made.payments[1])
    recorded(database_url, answer(owned(second), SOFT))
    assert states(connection, made) == ["declined", "declined", "skipped"]
    assert row(connection, made.payments[2])["reason_code"] == "card_on_hold"
    assert_sound(connection)


def test_a_merchants_trouble_holds_its_account(made: Submitted, connection: Connection, database_url: str) -> None:
    (claimed,) = claim(database_url, *made.payments)
    recorded(database_url, answer(owned(claimed), NotExecuted(code="401", blame=Blame.MERCHANT, detail="key")))
    held = connection.execute("SELECT held_until > clock_timestamp() AS held FROM merchant_account").fetchone()
    assert held == {"held": True}


def test_a_step_of_a_stale_version_is_refused_and_leaves_nothing(
    made: Submitted, connection: Connection, database_url: str
) -> None:
    async def write_stale(pool: AsyncConnectionPool) -> None:
        async with pool.connection() as one:
            (locked,) = await payments.lock(one, made.payments)
            step = claiming.skip(locked.payment, Reason.INVOICE_CLOSED, now=locked.now)
            stale = replace(step, after=step.after._replace(version=step.after.version + 1))
            await payments.write(one, [stale], actor="test", now=locked.now)

    with pytest.raises(StepLostError):
        with_pool(database_url, write_stale)
    assert states(connection, made) == ["queued"]
    assert connection.execute("SELECT count(*) AS n FROM payment_event").fetchone() == {"n": 0}


def test_trace_3_ownership_is_read_again_by_token_after_a_lost_commit(made: Submitted, database_url: str) -> None:
    (claimed,) = claim(database_url, *made.payments)
    one = owned(claimed).owned

    async def mine(pool: AsyncConnectionPool, token: UUID) -> list[payments.Owned]:
        async with pool.connection() as reader:
            return await payments.mine(reader, {one.payment_id: token})

    assert with_pool(database_url, lambda pool: mine(pool, one.token)) == [one]
    assert with_pool(database_url, lambda pool: mine(pool, uuid4())) == []


def test_what_a_claim_remembers_is_what_its_rows_hold(made: Submitted, database_url: str) -> None:
    (claimed,) = claim(database_url, *made.payments)
    one = owned(claimed).owned
    assert one.claim

    async def read(pool: AsyncConnectionPool) -> tuple[list[payments.Locked], dict[UUID, Attempt]]:
        async with pool.connection() as connection:
            return await payments.lock(connection, made.payments), await payments.attempts(connection, [one.attempt_id])

    locked, tried = with_pool(database_url, read)
    assert [row.payment for row in locked] == [one.claim.after]
    assert tried == {one.attempt_id: one.claim.attempt}


@pytest.mark.parametrize("change", ["version = version + 1", "next_check_at = next_check_at - interval '1 s'"])
def test_what_a_claim_remembers_is_not_believed_of_a_row_that_has_changed(
    change: LiteralString, connection: Connection, database_url: str
) -> None:
    made = submitted(connection, 2)
    claims = [owned(one).owned.claim for one in claim(database_url, *made.payments)]

    async def unchanged(pool: AsyncConnectionPool) -> list[UUID]:
        async with pool.connection() as locking:
            return [row.payment.id for row in await payments.lock_claimed(locking, [one for one in claims if one])]

    assert with_pool(database_url, unchanged) == list(made.payments)
    connection.execute(sql.SQL("UPDATE payment SET {} WHERE id = %s").format(sql.SQL(change)), [made.payments[0]])
    assert with_pool(database_url, unchanged) == [made.payments[1]]


def test_answers_of_payments_that_changed_since_their_claim_are_recorded_beside_the_others(
    connection: Connection, database_url: str
) -> None:
    made = submitted(connection, 3)
    answers = [
        answer(owned(one), Approved(processor_ref=f"ref-{n}"))
        for n, one in enumerate(claim(database_url, *made.payments))
    ]
    changed = {"practice_id": made.practice_id, "payment_id": made.payments[0], "actor": "pat", "source": "test"}
    with_pool(database_url, lambda pool: voids.request_payment_void(pool, **changed))
    recorded(database_url, *answers)
    assert states(connection, made) == ["voiding", "approved", "approved"]
    assert_sound(connection)


# --- What reviews found -----------------------------------------------------------------------------------------------


def test_snapshots_are_selected_in_the_order_of_their_fields(database_url: str) -> None:
    async def names(pool: AsyncConnectionPool) -> list[list[str]]:
        async with pool.connection() as connection:
            shown = []
            for statement, given in (
                (payments._PAYMENT["lock"], {"ids": []}),
                (payments._PAYMENT["lock_for_claim"], {"ids": [], "sources": []}),
                (payments._ATTEMPT["by_id"], {"ids": []}),
                (payments._ATTEMPT["open_return"], {"charge": None}),
                (payments._ATTEMPT["surplus"], {"payments": []}),
            ):
                cursor = await connection.execute(statement, given)
                assert cursor.description
                shown.append([column.name for column in cursor.description])
            return shown

    lock, claims, *attempts = with_pool(database_url, names)
    assert lock == [*Payment._fields, "now"]
    assert claims == [*Payment._fields, "now", *claiming.Recheck._fields]
    assert all(columns == list(Attempt._fields) for columns in attempts)


def test_nothing_is_sent_for_a_payment_that_a_person_has_to_look_at(
    made: Submitted, connection: Connection, database_url: str
) -> None:
    connection.execute("UPDATE payment SET review_reason = 'the processor works on an attempt that was given up'")
    assert claim(database_url, *made.payments) == [None]
    assert states(connection, made) == ["queued"]


def test_an_older_attempt_that_took_money_pays_when_the_newer_one_takes_none(
    made: Submitted, connection: Connection, database_url: str
) -> None:
    (first,) = claim(database_url, *made.payments)
    refused = NotExecuted(code="429", blame=Blame.NOTHING, detail="later")
    recorded(database_url, answer(owned(first), refused))
    connection.execute("UPDATE payment SET due_at = clock_timestamp()")
    (second,) = claim(database_url, *made.payments)
    recorded(database_url, answer(owned(first), Approved(processor_ref="late")))
    assert states(connection, made) == ["sending"]
    recorded(database_url, answer(owned(second), HARD))
    assert states(connection, made) == ["approved"]
    after = row(connection, made.payments[0])
    assert after["current_attempt"] == owned(first).owned.attempt_id
    assert after["review_reason"]
    assert connection.execute("SELECT amount_due_minor FROM invoice").fetchone() == {"amount_due_minor": 0}
    assert_sound(connection)


def test_an_answer_that_cannot_be_recorded_does_not_stop_its_neighbours(
    connection: Connection, database_url: str
) -> None:
    made = submitted(connection, 2)
    claims = [owned(one) for one in claim(database_url, *made.payments)]
    # The same transaction number for two charges is impossible, and one of the two rows refuses it.
    answers = [answer(one, Approved(processor_ref="same")) for one in claims]
    with_pool(database_url, lambda pool: record_until_done(answers, pool=pool, actor="test"))
    assert sorted(states(connection, made)) == ["approved", "sending"]


def test_a_rate_limited_account_rests_and_its_waiting_payments_are_hinted_when_it_is_free(
    connection: Connection, database_url: str
) -> None:
    made = submitted(connection, 2)
    (first,) = claim(database_url, made.payments[0])
    pause = timedelta(seconds=30)
    recorded(
        database_url, answer(owned(first), NotExecuted(code="429", blame=Blame.NOTHING, detail="", retry_after=pause))
    )
    assert claim(database_url, made.payments[1]) == [None]
    waiting = row(connection, made.payments[1])
    held = connection.execute("SELECT held_until FROM merchant_account WHERE held_until IS NOT NULL").fetchone()
    assert held
    assert waiting["due_at"] == held["held_until"]
    hint = connection.execute(
        "SELECT available_at FROM outbox WHERE payment_id = %s AND lane <> 'event'", [made.payments[1]]
    )
    assert held["held_until"] in [one["available_at"] for one in hint.fetchall()]


def test_a_short_pause_does_not_end_a_long_hold(connection: Connection, database_url: str) -> None:
    now = datetime.now(UTC)

    async def hold(pool: AsyncConnectionPool) -> None:
        async with pool.connection() as held:
            for minutes in (15, 1):
                until = now + timedelta(minutes=minutes)
                await payments.hold_account(held, "vantage", "held", until=until, reason=f"{minutes} minutes")

    with_pool(database_url, hold)
    kept = connection.execute("SELECT held_until, held_reason FROM merchant_account WHERE account = 'held'").fetchone()
    assert kept == {"held_until": now + timedelta(minutes=15), "held_reason": "15 minutes"}
