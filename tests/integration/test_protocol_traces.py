"""Shortest ways to wrong money, played on real books, adapters and simulators: the protocol's section 1, by number.

Here are those that no other test file has for a subject of its own; `tests/README.md` lists all of them.
"""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from shared.domain import charging
from shared.domain.answers import Approved, ChargeAnswer, Unknown
from shared.domain.refund_requests import RefundResult
from shared.domain.settlement_day import REPORT_DELAY
from shared.domain.voiding import VoidResult
from shared.store import payments, voids
from tests.contract.stripe.bench import INVALID, list_of, refusal
from tests.contract.wire_server import http, wire_server
from tests.integration.janitor_ground import BOTH_REPORTS_OUT, STRIPE, VANTAGE, Ground, Lost, hours, on_ground
from tests.integration.returning import ask_for_refund, ask_for_void, run_void, script
from workers.charge.claiming import Claimer, claim_group
from workers.evidence import Answered, record
from workers.janitor.sweeping import sweep
from workers.sending import Claimed

# 17:00 in New York, in winter.
CUT_OFF = datetime(2026, 1, 15, 22, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def requests(ground: Ground, path: str) -> int:
    return sum(path in one.path for one in ground.bench.core.requests)


def taken(ground: Ground, lost: Lost) -> list[str]:
    """How every charge of the payment stands at the processor, whatever its attempt."""
    ground.bench.core.clock.run_due()
    facts = ground.bench.core.ledger.facts()
    return [fact["state"] for fact in facts if fact["kind"] == "charge" and str(lost.payment_id) in fact["reference"]]


async def approved(ground: Ground) -> Lost:
    lost = await ground.unknown("reset_after_execute")
    await ground.sweep()
    assert lost.state == "approved"
    return lost


async def claim(ground: Ground, *ids: UUID) -> list[Claimed | None]:
    claimer = Claimer(pool=ground.pool, processor=ground.bench.processor, environment="test", actor="test")
    return await claim_group(ids, claimer=claimer)


def answer(claimed: Claimed, given: ChargeAnswer) -> Answered:
    return Answered(claimed.owned, given)


# --- Charges ----------------------------------------------------------------------------------------------------------


def test_trace_1_a_resend_that_is_refused_does_not_end_an_attempt_that_executes_late(database_url: str) -> None:
    async def story(ground: Ground) -> None:
        lost = await ground.unknown("execute_late:3600")
        nothing, busy = json.dumps(list_of()).encode(), json.dumps(refusal(INVALID, "rate_limit")).encode()
        whole = ground.bench.processor
        async with wire_server(http(nothing), http(busy, status="429 Too Many Requests")) as wire:
            ground.bench.processor = ground.bench.aimed_at(wire.url)
            await ground.sweep()
        ground.bench.processor = whole
        attempt = lost.attempt()
        assert (attempt["sends"], attempt["open_sends"], attempt["outcome"]) == (2, 1, None)
        assert lost.state == "unknown"
        assert taken(ground, lost) == []
        await ground.bench.advance(hours(1))
        await ground.sweep()
        assert lost.state == "settled"
        assert (lost.payment()["attempts"], len(taken(ground, lost))) == (1, 1)

    on_ground(STRIPE, database_url, story)


def test_trace_5_a_charge_that_hangs_over_the_cut_off_is_not_given_up_by_the_report_of_its_first_day(
    database_url: str,
) -> None:
    async def story(ground: Ground) -> None:
        clock = ground.bench.core.clock
        clock.set(CUT_OFF - SECOND)
        # The next day's first report is out a day later: by then the request that hung for hours has executed.
        lost = await ground.unknown(f"execute_late:{13 * 3600}")
        ground.connection.execute(
            "UPDATE attempt SET first_send_at = %(at)s, last_send_at = %(at)s, last_claimed_at = %(at)s",
            {"at": CUT_OFF - SECOND},
        )
        clock.set(CUT_OFF + REPORT_DELAY + timedelta(minutes=30))
        await ground.sweep()
        assert lost.state == "unknown"
        clock.set(CUT_OFF + REPORT_DELAY + hours(2))
        await ground.sweep()
        assert lost.state in {"approved", "settled"}
        assert len(taken(ground, lost)) == 1

    on_ground(VANTAGE, database_url, story)


def test_trace_17b_a_key_is_not_sent_again_after_void_and_is_canceled_when_absence_is_final(database_url: str) -> None:
    async def story(ground: Ground) -> None:
        lost = await ground.unknown("reset_before_execute")
        assert await ask_for_void(lost) is VoidResult.MARKED
        await ground.sweep()
        assert (lost.state, lost.attempt()["sends"]) == ("unknown", 1)
        ground.connection.execute(
            "UPDATE attempt SET first_send_at = first_send_at - %(day)s, last_send_at = last_send_at - %(day)s,"
            " last_claimed_at = last_claimed_at - %(day)s",
            {"day": hours(24)},
        )
        await ground.sweep()
        assert (lost.state, lost.attempt()["sends"], taken(ground, lost)) == ("canceled", 1, [])

    on_ground(STRIPE, database_url, story)


@pytest.mark.parametrize("name", [STRIPE, VANTAGE])
def test_trace_23_a_card_whose_charge_got_no_answer_is_free_when_that_charge_cannot_be_on_the_wire(
    name: Any, database_url: str
) -> None:
    async def story(ground: Ground) -> None:
        # Siblings: two clients whose stored card is one.
        first, order = ground.queued("approve")
        second = ground.submit(order)
        (claimed,) = await claim(ground, first)
        assert claimed
        await record([answer(claimed, Unknown(code="timeout", detail="lost"))], pool=ground.pool, actor="test")
        assert await claim(ground, second) == [None]
        await sweep(janitor=ground.janitor)
        assert await claim(ground, second) == [None]
        ground.connection.execute("UPDATE payment SET lease_until = now() WHERE id = %s", [first])
        await sweep(janitor=ground.janitor)
        assert (await claim(ground, second))[0]

    on_ground(name, database_url, story)


def test_trace_23_a_key_is_not_sent_again_while_another_charge_of_its_card_is_on_the_wire(database_url: str) -> None:
    async def story(ground: Ground) -> None:
        lost = await ground.unknown("reset_before_execute")
        sibling = ground.submit(lost.order)
        assert (await claim(ground, sibling))[0]
        await ground.sweep()
        assert (lost.state, lost.attempt()["sends"]) == ("unknown", 1)

    on_ground(STRIPE, database_url, story)


# --- Voids ------------------------------------------------------------------------------------------------------------


def test_trace_9_hints_that_come_twice_void_once(database_url: str) -> None:
    async def story(ground: Ground) -> None:
        lost = await approved(ground)
        assert await ask_for_void(lost) is VoidResult.VOIDING
        await asyncio.gather(*(run_void(lost) for _ in range(4)))
        assert (lost.state, taken(ground, lost)) == ("voided", ["voided"])
        assert requests(ground, "VoidedTransactions") == 1

    on_ground(VANTAGE, database_url, story)


def test_trace_11_a_void_that_is_refused_because_ours_went_through_is_found_voided(database_url: str) -> None:
    async def story(ground: Ground) -> None:
        lost = await approved(ground)
        await ask_for_void(lost)
        script(ground, "reset_after_execute", "void")
        await run_void(lost)
        assert (lost.state, taken(ground, lost)) == ("voiding", ["voided"])
        # The look before the second one fails: it is sent, and refused with the code of "too late".
        script(ground, "http_500_before", "lookup")
        await run_void(lost)
        assert requests(ground, "VoidedTransactions") == 2
        assert lost.state == "voided"

    on_ground(VANTAGE, database_url, story)


def test_trace_11_a_void_that_comes_too_late_is_settled_and_offered_as_a_refund(database_url: str) -> None:
    async def story(ground: Ground) -> None:
        lost = await approved(ground)
        await ask_for_void(lost)
        await ground.bench.advance(BOTH_REPORTS_OUT)
        await run_void(lost)
        payment = lost.payment()
        assert (payment["state"], payment["reason_code"]) == ("settled", "too_late_to_void")

    on_ground(VANTAGE, database_url, story)


def test_trace_12_a_charge_whose_void_may_still_execute_is_neither_approved_nor_refunded(database_url: str) -> None:
    async def story(ground: Ground) -> None:
        lost = await approved(ground)
        await ask_for_void(lost)
        script(ground, "execute_late:600", "void")
        await run_void(lost)
        script(ground, "http_500_before", "void")
        await run_void(lost)
        assert (lost.state, taken(ground, lost)) == ("voiding", ["taken"])
        assert await ask_for_refund(lost) is not RefundResult.REFUNDING
        await ground.bench.advance(timedelta(seconds=600))
        await run_void(lost)
        assert (lost.state, taken(ground, lost)) == ("voided", ["voided"])

    on_ground(VANTAGE, database_url, story)


def test_trace_16_a_batch_void_reaches_a_payment_that_is_approved_in_the_same_moment(database_url: str) -> None:
    async def story(ground: Ground) -> None:
        lost = await ground.unknown("reset_after_execute")
        row = lost.payment()
        async with ground.pool.connection() as recording:
            (locked,) = await payments.lock(recording, [lost.payment_id])
            attempt = (await payments.attempts(recording, [lost.attempt_id]))[lost.attempt_id]
            step = charging.answered(
                locked.payment, attempt, Approved(processor_ref="ref-1"), token=lost.payment_id, now=locked.now
            )
            assert step
            await payments.write(recording, [step], actor="test", now=locked.now)
            asked = asyncio.create_task(
                voids.request_batch_void(
                    ground.pool, practice_id=row["practice_id"], batch_id=row["batch_id"], actor="pat", source="test"
                )
            )
            await waits_for_lock(ground)
        assert [one.result for one in await asked or ()] == [VoidResult.VOIDING]
        assert lost.state == "voiding"

    on_ground(VANTAGE, database_url, story)


async def waits_for_lock(ground: Ground) -> None:
    waiting = (
        "SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    async with asyncio.timeout(20):
        while not ground.connection.execute(waiting).fetchone()["n"]:  # type: ignore[index]  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def test_trace_18_a_void_whose_command_was_lost_is_hinted_again(database_url: str) -> None:
    async def story(ground: Ground) -> None:
        lost = await approved(ground)
        await ask_for_void(lost)
        ground.connection.execute("DELETE FROM outbox")
        ground.connection.execute("UPDATE payment SET next_check_at = now()")
        await ground.sweep()
        rows = ground.connection.execute("SELECT lane, payment_id FROM outbox WHERE lane = 'void'").fetchall()
        assert [(row["lane"], row["payment_id"]) for row in rows] == [("void", lost.payment_id)]

    on_ground(VANTAGE, database_url, story)
