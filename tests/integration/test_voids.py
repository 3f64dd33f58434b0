"""Voids at the cut-off, also where clocks change, and of what is not known yet: real adapter and simulator."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from shared.domain.voiding import VoidResult
from shared.store import voids
from shared.store.voids import VoidAsked
from tests.integration.janitor_ground import BOTH_REPORTS_OUT, STRIPE, VANTAGE, Ground, Lost, on_ground
from tests.integration.returning import run_void

NEW_YORK = ZoneInfo("America/New_York")
# In 2026 clocks go forward on March 8 and back on November 1, both at night.
DAYS = ["2026-03-07", "2026-03-08", "2026-03-09", "2026-07-15", "2026-10-31", "2026-11-01", "2026-11-02"]


async def ask(lost: Lost) -> list[VoidAsked]:
    """Press Void on the payment's batch."""
    payment = lost.payment()
    asked = await voids.request_batch_void(
        lost.ground.pool,
        practice_id=payment["practice_id"],
        batch_id=payment["batch_id"],
        actor="pat",
        source="test",
    )
    assert asked is not None
    return asked


def clock_is(ground: Ground, local: str) -> datetime:
    moment = datetime.fromisoformat(local).replace(tzinfo=NEW_YORK).astimezone(UTC)
    ground.bench.book.core.clock.stop(moment)
    return moment


async def charged(ground: Ground, local: str) -> Lost:
    """A charge that was sent at this time in New York, by both clocks, and is known as approved."""
    at = clock_is(ground, local)
    lost = await ground.unknown("reset_after_execute")
    ground.connection.execute(
        "UPDATE attempt SET first_send_at = %(at)s, last_send_at = %(at)s, last_claimed_at = %(at)s WHERE id = %(id)s",
        {"at": at, "id": lost.attempt_id},
    )
    await ground.sweep()
    assert lost.state == "approved"
    return lost


def money_back(ground: Ground) -> int:
    return sum(fact["kind"] == "void" for fact in ground.bench.core.ledger.facts())


@pytest.mark.parametrize("day", DAYS)
@pytest.mark.parametrize(("pressed", "in_time"), [("16:59:59", True), ("17:00:00", False)])
def test_a_void_pressed_a_second_before_the_cut_off_is_in_time_and_then_too_late(
    day: str, pressed: str, in_time: bool, database_url: str
) -> None:
    async def story(ground: Ground) -> None:
        lost = await charged(ground, f"{day} 09:30:00")
        clock_is(ground, f"{day} {pressed}")
        assert [one.result for one in await ask(lost)] == [VoidResult.VOIDING]
        await run_void(lost)
        assert lost.state == ("voided" if in_time else "voiding"), "in the dead zone nothing works, so it waits"
        await ground.bench.advance(timedelta(days=1))
        await run_void(lost)
        payment = lost.payment()
        assert (payment["state"], payment["reason_code"]) == (
            ("voided", None) if in_time else ("settled", "too_late_to_void")
        )
        assert money_back(ground) == in_time

    on_ground(VANTAGE, database_url, story)


def test_an_unknown_payment_is_resolved_first_and_voided_then(database_url: str) -> None:
    async def story(ground: Ground) -> None:
        lost = await ground.unknown("reset_after_execute")
        assert [one.result for one in await ask(lost)] == [VoidResult.MARKED]
        assert [one.result for one in await ask(lost)] == [VoidResult.ALREADY_ASKED]
        await run_void(lost)
        assert (lost.state, money_back(ground)) == ("unknown", 0)
        await ground.sweep()
        assert lost.state == "voiding"
        await run_void(lost)
        assert (lost.state, money_back(ground)) == ("voided", 1)
        assert [one.result for one in await ask(lost)] == [VoidResult.NOTHING_TO_VOID]

    on_ground(VANTAGE, database_url, story)


def test_an_unknown_payment_that_was_never_charged_is_canceled(database_url: str) -> None:
    async def story(ground: Ground) -> None:
        lost = await ground.unknown("reset_before_execute")
        await ask(lost)
        await ground.bench.advance(BOTH_REPORTS_OUT)
        await ground.sweep()
        assert (lost.state, money_back(ground)) == ("canceled", 0)

    on_ground(VANTAGE, database_url, story)


def test_stripe_has_no_void_and_says_so_for_each_payment(database_url: str) -> None:
    async def story(ground: Ground) -> None:
        lost = await ground.unknown("reset_after_execute")
        await ground.sweep()
        assert await ask(lost) == [VoidAsked(lost.payment_id, VoidResult.NO_VOID)]
        assert lost.state == "settled"

    on_ground(STRIPE, database_url, story)
