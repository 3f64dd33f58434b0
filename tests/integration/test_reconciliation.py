"""Our books against the processors', both ways: each difference is caught up with or found once, with its cause."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.domain.books_day import day_of
from shared.domain.words import ProcessorName
from shared.store import findings
from tests.integration.janitor_ground import STRIPE, VANTAGE, Ground, Lost, on_ground

both = pytest.mark.parametrize("name", [STRIPE, VANTAGE])
# Noon or so in New York, far from every end of a day.
AT = datetime(2026, 3, 17, 16, tzinfo=UTC)
BOOKS_OUT = timedelta(days=2)
AMOUNT = 12_500


def core(ground: Ground) -> Any:
    return ground.bench.core if ground.name is STRIPE else ground.bench.book.core


async def sent(ground: Ground, behaviour: str = "reset_after_execute", *, at: datetime = AT) -> Lost:
    """A charge whose answer was lost, made at this moment of both clocks."""
    core(ground).clock.set(at)
    lost = await ground.unknown(behaviour)
    ground.connection.execute(
        "UPDATE attempt SET first_send_at = %(at)s, last_send_at = %(at)s, last_claimed_at = %(at)s WHERE id = %(id)s",
        {"at": at, "id": lost.attempt_id},
    )
    return lost


async def charged(ground: Ground, *, at: datetime = AT) -> Lost:
    """A charge that we know as settled."""
    lost = await sent(ground, at=at)
    await ground.sweep()
    if lost.state == "approved":
        await ground.bench.advance(BOOKS_OUT)
        await ground.sweep()
    assert lost.state == "settled"
    return lost


async def outside(ground: Ground, event: str, lost: Lost, **more: Any) -> None:
    """Somebody does this in the processor's dashboard."""
    told = {"event": event, "account": lost.order.account, "reference": lost.order.reference, **more}
    core(ground).faults(told)


def day(ground: Ground, at: datetime = AT) -> Any:
    return day_of(ground.name, at)


async def compare(ground: Ground, at: datetime = AT) -> list[str]:
    """Compare that day when its books are complete; the kinds of everything that was ever found."""
    core(ground).clock.set(at + BOOKS_OUT)
    outcome = await ground.reconcile(day(ground, at))
    assert (outcome.failure, outcome.complete) == (None, True)
    return [kind for kind, _ in ground.findings()]


Story = Callable[[Ground], Awaitable[None]]


@both
def test_books_that_agree_show_nothing_and_tell_the_fee(name: ProcessorName, database_url: str) -> None:
    async def story(ground: Ground) -> None:
        await charged(ground)
        assert await compare(ground) == []
        fee = ground.connection.execute("SELECT fee_minor FROM processor_fee").fetchall()
        # 3.25 % and 35 cents; 2.9 % and 30 cents.
        assert [row["fee_minor"] for row in fee] == [441 if name is VANTAGE else 393]

    on_ground(name, database_url, story)


@both
def test_an_unknown_charge_that_the_books_show_is_caught_up_with_and_told(
    name: ProcessorName, database_url: str
) -> None:
    async def story(ground: Ground) -> None:
        lost = await sent(ground)
        assert await compare(ground) == ["unknown_found"]
        assert lost.state == "settled"
        assert "finding.opened" in ground.told()
        open_ = ground.connection.execute("SELECT FROM finding WHERE resolved_at IS NULL").fetchall()
        assert open_ == []

    on_ground(name, database_url, story)


@both
def test_money_that_was_taken_for_a_payment_given_up_is_found(name: ProcessorName, database_url: str) -> None:
    async def story(ground: Ground) -> None:
        lost = await sent(ground)
        ground.connection.execute(
            "UPDATE payment SET state = 'failed', next_check_at = NULL WHERE id = %s", [lost.payment_id]
        )
        ground.connection.execute(
            "UPDATE attempt SET outcome = 'not_executed', open_sends = 0 WHERE id = %s", [lost.attempt_id]
        )
        assert await compare(ground) == ["status_differs"]
        assert (lost.state, lost.payment()["review_reason"] is not None) == ("settled", True)

    on_ground(name, database_url, story)


def test_an_approved_charge_that_settled_in_its_time_is_no_finding(database_url: str) -> None:
    async def story(ground: Ground) -> None:
        lost = await sent(ground)
        await ground.sweep()
        assert lost.state == "approved"
        assert await compare(ground) == []
        assert lost.state == "settled"

    on_ground(VANTAGE, database_url, story)


@both
@pytest.mark.parametrize(
    ("reference", "kind"),
    [("", "outside_charge"), ("dev-0197f0a2-0000-7000-8000-000000000001-1", "forgotten_charge")],
)
def test_a_charge_that_is_not_ours_is_found_once(
    reference: str, kind: str, name: ProcessorName, database_url: str
) -> None:
    async def story(ground: Ground) -> None:
        lost = await charged(ground)
        core(ground).clock.set(AT)
        core(ground).faults(
            {"event": "charge", "account": lost.order.account, "amount_minor": 777, "reference": reference}
        )
        assert await compare(ground) == [kind]
        assert await compare(ground) == [kind]
        assert "$7.77" in ground.findings()[0][1]
        assert ground.told().count("finding.opened") == 1

    on_ground(name, database_url, story)


@both
def test_money_that_somebody_gave_back_outside_is_seen(name: ProcessorName, database_url: str) -> None:
    async def story(ground: Ground) -> None:
        lost = await charged(ground)
        later = AT + timedelta(days=5)
        core(ground).clock.set(later)
        await outside(ground, "refund", lost)
        assert await compare(ground) == []
        assert await compare(ground, later) == ["outside_refund"]
        assert lost.state == "refunded"
        assert await compare(ground, later) == ["outside_refund"]

    on_ground(name, database_url, story)


@both
def test_a_part_that_was_given_back_outside_is_put_before_people(name: ProcessorName, database_url: str) -> None:
    async def story(ground: Ground) -> None:
        lost = await charged(ground)
        later = AT + timedelta(days=5)
        core(ground).clock.set(later)
        await outside(ground, "refund", lost, amount_minor=500)
        for _ in range(2):
            assert await compare(ground, later) == ["partial_refund"]
        assert lost.state == "settled"
        assert "$5.00 of $125.00" in lost.payment()["review_reason"]

    on_ground(name, database_url, story)


def test_a_charge_that_somebody_voided_outside_is_seen(database_url: str) -> None:
    async def story(ground: Ground) -> None:
        lost = await sent(ground)
        await ground.sweep()
        await outside(ground, "void", lost)
        assert await compare(ground) == ["outside_void"]
        assert lost.state == "voided"

    on_ground(VANTAGE, database_url, story)


@both
def test_a_charge_that_complete_books_do_not_show_is_put_before_people(name: ProcessorName, database_url: str) -> None:
    async def story(ground: Ground) -> None:
        lost, other = await charged(ground), await charged(ground)
        ledger = core(ground).ledger
        (entry,) = ledger.by_reference(lost.order.account, lost.order.reference)
        ledger.restate(entry, "canceled" if name is STRIPE else "taken", moved=False)
        for _ in range(2):
            assert await compare(ground) == ["not_in_books"]
        assert (lost.payment()["review_reason"] is None, other.payment()["review_reason"] is None) == (False, True)

    on_ground(name, database_url, story)


def test_a_charge_near_the_cut_off_may_be_in_either_days_books(database_url: str) -> None:
    async def story(ground: Ground) -> None:
        near = datetime(2026, 3, 17, 20, 59, 59, tzinfo=UTC)
        await charged(ground, at=near)
        assert await compare(ground, near) == []
        assert await compare(ground, near + timedelta(seconds=1)) == []
        entry = next(iter(core(ground).ledger))
        core(ground).ledger.restate(entry, "taken", moved=False)
        # Only when the books of both days are complete is it missing.
        assert await compare(ground, near) == []
        assert await compare(ground, near + timedelta(seconds=1)) == ["not_in_books"]

    on_ground(VANTAGE, database_url, story)


def test_another_amount_than_was_sent_is_put_before_people(database_url: str) -> None:
    async def story(ground: Ground) -> None:
        lost = await charged(ground)
        ground.bench.book.report_edits[lost.order.reference] = {"action": "amount", "amount_minor": 99}
        for _ in range(2):
            assert await compare(ground) == ["amount_differs"]
        assert "99" in lost.payment()["review_reason"]

    on_ground(VANTAGE, database_url, story)


@both
def test_a_chargeback_flags_its_payment_and_is_told(name: ProcessorName, database_url: str) -> None:
    async def story(ground: Ground) -> None:
        lost = await charged(ground)
        later = AT + timedelta(days=20)
        core(ground).clock.set(later)
        await outside(ground, "chargeback" if name is VANTAGE else "dispute", lost)
        for _ in range(2):
            assert await compare(ground, later) == ["chargeback"]
        assert (lost.state, lost.payment()["review_reason"] is not None) == ("settled", True)
        assert ground.told().count("payment.dispute_opened") == 1
        [dispute] = ground.connection.execute("SELECT payment_id, standing, amount_minor FROM dispute").fetchall()
        assert dispute == {"payment_id": lost.payment_id, "standing": "open", "amount_minor": AMOUNT}

    on_ground(name, database_url, story)


@both
def test_books_that_are_not_complete_miss_nothing(name: ProcessorName, database_url: str) -> None:
    async def story(ground: Ground) -> None:
        lost = await charged(ground)
        (entry,) = core(ground).ledger.by_reference(lost.order.account, lost.order.reference)
        core(ground).ledger.restate(entry, "canceled" if name is STRIPE else "taken", moved=False)
        core(ground).clock.set(AT)
        outcome = await ground.reconcile(day(ground))
        assert (outcome.failure, outcome.complete, ground.findings()) == (None, False, [])

    on_ground(name, database_url, story)


@both
def test_books_that_cannot_be_read_are_a_failure_and_no_difference(name: ProcessorName, database_url: str) -> None:
    async def story(ground: Ground) -> None:
        await charged(ground)
        ground.bench.processor = ground.bench.aimed_at("http://127.0.0.1:9")
        outcome = await ground.reconcile(day(ground))
        assert outcome.failure
        assert outcome.failure.startswith("not_connected")
        assert ground.findings() == []

    on_ground(name, database_url, story)


def test_a_finding_is_resolved_by_a_person_with_a_note(database_url: str) -> None:
    async def story(ground: Ground) -> None:
        lost = await charged(ground)
        core(ground).clock.set(AT)
        core(ground).faults({"event": "charge", "account": lost.order.account, "amount_minor": 777})
        await compare(ground)
        [row] = ground.connection.execute("SELECT id FROM finding").fetchall()
        for expected in (True, False):
            async with ground.pool.connection() as connection:
                resolved = await findings.resolve(connection, row["id"], by="pat", note="first charge", source="test")
            assert resolved is expected
        [entry] = ground.connection.execute("SELECT actor, action FROM audit_entry").fetchall()
        assert entry == {"actor": "pat", "action": "finding.resolved"}

    on_ground(STRIPE, database_url, story)


@both
@pytest.mark.parametrize("complete", [True, False])
def test_each_day_is_compared_once_by_itself_when_its_books_are_complete(
    name: ProcessorName, database_url: str, *, complete: bool
) -> None:
    async def story(ground: Ground) -> None:
        await charged(ground)
        ground.connection.execute("UPDATE batch SET submitted_at = now() - interval '3 days'")
        core(ground).clock.set(datetime.now(UTC) - timedelta(days=0 if complete else 2))
        for _ in range(2):
            await ground.plan()
            await ground.go_round()
        [run] = ground.connection.execute("SELECT planned, answered_at, complete FROM reconciliation").fetchall()
        assert (run["planned"], run["answered_at"] is not None, run["complete"]) == (True, complete, complete or None)

    on_ground(name, database_url, story)


def test_a_practice_that_had_charged_nothing_by_then_is_not_compared(database_url: str) -> None:
    async def story(ground: Ground) -> None:
        await charged(ground)
        await ground.plan()
        assert ground.connection.execute("SELECT FROM reconciliation").fetchall() == []

    on_ground(VANTAGE, database_url, story)
