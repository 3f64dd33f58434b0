"""Voids by the hand of billing staff: what the dialog said is what is done, or the answer says the difference."""

from uuid import UUID

import psycopg
import pytest

from tests import builders
from tests.console_client import Console, draft_with, field_of, submit, with_console
from tests.submit_service import seed

SHOWN = ("count", "total_minor")


@pytest.fixture
def url(database_url: str) -> str:
    seed(database_url)
    return database_url


async def batch_of_three(console: Console, *, approved: int = 0, settled: int = 0) -> list[UUID]:
    """BP-1001 over 1, 2 and 3 dollars: first the approved payments, then the settled ones, then those that wait."""
    pat = await console.person()
    await submit(pat, await draft_with(pat, ["INV-1", "INV-2", "INV-3"]))
    payments = [row[0] for row in await console.sql("SELECT id FROM payment ORDER BY amount_minor")]
    with psycopg.connect(console.caller.database_url) as connection:
        for payment in payments[:approved]:
            builders.paid(connection, payment, "approved")
        for payment in payments[approved : approved + settled]:
            builders.paid(connection, payment)
    return payments


async def states(console: Console) -> list[str]:
    return [row[0] for row in await console.sql("SELECT state FROM payment ORDER BY amount_minor")]


def test_the_dialog_says_what_is_done_and_the_report_what_became_of_it(url: str) -> None:
    async def story(console: Console) -> None:
        first, *_ = await batch_of_three(console, approved=1, settled=1)
        pat = await console.person()
        dialog = (await pat.get("/console/batches/BP-1001/void")).body
        for said in (
            "1 approved payment is voided", "1 waiting payment is taken out before charging", "1 settled payment stays",
            "Refund them one by one in the report.", "Void 2 payments, $4.00", "Settlement is t",
        ):  # fmt: skip
            assert said in dialog
        shown = {name: field_of(dialog, name) for name in SHOWN}
        assert (await pat.post("/console/batches/BP-1001/void", **shown)).status == 303
        assert await states(console) == ["voiding", "settled", "canceled"]
        report = (await pat.get("/console/batches/BP-1001")).body
        assert "Void asked for 2 payments today at" in report
        assert "Vantage confirmed 0; 1 was taken out before charging; 1 is on the way." in report
        await console.sql(
            "UPDATE payment SET state = 'settled', reason_code = 'too_late_to_void', next_check_at = NULL"
            " WHERE id = %s",
            first,
        )
        late = (await pat.get("/console/batches/BP-1001")).body
        assert "1 was taken out before charging; 1 was too late and can be refunded." in late

    with_console(url, story)


@pytest.mark.parametrize("shown", [{"count": 1, "total_minor": 300}, {"count": 2, "total_minor": 299}])
def test_more_than_what_was_shown_is_not_voided(url: str, shown: dict[str, int]) -> None:
    async def story(console: Console) -> None:
        await batch_of_three(console, settled=1, approved=1)
        pat = await console.person()
        reply = await pat.post("/console/batches/BP-1001/void", **shown)
        assert reply.status == 409
        assert "Nothing was voided yet" in reply.body
        assert "Void 2 payments, $4.00" in reply.body
        assert await states(console) == ["approved", "settled", "queued"]
        assert await console.sql("SELECT void_requested_at FROM batch") == [(None,)]
        assert await console.sql("SELECT * FROM audit_entry WHERE action = 'batch.void_requested'") == []

    with_console(url, story)


@pytest.mark.unsound("a declined payment is turned into a late success by hand")
def test_late_money_that_the_dialog_did_not_count_is_compared_when_the_batch_is_marked(url: str) -> None:
    """A declined charge turns out to have gone through while the dialog is open: it is not voided unseen."""

    async def story(console: Console) -> None:
        first, *_ = await batch_of_three(console)
        await console.sql(
            "UPDATE payment SET state = 'sending', claim_token = uuid7(), lease_until = now() WHERE id = %s", first
        )
        await console.sql(
            "UPDATE payment SET state = 'declined', claim_token = NULL, lease_until = NULL, finished_at = now()"
            " WHERE id = %s",
            first,
        )
        pat = await console.person()
        dialog = (await pat.get("/console/batches/BP-1001/void")).body
        assert "1 declined or skipped payment stays as it is" in dialog
        shown = {name: field_of(dialog, name) for name in SHOWN}
        await console.sql("UPDATE payment SET state = 'approved', next_check_at = now() WHERE id = %s", first)
        reply = await pat.post("/console/batches/BP-1001/void", **shown)
        assert reply.status == 409
        assert "1 approved payment is voided" in reply.body
        assert await states(console) == ["approved", "queued", "queued"]

    with_console(url, story)


def test_a_payment_that_is_settled_meanwhile_says_so_and_what_to_do_instead(url: str) -> None:
    async def story(console: Console) -> None:
        first, *_ = await batch_of_three(console, approved=1)
        pat = await console.person()
        assert "The charge is voided" in (await pat.get(f"/console/payments/{first}/void")).body
        await console.sql("UPDATE payment SET state = 'settled', next_check_at = NULL WHERE id = %s", first)
        reply = await pat.post(f"/console/payments/{first}/void")
        assert reply.status == 409
        assert "Too late: the charge is settled. Refund it instead. Nothing was changed." in reply.body
        assert (await states(console))[0] == "settled"

    with_console(url, story)


def test_pressing_void_twice_asks_once(url: str) -> None:
    async def story(console: Console) -> None:
        first, *_ = await batch_of_three(console, approved=1)
        pat = await console.person()
        for _ in range(2):
            reply = await pat.post(f"/console/payments/{first}/void")
            assert reply.headers["Location"] == f"/console/payments/{first}"
        assert await console.sql("SELECT count(*) FROM payment_event WHERE event = 'request_void'") == [(1,)]

    with_console(url, story)
