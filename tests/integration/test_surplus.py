"""A client who paid twice gets the surplus back while the other payment lives, and its review ends with that."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from shared.domain.refund_requests import RefundResult
from shared.domain.resolving import Verdict
from shared.domain.voiding import VoidResult
from tests.integration.janitor_ground import BOTH_REPORTS_OUT, STRIPE, VANTAGE, Ground, Lost, on_ground
from tests.integration.returning import ask_for_refund, ask_for_void, run_refund, run_void
from tests.integration.reviewing import given_up, say, shown_ref

both = pytest.mark.parametrize("name", [STRIPE, VANTAGE])
EXECUTES_AFTER = timedelta(days=10)


async def surplus(ground: Ground, *, seen_after: timedelta) -> Lost:
    """A charge that executed days after it had been given up, beside another payment of its invoice."""
    lost = await given_up(ground, f"execute_late:{EXECUTES_AFTER.total_seconds():.0f}")
    ground.submit_again(lost)
    await ground.bench.advance(EXECUTES_AFTER - BOTH_REPORTS_OUT + seen_after)
    assert await say(lost, Verdict.CHARGED, shown_ref(lost)) is None
    assert lost.state == "surplus"
    ground.assert_sound()
    return lost


def others(lost: Lost) -> list[tuple[UUID, str]]:
    rows = lost.ground.connection.execute("SELECT id, state FROM payment WHERE id <> %s", [lost.payment_id]).fetchall()
    return [(row["id"], row["state"]) for row in rows]


def taken_minor(ground: Ground) -> int:
    (row,) = ground.connection.execute("SELECT taken_minor FROM invoice").fetchall()
    return int(row["taken_minor"])


@both
def test_a_surplus_is_refunded_while_another_payment_lives(name: Any, database_url: str) -> None:
    async def story(ground: Ground) -> None:
        lost = await surplus(ground, seen_after=BOTH_REPORTS_OUT)
        assert await ask_for_refund(lost) is RefundResult.REFUNDING
        ground.assert_sound()
        await run_refund(lost)
        payment = lost.payment()
        assert (payment["state"], payment["review_reason"]) == ("refunded", None)
        assert [state for _, state in others(lost)] == ["queued"]
        assert taken_minor(ground) == 0
        assert not [event for event in ground.told() if event.startswith("invoice.")]

    on_ground(name, database_url, story)


def test_a_surplus_that_is_not_settled_is_voided_while_another_payment_lives(database_url: str) -> None:
    async def story(ground: Ground) -> None:
        lost = await surplus(ground, seen_after=timedelta(seconds=1))
        assert await ask_for_void(lost) is VoidResult.VOIDING
        await run_void(lost)
        payment = lost.payment()
        assert (payment["state"], payment["review_reason"]) == ("voided", None)
        assert taken_minor(ground) == 0

    on_ground(VANTAGE, database_url, story)


def test_a_surplus_whose_void_is_too_late_is_refunded_instead(database_url: str) -> None:
    async def story(ground: Ground) -> None:
        lost = await surplus(ground, seen_after=BOTH_REPORTS_OUT)
        await ask_for_void(lost)
        await run_void(lost)
        payment = lost.payment()
        assert (payment["state"], payment["reason_code"]) == ("settled", "too_late_to_void")
        assert payment["review_reason"]
        assert taken_minor(ground) == 0
        ground.assert_sound()
        await ask_for_refund(lost)
        await run_refund(lost)
        assert (lost.payment()["state"], lost.payment()["review_reason"]) == ("refunded", None)

    on_ground(VANTAGE, database_url, story)


def test_a_surplus_at_stripe_is_refunded_not_voided(database_url: str) -> None:
    async def story(ground: Ground) -> None:
        lost = await surplus(ground, seen_after=timedelta(seconds=1))
        assert await ask_for_void(lost) is VoidResult.NO_VOID
        assert lost.state == "surplus"

    on_ground(STRIPE, database_url, story)
