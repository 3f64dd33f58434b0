"""Refunds with a reason, and above the practice's limit with a second person; over HTTP and in the console."""

import asyncio
import csv
import io
from typing import Any
from uuid import UUID

import psycopg
import pytest

from tests import builders
from tests.console_client import Console, Visitor, draft_with, field_of, submit, with_console
from tests.submit_service import Caller, bearer, seed, with_service
from tests.waiting import eventually

REASON = "Session was cancelled in time"
CHECKER = ("billing", "billing:approve")


@pytest.fixture
def url(database_url: str) -> str:
    seed(database_url)
    return database_url


async def settled(console: Console, *, limit_minor: int | None) -> list[UUID]:
    """BP-1001 over 1, 2 and 3 dollars, all settled."""
    pat = await console.person()
    await submit(pat, await draft_with(pat, ["INV-1", "INV-2", "INV-3"]))
    payments = [row[0] for row in await console.sql("SELECT id FROM payment ORDER BY amount_minor")]
    with psycopg.connect(console.caller.database_url) as connection:
        for payment in payments:
            builders.paid(connection, payment)
    await console.sql("UPDATE practice SET refund_limit_minor = %s", limit_minor)
    return payments


async def states(console: Console) -> list[str]:
    return [row[0] for row in await console.sql("SELECT state FROM payment ORDER BY amount_minor")]


async def hints(console: Console) -> int:
    [(count,)] = await console.sql("SELECT count(*) FROM outbox WHERE lane = 'refund'")
    return int(count)


def waits_for_a_lock(console: Console) -> bool:
    with psycopg.connect(console.caller.database_url) as connection:
        return bool(
            connection.execute(
                "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
            ).fetchall()
        )


async def approve(checker: Visitor, page: str) -> Any:
    body = (await checker.get(page)).body
    shown = {name: field_of(body, name) for name in ("count", "total_minor")}
    return await checker.post(f"{page}/approve", **shown)


def test_the_reason_is_kept_in_event_audit_log_report_and_timeline(url: str) -> None:
    async def story(console: Console) -> None:
        _, second, _ = await settled(console, limit_minor=200)
        pat = await console.person(name="Pat Doe")
        dialog = (await pat.get(f"/console/payments/{second}/refund")).body
        for said in ("for your records; the client does not see it", 'maxlength="200"', "No part refund"):
            assert said in dialog
        assert "Send for approval" not in dialog
        reply = await pat.post(f"/console/payments/{second}/refund", reason=f" {REASON} ")
        assert reply.headers["Location"] == f"/console/payments/{second}"
        assert await states(console) == ["settled", "refunding", "settled"]
        timeline = (await pat.get(f"/console/payments/{second}")).body
        assert f"By Pat Doe. Reason: “{REASON}”" in timeline
        report = (await pat.get("/console/batches/BP-1001")).body
        assert f"by Pat Doe: “{REASON}”" in report
        rows = csv.DictReader(io.StringIO((await pat.get("/console/batches/BP-1001.csv")).body.lstrip("\ufeff")))
        assert {row["Invoice"]: row["Refund reason"] for row in rows} == {"INV-1": "", "INV-2": REASON, "INV-3": ""}
        details = await console.sql("SELECT detail FROM audit_entry WHERE action = 'payment.refund_requested'")
        assert details == [({"result": "refunding", "reason": REASON},)]
        sent = await console.sql("SELECT count(*) FROM outbox WHERE body LIKE %s", f"%{REASON}%")
        assert sent == [(0,)], "nobody outside learns it"

    with_console(url, story)


def test_a_reason_that_is_too_long_is_refused_and_nothing_is_refunded(url: str) -> None:
    async def story(console: Console) -> None:
        first, *_ = await settled(console, limit_minor=None)
        pat = await console.person()
        assert (await pat.post(f"/console/payments/{first}/refund", reason="x" * 201)).status == 422
        answer = await console.caller.post(f"/v1/payments/{first}/refund", {"reason": "x" * 201})
        assert answer.status == 422
        assert await states(console) == ["settled"] * 3

    with_console(url, story)


def test_above_the_limit_nothing_is_sent_until_another_person_approves(url: str) -> None:
    async def story(console: Console) -> None:
        *_, third = await settled(console, limit_minor=200)
        pat, lee = await console.person(name="Pat Doe"), await console.person(subject="lee", permissions=CHECKER)
        dialog = (await pat.get(f"/console/payments/{third}/refund")).body
        assert "refund limit of $2.00." in dialog
        assert "Send for approval" in dialog
        replies = [await pat.post(f"/console/payments/{third}/refund", reason=REASON) for _ in range(2)]
        page = replies[0].headers["Location"]
        assert [reply.headers["Location"] for reply in replies] == [page, page], "pressed twice, asked once"
        assert (await states(console), await hints(console)) == (["settled"] * 3, 0)
        own = (await pat.get(page)).body
        assert "You asked for this refund. Someone else must approve it." in own
        assert "Approve and refund" not in own
        assert (await pat.post(f"{page}/approve", count=1, total_minor=300)).status == 409
        for place in (f"/console/payments/{third}", "/console/batches/BP-1001"):
            assert "A refund of $3.00 waits for approval" in (await pat.get(place)).body
        assert 'Approvals<span class="count">1' in (await lee.get("/console/batches")).body
        assert page in (await lee.get("/console/approvals")).body
        for wrong in ({"count": 2, "total_minor": 300}, {"count": 1, "total_minor": 301}):
            assert (await lee.post(f"{page}/approve", **wrong)).status == 409
        assert (await states(console), await hints(console)) == (["settled"] * 3, 0)
        for _ in range(2):
            assert (await approve(lee, page)).headers["Location"] == page
        assert (await states(console), await hints(console)) == (["settled", "settled", "refunding"], 1)
        timeline = (await pat.get(f"/console/payments/{third}")).body
        assert f"By Pat Doe, approved by Lee. Reason: “{REASON}”" in timeline
        entries = await console.sql(
            "SELECT actor, action FROM audit_entry WHERE action ~ 'refund' AND action !~ 'viewed' ORDER BY id"
        )
        assert entries == [("pat", "payment.refund_requested")] * 2 + [("lee", "refund_approval.approved")]

    with_console(url, story)


def test_what_one_batch_refunds_counts_together_however_it_is_asked_for(url: str) -> None:
    async def story(console: Console) -> None:
        first, second, third = await settled(console, limit_minor=300)
        pat, lee = await console.person(), await console.person(subject="lee")
        for payment in (first, second):
            reply = await pat.post(f"/console/payments/{payment}/refund")
            assert reply.headers["Location"] == f"/console/payments/{payment}"
        said = "Together with $3.00 that this batch refunded without approval, it is above your practice"
        for dialog in (f"/console/payments/{third}/refund", "/console/batches/BP-1001/refund"):
            body = (await pat.get(dialog)).body
            assert said in body
            assert "Send for approval" in body
        page = (await pat.post(f"/console/payments/{third}/refund")).headers["Location"]
        assert await states(console) == ["refunding", "refunding", "settled"]
        shown = (await lee.get(page)).body
        assert "Together with $3.00 that batch BP-1001 refunded without approval" in shown
        assert "<dt>Above it by</dt><dd>$3.00</dd>" in shown
        assert (await approve(lee, page)).status == 303
        assert await states(console) == ["refunding"] * 3

    with_console(url, story)


def test_a_refund_that_was_refused_or_approved_counts_no_more(url: str) -> None:
    async def story(console: Console) -> None:
        first, second, third = await settled(console, limit_minor=250)
        pat, lee = await console.person(), await console.person(subject="lee")
        page = (await pat.post(f"/console/payments/{third}/refund")).headers["Location"]
        assert (await approve(lee, page)).status == 303
        assert (await pat.post(f"/console/payments/{second}/refund")).headers["Location"].endswith(str(second))
        assert "Send for approval" in (await pat.get(f"/console/payments/{first}/refund")).body
        await console.sql("UPDATE payment SET state = 'settled', next_check_at = NULL WHERE id = %s", second)
        assert (await pat.post(f"/console/payments/{first}/refund")).headers["Location"].endswith(str(first))
        assert await states(console) == ["refunding", "settled", "refunding"]

    with_console(url, story)


def test_of_two_refunds_of_a_batch_at_once_the_second_counts_the_first(url: str) -> None:
    async def story(console: Console) -> None:
        _, second, third = await settled(console, limit_minor=300)
        pat = await console.person()
        with psycopg.connect(console.caller.database_url) as other:
            other.execute("SELECT FROM batch FOR NO KEY UPDATE")
            other.execute("UPDATE payment SET state = 'refunding', next_check_at = now() WHERE id = %s", [second])
            other.execute(
                "INSERT INTO payment_event (payment_id, event, from_state, to_state, actor)"
                " VALUES (%s, 'request_refund', 'settled', 'refunding', 'lee')",
                [second],
            )
            asking = asyncio.create_task(pat.post(f"/console/payments/{third}/refund"))
            await asyncio.to_thread(eventually, lambda: waits_for_a_lock(console), what="it waits for the first")
        assert "/approvals/refunds/" in (await asking).headers["Location"]
        assert await states(console) == ["settled", "refunding", "settled"]

    with_console(url, story)


def test_who_sees_own_clients_only_learns_no_amount_of_others(url: str) -> None:
    async def story(console: Console) -> None:
        first, second, third = await settled(console, limit_minor=300)
        doctor = await console.person(
            subject="dr1", permissions=("billing", "billing:refund", "own_clients"), clinician="oak-dr1"
        )
        pat = await console.person()
        for payment in (first, second):
            await pat.post(f"/console/payments/{payment}/refund")
        page = (await doctor.post(f"/console/payments/{third}/refund")).headers["Location"]
        shown = (await doctor.get(page)).body
        assert "refund limit of $3.00" in shown
        assert "Together with" not in shown
        assert "Above it by" not in shown

    with_console(url, story)


def test_a_whole_batch_above_the_limit_binds_its_payments(url: str) -> None:
    async def story(console: Console) -> None:
        payments = await settled(console, limit_minor=599)
        pat, lee = await console.person(), await console.person(subject="lee")
        dialog = (await pat.get("/console/batches/BP-1001/refund")).body
        assert "Send for approval" in dialog
        shown = {name: field_of(dialog, name) for name in ("count", "total_minor")}
        page = (await pat.post("/console/batches/BP-1001/refund", **shown)).headers["Location"]
        assert await states(console) == ["settled"] * 3
        seen = (await lee.get(page)).body
        assert seen.index("INV-3") < seen.index("INV-1")
        assert (await approve(lee, page)).status == 303
        assert await states(console) == ["refunding"] * 3
        assert await hints(console) == len(payments)

    with_console(url, story)


def test_a_payment_that_changed_ends_the_approval_and_nothing_is_refunded(url: str) -> None:
    async def story(console: Console) -> None:
        first, *_ = await settled(console, limit_minor=500)
        pat, lee = await console.person(), await console.person(subject="lee")
        page = (await pat.post("/console/batches/BP-1001/refund", count=3, total_minor=600)).headers["Location"]
        await pat.post(f"/console/payments/{first}/refund")
        reply = await approve(lee, page)
        assert reply.status == 409
        assert "The refund was not approved" in reply.body
        assert await states(console) == ["refunding", "settled", "settled"]
        assert await console.sql("SELECT decision, decided_by FROM refund_approval") == [("changed", "lee")]

    with_console(url, story)


def test_it_is_sent_back_with_a_reason_or_expires(url: str) -> None:
    async def story(console: Console) -> None:
        *_, third = await settled(console, limit_minor=200)
        pat, lee = await console.person(), await console.person(subject="lee")
        page = (await pat.post(f"/console/payments/{third}/refund")).headers["Location"]
        assert (await lee.post(f"{page}/send-back", reason=" ")).status == 422
        assert (await lee.post(f"{page}/send-back", reason="Ask the client first")).status == 303
        assert "“Ask the client first”" in (await pat.get(page)).body
        assert (await lee.post(f"{page}/approve", count=1, total_minor=300)).status == 409
        again = (await pat.post(f"/console/payments/{third}/refund")).headers["Location"]
        assert again != page
        await console.sql("UPDATE refund_approval SET expires_at = now() - interval '1 second' WHERE decision IS NULL")
        assert "has expired" in (await lee.get(again)).body
        assert (await lee.post(f"{again}/approve", count=1, total_minor=300)).status == 409
        assert await states(console) == ["settled"] * 3

    with_console(url, story)


def test_a_clinician_asks_for_own_clients_and_decides_nothing(url: str) -> None:
    async def story(console: Console) -> None:
        _, second, third = await settled(console, limit_minor=100)
        doctor = await console.person(
            subject="dr1", permissions=("billing", "billing:refund", "billing:approve", "own_clients"),
            clinician="oak-dr1",
        )  # fmt: skip
        pat = await console.person()
        own = (await doctor.post(f"/console/payments/{third}/refund")).headers["Location"]
        others = (await pat.post(f"/console/payments/{second}/refund")).headers["Location"]
        whole = (await pat.post("/console/batches/BP-1001/refund", count=3, total_minor=600)).headers["Location"]
        assert (await doctor.get(own)).status == 200
        for page in (others, whole):
            assert (await doctor.get(page)).status == 404
            assert (await doctor.post(f"{page}/approve", count=1, total_minor=200)).status == 403
        report = (await doctor.get("/console/batches/BP-1001")).body
        assert report.count("waits for approval") == 1
        assert await states(console) == ["settled"] * 3

    with_console(url, story)


# --- The JSON interface -----------------------------------------------------------------------------------------------


async def submitted(caller: Caller) -> list[str]:
    """A settled batch of 1, 2 and 3 dollars; its payments' ids."""
    await caller.submit(["oak-i1", "oak-i2", "oak-i3"], 600)
    rows = (await caller.get("/v1/batches/BP-1001/payments")).body["items"]
    with psycopg.connect(caller.database_url) as connection:
        for row in rows:
            builders.paid(connection, row["id"])
    return [row["id"] for row in sorted(rows, key=lambda row: row["amount_minor"])]


def second_person(caller: Caller) -> Caller:
    return caller.as_(bearer(permissions=CHECKER, subject="lee"))


def test_the_interface_asks_waits_and_approves(url: str) -> None:
    async def story(caller: Caller) -> None:
        first, _, third = await submitted(caller)
        await caller.sql("UPDATE practice SET refund_limit_minor = 200")
        below = await caller.post(f"/v1/payments/{first}/refund", {"reason": REASON})
        assert (below.status, below.body["result"], below.body["approval"]) == (202, "refunding", None)
        assert (await caller.get(f"/v1/payments/{first}")).body["payment"]["refund_reason"] == REASON
        above = await caller.post(f"/v1/payments/{third}/refund", {"reason": REASON})
        assert (above.status, above.body["result"]) == (202, "needs_approval")
        path = f"/v1/refund-approvals/{above.body['approval']}"
        lee = second_person(caller)
        [item] = (await lee.get("/v1/refund-approvals")).body["items"]
        assert (item["payment"], item["status"], item["total_minor"], item["limit_minor"], item["refund_reason"]) == (
            third, "waiting_for_approval", 300, 200, REASON,
        )  # fmt: skip
        own = caller.as_(bearer(permissions=CHECKER))
        control = {"control": {"count": 1, "total_minor": 300}}
        assert (await own.post(f"{path}/approve", control)).body["code"] == "own_refund"
        assert (await caller.post(f"{path}/approve", control)).body["code"] == "permission_missing"
        wrong = {"control": {"count": 1, "total_minor": 299}}
        assert (await lee.post(f"{path}/approve", wrong)).body["code"] == "refund_approval_closed"
        done = await lee.post(f"{path}/approve", control)
        assert (done.status, done.body["status"], done.body["decided_by"]) == (200, "approved", "lee")
        assert (await caller.get(f"/v1/payments/{third}")).body["payment"]["state"] == "refunding"

    with_service(url, story)


def test_the_interface_refunds_a_batch_with_its_limit(url: str) -> None:
    async def story(caller: Caller) -> None:
        first, *_ = await submitted(caller)
        await caller.sql("UPDATE practice SET refund_limit_minor = 599")
        asked = await caller.post("/v1/batches/BP-1001/refund")
        assert asked.body["results"] == {"needs_approval": 3}
        path = f"/v1/refund-approvals/{asked.body['approval']}"
        assert (await second_person(caller).post(f"{path}/send-back", {"reason": "no"})).body["reason"] == "no"
        again = (await caller.post("/v1/batches/BP-1001/refund")).body["approval"]
        await caller.post(f"/v1/payments/{first}/refund")
        control = {"control": {"count": 3, "total_minor": 600}}
        changed = await second_person(caller).post(f"/v1/refund-approvals/{again}/approve", control)
        assert (changed.status, changed.body["code"]) == (409, "refund_changed")
        rest = await caller.post("/v1/batches/BP-1001/refund", {"reason": REASON})
        assert rest.body["results"] == {"already_asked": 1, "needs_approval": 2}, "one alone and then the rest is all"
        [waits] = (await second_person(caller).get("/v1/refund-approvals")).body["items"]
        assert (waits["total_minor"], waits["before_minor"], waits["limit_minor"]) == (500, 100, 599)
        await caller.sql("UPDATE practice SET refund_limit_minor = 600")
        rest = await caller.post("/v1/batches/BP-1001/refund", {"reason": REASON})
        assert rest.body["results"] == {"already_asked": 1, "refunding": 2}

    with_service(url, story)
