"""The janitor settles Vantage charges from the reports of their days: at the cut-off, and when clocks change."""

from datetime import UTC, datetime, timedelta

import pytest

from shared.domain.resolving import Verdict
from shared.domain.schedule import SETTLEMENT_CHECK, UNKNOWN_LONGEST
from shared.store import batch_status
from tests.integration.janitor_ground import STRIPE, VANTAGE, Ground, Lost, on_ground

# Past the cut-off of the day that the charge may still fall on, and the delay of its report.
REPORTS_OUT = timedelta(hours=38)
SECOND = timedelta(seconds=1)
CUT_OFFS = [
    "2026-01-15 22:00:00",  # winter
    "2026-07-15 21:00:00",  # summer
    "2026-03-07 22:00:00",  # the last one before clocks go forward
    "2026-03-08 21:00:00",
    "2026-10-31 21:00:00",  # the last one before they go back
    "2026-11-01 22:00:00",
    "2026-03-14 21:00:00",  # a Saturday
]


async def approved_at(ground: Ground, moment: datetime) -> Lost:
    """A charge that the processor took at this moment of its clock and that we know as approved."""
    ground.bench.book.core.clock.set(moment)
    lost = await ground.unknown("reset_after_execute")
    # The simulator's clock runs on while we write; the charge happened at its moment.
    (entry,) = ground.bench.book.core.ledger.by_reference(lost.order.account, lost.order.reference)
    entry.executed_at = moment
    ground.connection.execute(
        "UPDATE attempt SET first_send_at = %(at)s, last_send_at = %(at)s, last_claimed_at = %(at)s WHERE id = %(id)s",
        {"at": moment, "id": lost.attempt_id},
    )
    await ground.sweep()
    assert lost.state == "approved"
    return lost


@pytest.mark.parametrize("cut_off", CUT_OFFS)
def test_the_last_second_of_a_day_settles_with_it_and_the_next_one_a_day_later(cut_off: str, database_url: str) -> None:
    async def story(ground: Ground) -> None:
        end = datetime.fromisoformat(cut_off).replace(tzinfo=UTC)
        last, first = [await approved_at(ground, end + by) for by in (-SECOND, timedelta(0))]
        # The report of the day that ended is out long before that of the day which began.
        ground.bench.book.core.clock.set(end + timedelta(hours=13))
        await ground.sweep()
        assert (last.state, first.state) == ("settled", "approved")
        ground.bench.book.core.clock.set(end + REPORTS_OUT)
        await ground.sweep()
        assert first.state == "settled"

    on_ground(VANTAGE, database_url, story)


def leave_out(ground: Ground, lost: Lost) -> None:
    """The processor's books do not show this charge any more."""
    ledger = ground.bench.book.core.ledger
    (entry,) = ledger.by_reference(lost.order.account, lost.order.reference)
    ledger.restate(entry, "taken", moved=False)


def sent_before(lost: Lost, ago: timedelta) -> None:
    lost.ground.connection.execute(
        "UPDATE attempt SET first_send_at = now() - %(ago)s, last_send_at = now() - %(ago)s WHERE id = %(id)s",
        {"ago": ago, "id": lost.attempt_id},
    )


def test_trace_22_a_charge_that_complete_reports_leave_out_is_put_before_people_once(database_url: str) -> None:
    async def story(ground: Ground) -> None:
        lost = await ground.unknown("reset_after_execute")
        await ground.sweep()
        leave_out(ground, lost)
        sent_before(lost, UNKNOWN_LONGEST)
        for _ in range(2):
            await ground.sweep()
            assert (lost.state, lost.payment()["next_check_at"]) == ("approved", None)
        assert ground.findings() == [("not_in_books", f"the books do not show {lost.order.reference}")]

    on_ground(VANTAGE, database_url, story)


@pytest.mark.parametrize("sent", [timedelta(0), UNKNOWN_LONGEST - timedelta(minutes=1)], ids=["not out", "late"])
def test_a_charge_that_its_report_may_still_show_is_looked_for_again_in_an_hour(
    sent: timedelta, database_url: str
) -> None:
    async def story(ground: Ground) -> None:
        lost = await ground.unknown("reset_after_execute")
        await ground.sweep()
        leave_out(ground, lost)
        sent_before(lost, sent)
        await ground.sweep()
        payment = lost.payment()
        assert (payment["state"], payment["review_reason"]) == ("approved", None)
        again = payment["next_check_at"] - datetime.now(UTC)
        assert SETTLEMENT_CHECK - timedelta(minutes=1) < again <= SETTLEMENT_CHECK

    on_ground(VANTAGE, database_url, story)


def test_who_acknowledges_a_missing_charge_has_it_looked_for_again(database_url: str) -> None:
    async def story(ground: Ground) -> None:
        lost = await ground.unknown("reset_after_execute")
        await ground.sweep()
        leave_out(ground, lost)
        sent_before(lost, UNKNOWN_LONGEST)
        await ground.sweep()
        assert await ground.say(lost.payment_id, Verdict.ACKNOWLEDGED) is None
        payment = lost.payment()
        assert (payment["review_reason"], payment["next_check_at"] > datetime.now(UTC)) == (None, True)

    on_ground(VANTAGE, database_url, story)


def test_a_batch_is_posted_when_its_last_charge_is_settled_and_not_before(database_url: str) -> None:
    async def story(ground: Ground) -> None:
        lost = await approved_at(ground, datetime(2026, 3, 17, 14, tzinfo=UTC))
        batch = lost.payment()["batch_id"]
        for posting, advance in (("pending", timedelta(0)), ("posted", REPORTS_OUT)):
            await ground.bench.advance(advance)
            await ground.sweep()
            await batch_status.recompute(ground.pool, [batch], actor="test")
            row = ground.connection.execute("SELECT posting, posted_at FROM batch").fetchone()
            assert row
            assert (row["posting"], row["posted_at"] is not None) == (posting, posting == "posted")
            assert ground.told().count("batch.posted") == (posting == "posted")

    on_ground(VANTAGE, database_url, story)


@pytest.mark.parametrize(
    ("behaviour", "state"), [("processing", "settled"), ("decline:insufficient_funds", "declined")]
)
def test_a_bank_debit_posts_its_batch_days_later_however_it_ends(behaviour: str, state: str, database_url: str) -> None:
    async def story(ground: Ground) -> None:
        lost = await ground.unknown(behaviour, method_type="us_bank_account")
        batch = lost.payment()["batch_id"]
        await ground.sweep()
        assert lost.state == "processing"
        await batch_status.recompute(ground.pool, [batch], actor="test")
        assert "batch.posted" not in ground.told()
        await ground.bench.advance(timedelta(days=5))
        await ground.sweep()
        await batch_status.recompute(ground.pool, [batch], actor="test")
        assert (lost.state, ground.told().count("batch.posted")) == (state, 1)

    on_ground(STRIPE, database_url, story)
