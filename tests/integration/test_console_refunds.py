"""Refunds and retries from the report, by the hand of billing staff."""

from uuid import UUID

import psycopg
import pytest

from tests import builders
from tests.console_client import EVERYTHING, Console, draft_with, field_of, submit, with_console
from tests.submit_service import seed


@pytest.fixture
def url(database_url: str) -> str:
    seed(database_url, clients=30)
    return database_url


async def settled_batch(console: Console, url: str, invoices: list[str]) -> list[UUID]:
    """BP-1001 over these invoices, all settled."""
    pat = await console.person()
    await submit(pat, await draft_with(pat, invoices))
    payments = [row[0] for row in await console.sql("SELECT id FROM payment ORDER BY id")]
    with psycopg.connect(url, autocommit=True) as connection:
        for payment in payments:
            builders.paid(connection, payment)
    return payments


def test_one_payment_is_refunded_from_the_report(url: str) -> None:
    async def story(console: Console) -> None:
        first, second = await settled_batch(console, url, ["INV-1", "INV-2"])
        pat = await console.person()
        report = (await pat.get("/console/batches/BP-1001")).body
        assert f"/console/payments/{first}/refund" in report
        dialog = (await pat.get(f"/console/payments/{first}/refund")).body
        for said in ("Refund $1.00 to", "goes back to the same card", "INV-1 opens again", "does not return its fee"):
            assert said in dialog
        reply = await pat.post(f"/console/payments/{first}/refund")
        assert reply.headers["Location"] == f"/console/payments/{first}"
        timeline = (await pat.follow(reply)).body
        assert "Refund asked for" in timeline
        assert f"/console/payments/{first}/refund" not in timeline
        states = await console.sql("SELECT id, state FROM payment ORDER BY id")
        assert states == [(first, "refunding"), (second, "settled")]
        assert await console.sql("SELECT actor FROM audit_entry WHERE action = 'payment.refund_requested'") == [
            ("pat",)
        ]

    with_console(url, story)


def test_pressing_refund_twice_asks_once(url: str) -> None:
    async def story(console: Console) -> None:
        (payment,) = await settled_batch(console, url, ["INV-1"])
        pat = await console.person()
        for _ in range(2):
            assert (await pat.post(f"/console/payments/{payment}/refund")).status == 303
        assert await console.sql("SELECT count(*) FROM payment_event WHERE event = 'request_refund'") == [(1,)]

    with_console(url, story)


def test_a_batch_is_refunded_with_the_numbers_that_were_shown(url: str) -> None:
    async def story(console: Console) -> None:
        await settled_batch(console, url, ["INV-1", "INV-2"])
        pat = await console.person()
        dialog = (await pat.get("/console/batches/BP-1001/refund")).body
        assert "Refund 2 payments, $3.00" in dialog
        fewer = await pat.post("/console/batches/BP-1001/refund", count=1, total_minor=100)
        assert fewer.status == 409
        assert "Nothing was refunded yet" in fewer.body
        assert await console.sql("SELECT DISTINCT state FROM payment") == [("settled",)]
        shown = {name: field_of(dialog, name) for name in ("count", "total_minor")}
        assert (await pat.post("/console/batches/BP-1001/refund", **shown)).status == 303
        assert await console.sql("SELECT DISTINCT state FROM payment") == [("refunding",)]

    with_console(url, story)


def test_what_cannot_be_refunded_says_why(url: str) -> None:
    async def story(console: Console) -> None:
        pat = await console.person()
        await submit(pat, await draft_with(pat, ["INV-1"]))
        ((payment,),) = await console.sql("SELECT id FROM payment")
        assert "not settled yet" in (await pat.get(f"/console/payments/{payment}/refund")).body
        reply = await pat.post(f"/console/payments/{payment}/refund")
        assert reply.status == 409
        assert "Void it instead" in reply.body
        assert "No payment of it is settled" in (await pat.get("/console/batches/BP-1001/refund")).body

    with_console(url, story)


def test_without_the_permission_there_is_no_button_and_no_way(url: str) -> None:
    async def story(console: Console) -> None:
        (payment,) = await settled_batch(console, url, ["INV-1"])
        kim = await console.person(subject="kim", permissions=("billing", "billing:void"))
        assert "/refund" not in (await kim.get("/console/batches/BP-1001")).body
        for path in (f"/console/payments/{payment}/refund", "/console/batches/BP-1001/refund"):
            assert (await kim.get(path)).status == 403
            assert (await kim.post(path, count=1, total_minor=100)).status == 403
        assert await console.sql("SELECT state FROM payment") == [("settled",)]

    with_console(url, story)


def test_another_practice_finds_nothing_to_refund_or_retry(url: str) -> None:
    async def story(console: Console) -> None:
        (payment,) = await settled_batch(console, url, ["INV-1"])
        stranger = await console.person("elm", permissions=EVERYTHING)
        paths = (f"payments/{payment}/refund", "batches/BP-1001/refund", "batches/BP-1001/retry")
        for path in paths:
            assert (await stranger.post(f"/console/{path}", count=1, total_minor=100)).status == 404
        assert await console.sql("SELECT state FROM payment") == [("settled",)]

    with_console(url, story)


@pytest.mark.unsound("its declines are written by hand")
def test_a_retry_opens_at_its_last_step_with_the_soft_declines_only(url: str) -> None:
    async def story(console: Console) -> None:
        pat = await console.person()
        await submit(pat, await draft_with(pat, ["INV-1", "INV-2", "INV-3"]))
        await console.sql("UPDATE payment SET state = 'sending', claim_token = uuid7(), lease_until = now()")
        await console.sql(
            "UPDATE payment SET state = 'declined', claim_token = NULL, lease_until = NULL, finished_at = now(),"
            " reason_category = CASE WHEN amount_minor = 300 THEN 'hard' ELSE 'soft' END, reason_code = 'declined'"
        )
        assert "Retry 2 from" in (await pat.get("/console/batches/BP-1001")).body
        refused = await pat.post("/console/batches/BP-1001/retry")
        assert refused.headers["Location"] == "/console/batches/BP-1001"
        await console.sql("UPDATE practice SET retry_pause = '0'")
        assert "Retry 2 payments" in (await pat.get("/console/batches/BP-1001")).body
        reply = await pat.post("/console/batches/BP-1001/retry")
        draft = reply.headers["Location"].removesuffix("/confirm")
        assert "$3.00" in (await pat.follow(reply)).body
        assert "BP-1002" in (await submit(pat, draft)).headers["Location"]
        ((first, again),) = await console.sql(
            "SELECT (SELECT id FROM batch WHERE number = 1001), retry_of FROM batch WHERE number = 1002"
        )
        assert first == again

    with_console(url, story)


@pytest.mark.unsound("its decline is written by hand")
def test_a_retry_above_the_ceiling_keeps_what_it_tries_again(url: str) -> None:
    async def story(console: Console) -> None:
        pat = await console.person()
        await submit(pat, await draft_with(pat, ["INV-2"]))
        await console.sql("UPDATE payment SET state = 'sending', claim_token = uuid7(), lease_until = now()")
        await console.sql(
            "UPDATE payment SET state = 'declined', claim_token = NULL, lease_until = NULL, finished_at = now(),"
            " reason_category = 'soft', reason_code = 'declined'"
        )
        await console.sql("UPDATE practice SET approval_ceiling_minor = 100, retry_pause = '0'")
        pat = await console.person()
        reply = await pat.post("/console/batches/BP-1001/retry")
        waits = await submit(pat, reply.headers["Location"].removesuffix("/confirm"))
        assert waits.headers["Location"] == "/console/approvals/BP-1002"
        kim = await console.person(subject="kim")
        await kim.get("/console/approvals/BP-1002")
        approved = await kim.post("/console/approvals/BP-1002/approve", count=1, total_minor=200)
        assert approved.status == 303, approved.body
        assert await console.sql("SELECT count(*) FROM batch WHERE retry_of IS NOT NULL") == [(1,)]

    with_console(url, story)
