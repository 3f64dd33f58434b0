"""What becomes of a refund whose answer was lost, and of hints that come twice: real books, adapter and simulator."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from schemas.events import InvoiceEvent
from tests.integration.janitor_ground import BOTH_REPORTS_OUT, STRIPE, VANTAGE, Ground, on_ground
from tests.integration.returning import look_at_refunds, refund_attempts, refunded, refunding, run_refund, script

both = pytest.mark.parametrize("name", [STRIPE, VANTAGE])


@both
def test_trace_9_hints_that_come_twice_refund_once(name: Any, database_url: str) -> None:
    async def story(ground: Ground) -> None:
        lost = await refunding(ground)
        await asyncio.gather(*(run_refund(lost) for _ in range(4)))
        assert lost.state == "refunded"
        assert refunded(ground) == [lost.order.amount_minor]
        assert [attempt["outcome"] for attempt in refund_attempts(ground)] == ["confirmed"]

    on_ground(name, database_url, story)


@pytest.mark.parametrize("gateway_refuses", [True, False])
def test_trace_13_what_was_refunded_outside_a_moment_before_is_not_refunded_again(
    database_url: str, *, gateway_refuses: bool
) -> None:
    """Whether the gateway refuses a second refund is assumed: our look before the send does not rely on it."""

    async def story(ground: Ground) -> None:
        book = ground.bench.book
        book.switches = replace(book.switches, refund_twice_refused=gateway_refuses)
        lost = await refunding(ground)
        (charge,) = book.core.ledger.by_reference(lost.order.account, lost.order.reference)
        book.refund(charge, charge.amount_minor, book.core.clock.now())
        await run_refund(lost)
        assert (lost.state, refunded(ground), refund_attempts(ground)) == ("refunded", [lost.order.amount_minor], [])
        assert [kind for kind, _ in ground.findings()] == ["outside_refund"]

    on_ground(VANTAGE, database_url, story)


@both
def test_trace_10_a_refund_that_executes_late_is_found_and_made_once(name: Any, database_url: str) -> None:
    async def story(ground: Ground) -> None:
        lost = await refunding(ground)
        script(ground, "execute_late:3600", "refund")
        await run_refund(lost)
        await look_at_refunds(ground)
        await run_refund(lost)
        assert (lost.state, refunded(ground)) == ("refunding", [])
        await ground.bench.advance(timedelta(hours=1))
        assert refunded(ground) == [lost.order.amount_minor]
        await look_at_refunds(ground)
        assert lost.state == "refunded"
        assert refunded(ground) == [lost.order.amount_minor]

    on_ground(name, database_url, story)


def test_trace_10_without_a_key_only_complete_reports_prove_that_a_refund_never_executed(database_url: str) -> None:
    async def story(ground: Ground) -> None:
        lost = await refunding(ground)
        script(ground, "reset_before_execute", "refund")
        await run_refund(lost)
        for _ in range(3):
            await look_at_refunds(ground)
        assert lost.state == "refunding"
        await ground.bench.advance(BOTH_REPORTS_OUT)
        await look_at_refunds(ground)
        payment = lost.payment()
        assert (payment["state"], payment["reason_code"]) == ("settled", "refund_not_executed")
        (attempt,) = refund_attempts(ground)
        assert (attempt["sends"], attempt["outcome"]) == (1, "not_executed")
        assert attempt["absence_final_at"]

    on_ground(VANTAGE, database_url, story)


def test_trace_10_a_key_is_sent_again_while_it_lives_then_looked_up_and_given_up_when_it_is_forgotten(
    database_url: str,
) -> None:
    async def story(ground: Ground) -> None:
        lost = await refunding(ground)
        script(ground, "http_500_before", "refund")
        await run_refund(lost)
        for _ in range(5):
            await look_at_refunds(ground)
        (attempt,) = refund_attempts(ground)
        assert (attempt["sends"], attempt["outcome"], lost.state) == (4, None, "refunding")
        age(ground, hours=23)
        await look_at_refunds(ground)
        assert lost.state == "refunding"
        age(ground, hours=2)
        await look_at_refunds(ground)
        payment = lost.payment()
        assert (payment["state"], payment["reason_code"]) == ("settled", "refund_not_executed")
        assert refunded(ground) == []

    on_ground(STRIPE, database_url, story)


def test_trace_14_an_open_refund_is_not_sent_again_by_a_restored_database(database_url: str) -> None:
    async def story(ground: Ground) -> None:
        lost = await refunding(ground)
        script(ground, "reset_before_execute", "refund")
        await run_refund(lost)
        ground.connection.execute("UPDATE timeline SET name = 'before'")
        await look_at_refunds(ground)
        (attempt,) = refund_attempts(ground)
        assert (attempt["sends"], attempt["outcome"], refunded(ground)) == (1, None, [])
        assert lost.payment()["next_check_at"] > lost.payment()["updated_at"]
        ground.connection.execute("UPDATE timeline SET name = timeline_now()")
        await look_at_refunds(ground)
        assert (lost.state, refunded(ground)) == ("refunded", [lost.order.amount_minor])

    on_ground(STRIPE, database_url, story)


@both
def test_upstream_is_told_that_an_invoice_was_paid_and_is_open_again(name: Any, database_url: str) -> None:
    async def story(ground: Ground) -> None:
        lost = await refunding(ground)
        await run_refund(lost)
        paid, reopened = (InvoiceEvent.model_validate_json(body) for body in invoice_events(ground))
        assert (paid.type, paid.sequence, paid.amount_due_minor) == ("invoice.paid", 1, 0)
        amount = lost.order.amount_minor
        assert (reopened.type, reopened.sequence, reopened.amount_due_minor) == ("invoice.reopened", 2, amount)
        assert (paid.amount_minor, reopened.amount_minor) == (amount, amount)
        assert paid.payment_id == reopened.payment_id == lost.payment_id
        assert paid.event_id != reopened.event_id

    on_ground(name, database_url, story)


def invoice_events(ground: Ground) -> list[str]:
    rows = ground.connection.execute("SELECT body FROM outbox WHERE routing_key LIKE 'invoice.%' ORDER BY id")
    return [row["body"] for row in rows.fetchall()]


def age(ground: Ground, *, hours: int) -> None:
    ground.connection.execute(
        "UPDATE attempt SET first_send_at = first_send_at - %(by)s, last_send_at = last_send_at - %(by)s"
        " WHERE kind = 'refund'",
        {"by": timedelta(hours=hours)},
    )


@both
def test_what_is_past_its_send_budget_is_not_sent_and_tried_again(name: Any, database_url: str) -> None:
    async def story(ground: Ground) -> None:
        lost = await refunding(ground)
        stopped = iter([0.0, 1000.0])
        await run_refund(lost, monotonic=lambda: next(stopped))
        assert (lost.state, refunded(ground)) == ("refunding", [])
        await run_refund(lost)
        assert lost.state == "refunded"
        assert [attempt["outcome"] for attempt in refund_attempts(ground)] == ["refused", "confirmed"]

    on_ground(name, database_url, story)


@both
def test_trace_18_a_lost_command_is_given_again_and_an_open_refund_is_looked_up_instead(
    name: Any, database_url: str
) -> None:
    async def story(ground: Ground) -> None:
        lost = await refunding(ground)
        ground.connection.execute("DELETE FROM outbox")
        await look_at_refunds(ground)
        assert hints(ground) == [lost.payment_id]
        ground.connection.execute("DELETE FROM outbox")
        script(ground, "reset_after_execute", "refund")
        await run_refund(lost)
        await look_at_refunds(ground)
        assert (lost.state, hints(ground)) == ("refunded", [])

    on_ground(name, database_url, story)


def hints(ground: Ground) -> list[Any]:
    rows = ground.connection.execute("SELECT payment_id FROM outbox WHERE lane = 'refund'").fetchall()
    return [row["payment_id"] for row in rows]
