"""The janitor's looks: each processor's rules of absence, the horizon of a key, and what no look can tell."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, LiteralString

import pytest

from tests.integration.janitor_ground import BOTH_REPORTS_OUT, STRIPE, VANTAGE, Ground, hours, on_ground
from workers.simulators.behaviour import Behaviour
from workers.simulators.core import Received
from workers.simulators.vault import Script

both = pytest.mark.parametrize("name", [STRIPE, VANTAGE])
TAKEN = ("approved", "settled")


# --- found ------------------------------------------------------------------------------------------------------------


@both
def test_money_that_was_taken_is_found(name: Any, database_url: str) -> None:
    async def story(ground: Ground) -> None:
        lost = await ground.unknown("reset_after_execute")
        await ground.sweep()
        assert lost.state in TAKEN
        (fact,) = ground.bench.ledger(lost.order.reference)
        assert lost.attempt()["processor_ref"] == fact["processor_ref"]

    on_ground(name, database_url, story)


@both
def test_a_failed_look_decides_nothing_and_comes_again(name: Any, database_url: str) -> None:
    async def story(ground: Ground) -> None:
        lost = await ground.unknown("reset_after_execute")
        before = lost.payment()["next_check_at"]
        # Every look fails because nobody listens any more.
        broken = ground.bench.aimed_at("http://127.0.0.1:9")
        whole, ground.bench.processor = ground.bench.processor, broken
        await ground.sweep()
        assert lost.state == "unknown"
        assert lost.payment()["next_check_at"] > before
        assert lost.attempt()["lookups"] == 1
        ground.bench.processor = whole
        await ground.sweep()
        assert lost.state in TAKEN

    on_ground(name, database_url, story)


# --- a key and its horizon (Stripe) -----------------------------------------------------------------------------------


def sends(ground: Ground, reference: str) -> list[Received]:
    """The charge requests under this key, oldest first."""
    return [one for one in ground.bench.core.requests if one.headers.get("idempotency-key") == reference]


@pytest.mark.parametrize("sent", [hours(0), hours(19.9)])
def test_a_young_key_is_sent_again_byte_for_byte(sent: timedelta, database_url: str) -> None:
    async def story(ground: Ground) -> None:
        lost = await ground.unknown("reset_before_execute", sent=sent)
        await ground.sweep()
        first, second = sends(ground, lost.order.reference)
        assert (first.path, first.body) == (second.path, second.body)
        assert dict(first.headers) == dict(second.headers)
        assert lost.attempt()["sends"] == 2

    on_ground(STRIPE, database_url, story)


@pytest.mark.parametrize("sent", [hours(20), hours(23.9)])
def test_trace_6_between_twenty_and_twenty_four_hours_a_key_is_neither_sent_nor_given_up(
    sent: timedelta, database_url: str
) -> None:
    async def story(ground: Ground) -> None:
        lost = await ground.unknown("reset_before_execute", sent=sent)
        await ground.sweep()
        assert lost.state == "unknown"
        assert len(sends(ground, lost.order.reference)) == 1

    on_ground(STRIPE, database_url, story)


def test_an_old_key_whose_charge_nobody_shows_never_executed(database_url: str) -> None:
    async def story(ground: Ground) -> None:
        lost = await ground.unknown("reset_before_execute", sent=hours(24))
        await ground.sweep()
        assert lost.state == "failed"
        assert lost.attempt()["absence_final_at"]
        assert len(sends(ground, lost.order.reference)) == 1

    on_ground(STRIPE, database_url, story)


def test_a_day_counts_from_the_last_send(database_url: str) -> None:
    async def story(ground: Ground) -> None:
        lost = await ground.unknown("reset_before_execute", sent=hours(30))
        ground.connection.execute(
            "UPDATE attempt SET last_send_at = last_send_at + interval '10 hours' WHERE id = %s", [lost.attempt_id]
        )
        await ground.sweep()
        assert lost.state == "unknown"

    on_ground(STRIPE, database_url, story)


def test_the_same_key_is_sent_four_times_at_most(database_url: str) -> None:
    async def story(ground: Ground) -> None:
        lost = await ground.unknown("http_500_before")
        for _ in range(6):
            ground.connection.execute("UPDATE payment SET on_wire = false, lease_until = NULL WHERE state = 'unknown'")
            await ground.sweep()
        assert len(sends(ground, lost.order.reference)) == 4
        assert lost.state == "unknown"

    on_ground(STRIPE, database_url, story)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE payment SET on_wire = true, lease_until = now() + interval '1 minute'",
        "UPDATE payment SET void_requested_at = now(), void_requested_by = 'pat'",
    ],
    ids=["on the wire", "void asked for"],
)
def test_a_key_is_not_sent_again_while_it_could_do_harm(change: LiteralString, database_url: str) -> None:
    async def story(ground: Ground) -> None:
        lost = await ground.unknown("reset_before_execute")
        ground.connection.execute(change)
        await ground.sweep()
        assert lost.state == "unknown"
        assert len(sends(ground, lost.order.reference)) == 1

    on_ground(STRIPE, database_url, story)


def test_a_key_whose_request_differs_from_its_first_one_is_put_before_people(database_url: str) -> None:
    async def story(ground: Ground) -> None:
        lost = await ground.unknown("http_500_before")
        ground.connection.execute(
            "UPDATE attempt SET request_text = x.text, request_sha256 = sha256(convert_to(x.text, 'UTF8'))"
            ' FROM (SELECT replace(request_text, \'"attempt":"1"\', \'"attempt":"2"\') AS text FROM attempt) x'
        )
        await ground.sweep()
        assert lost.attempt()["outcome_code"] == "idempotency_error"
        assert lost.state == "unknown"
        assert lost.payment()["review_reason"]

    on_ground(STRIPE, database_url, story)


# --- reports (Vantage) ------------------------------------------------------------------------------------------------


def test_without_a_key_nothing_is_ever_sent_again(database_url: str) -> None:
    async def story(ground: Ground) -> None:
        lost = await ground.unknown("reset_before_execute")
        for _ in range(3):
            await ground.sweep()
        assert lost.state == "unknown"
        assert lost.attempt()["sends"] == 1
        assert ground.bench.ledger(lost.order.reference) == []

    on_ground(VANTAGE, database_url, story)


def test_absence_is_final_when_the_reports_of_its_days_are_out(database_url: str) -> None:
    async def story(ground: Ground) -> None:
        lost = await ground.unknown("reset_before_execute")
        await ground.bench.advance(BOTH_REPORTS_OUT)
        await ground.sweep()
        assert lost.state == "failed"
        assert lost.attempt()["absence_final_at"]

    on_ground(VANTAGE, database_url, story)


def test_a_report_that_misses_a_charge_we_know_of_proves_no_absence(database_url: str) -> None:
    async def story(ground: Ground) -> None:
        # In the middle of a settlement day, so that its report must show it.
        sent = datetime.now(UTC) - _noon_before(datetime.now(UTC))
        known = await ground.unknown("reset_after_execute", sent=sent)
        # From six in the morning in New York the report of that day is out already.
        ground.bench.book.report_edits[known.order.reference] = {"action": "drop"}
        await ground.sweep()
        assert known.state in TAKEN
        lost = await ground.unknown("reset_before_execute", sent=sent)
        await ground.bench.advance(BOTH_REPORTS_OUT)
        await ground.sweep()
        assert lost.state == "unknown"

    on_ground(VANTAGE, database_url, story)


def _noon_before(now: datetime) -> datetime:
    """17:00 UTC, which is noon or one o'clock in New York, of today or yesterday."""
    noon = now.replace(hour=17, minute=0, second=0, microsecond=0)
    return noon if noon <= now else noon - timedelta(days=1)


def test_a_charge_that_only_the_report_shows_is_found(database_url: str) -> None:
    async def story(ground: Ground) -> None:
        lost = await ground.unknown("reset_after_execute")
        await ground.bench.advance(BOTH_REPORTS_OUT)

        ground.bench.book.core.vault.script(Script(Behaviour.parse("decline:77"), operation="lookup"))
        await ground.sweep()
        assert lost.state == "settled"

    on_ground(VANTAGE, database_url, story)


# --- late ------------------------------------------------------------------------------------------------------------


@both
def test_trace_6_a_charge_that_executes_after_a_look_found_nothing_is_found_later(name: Any, database_url: str) -> None:
    async def story(ground: Ground) -> None:
        # Stripe's key was sent as often as it may be: only looks are left, as at Vantage.
        often = {"sends": 4, "open_sends": 4} if name is STRIPE else {}
        lost = await ground.unknown("execute_late:60", **often)
        await ground.sweep()
        assert lost.state == "unknown"
        await ground.bench.advance(timedelta(seconds=61))
        await ground.sweep()
        assert lost.state in TAKEN

    on_ground(name, database_url, story)


def test_a_bank_debit_is_looked_after_until_its_day_comes(database_url: str) -> None:
    async def story(ground: Ground) -> None:
        lost = await ground.unknown("processing", sent=hours(72))
        await ground.sweep()
        assert lost.state == "processing"
        await ground.sweep()
        assert lost.state == "processing"
        assert lost.payment()["review_reason"] is None
        await ground.bench.advance(timedelta(days=5))
        await ground.sweep()
        assert lost.state in {"settled", "declined"}

    on_ground(STRIPE, database_url, story)


# --- what no look can tell --------------------------------------------------------------------------------------------


@both
@pytest.mark.parametrize(("sent", "asked"), [(hours(47), False), (hours(48), True)])
def test_what_is_still_unknown_after_two_days_is_put_before_people_once(
    name: Any, sent: timedelta, database_url: str, *, asked: bool
) -> None:
    async def story(ground: Ground) -> None:
        lost = await ground.unknown("reset_before_execute", sent=sent)
        ground.bench.processor = ground.bench.aimed_at("http://127.0.0.1:9")
        for _ in range(2):
            await ground.sweep()
        assert lost.state == "unknown"
        assert (lost.payment()["review_reason"] is not None) == asked
        assert len(_findings(ground)) == asked

    on_ground(name, database_url, story)


def _findings(ground: Ground) -> Sequence[Any]:
    return ground.connection.execute("SELECT * FROM finding").fetchall()
