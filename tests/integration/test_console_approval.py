import asyncio
import re

import pytest

from tests.console_client import Console, Visitor, draft_with, field_of, submit, with_console
from tests.submit_service import bearer, seed

CHECKER = ("billing", "billing:approve")


@pytest.fixture
def url(database_url: str) -> str:
    seed(database_url)
    return database_url


async def above_the_ceiling(console: Console) -> Visitor:
    """Pat asks for 5 dollars where 4 is the ceiling."""
    await console.sql("UPDATE practice SET approval_ceiling_minor = 400 WHERE external_id = 'oak'")
    pat = await console.person(name="Pat Doe")
    draft = await draft_with(pat, ["INV-2", "INV-3"])
    page = (await pat.get(f"{draft}/confirm")).body
    assert "Send for approval" in page
    assert "It is above $4.00." in page
    reply = await submit(pat, draft)
    assert reply.headers["Location"] == "/console/approvals/BP-1001"
    return pat


async def approve(checker: Visitor) -> tuple[int, str]:
    page = (await checker.get("/console/approvals/BP-1001")).body
    found = re.search(r'name="count" value="(\d+)"><input type="hidden" name="total_minor" value="(\d+)"', page)
    assert found
    reply = await checker.post("/console/approvals/BP-1001/approve", count=found[1], total_minor=found[2])
    return reply.status, reply.headers.get("Location", reply.body)


async def published(console: Console) -> tuple[int, int, int]:
    [row] = await console.sql(
        "SELECT (SELECT count(*) FROM batch), (SELECT count(*) FROM payment), (SELECT count(*) FROM batch_hint)"
    )
    return tuple(row)


def test_above_the_ceiling_nothing_exists_until_another_person_approves(url: str) -> None:
    async def story(console: Console) -> None:
        pat = await above_the_ceiling(console)
        assert await published(console) == (0, 0, 0)
        assert "BP-1001 waits for approval" in (await pat.get("/console/batches")).body
        lee = await console.person(subject="lee", permissions=CHECKER)
        assert 'Approvals<span class="count">1' in (await lee.get("/console/batches")).body
        assert "BP-1001" in (await lee.get("/console/approvals")).body
        page = (await lee.get("/console/approvals/BP-1001")).body
        assert page.index("INV-3") < page.index("INV-2")
        assert await approve(lee) == (303, "/console/batches?new=BP-1001#BP-1001")
        assert await published(console) == (1, 2, 1)
        assert await console.sql("SELECT number, submitted_by, approved_by, total_minor FROM batch") == [
            (1001, "pat", "lee", 500)
        ]
        report = (await pat.get("/console/batches/BP-1001")).body
        assert "by Pat Doe, approved by Lee" in report
        actions = await console.sql("SELECT actor, action FROM audit_entry WHERE action ~ '^(approval|batch)\\.[rsa]'")
        assert ("pat", "approval.requested") in actions
        assert ("lee", "approval.approved") in actions
        assert ("pat", "batch.submitted") in actions

    with_console(url, story)


def test_who_prepared_it_cannot_approve_it(url: str) -> None:
    async def story(console: Console) -> None:
        pat = await above_the_ceiling(console)
        page = (await pat.get("/console/approvals/BP-1001")).body
        assert "You prepared this batch. Someone else must approve it." in page
        assert "Approve and charge" not in page
        reply = await pat.post("/console/approvals/BP-1001/approve", count=2, total_minor=500)
        assert reply.status == 409
        assert await published(console) == (0, 0, 0)

    with_console(url, story)


def test_pressing_approve_twice_charges_once(url: str) -> None:
    async def story(console: Console) -> None:
        await above_the_ceiling(console)
        lee = await console.person(subject="lee", permissions=CHECKER)
        replies = await asyncio.gather(*(approve(lee) for _ in range(3)))
        assert {status for status, _ in replies} == {303}
        assert await published(console) == (1, 2, 1)

    with_console(url, story)


def test_a_second_press_of_send_for_approval_lands_on_the_same_one(url: str) -> None:
    async def story(console: Console) -> None:
        await console.sql("UPDATE practice SET approval_ceiling_minor = 100")
        pat = await console.person()
        draft = await draft_with(pat, ["INV-2"])
        replies = await asyncio.gather(*(pat.post(f"{draft}/submit", count=1, total_minor=200) for _ in range(3)))
        assert {reply.headers["Location"] for reply in replies} == {"/console/approvals/BP-1001"}
        assert await console.sql("SELECT count(*) FROM approval") == [(1,)]

    with_console(url, story)


def test_what_changed_since_ends_the_approval_and_charges_nothing(url: str) -> None:
    async def story(console: Console) -> None:
        await above_the_ceiling(console)
        await console.sql("UPDATE invoice SET pushed_due_minor = 250 WHERE external_id = 'oak-i2'")
        lee = await console.person(subject="lee", permissions=CHECKER)
        status, page = await approve(lee)
        assert status == 409
        assert "the amount due changed from $2.00 to $2.50" in page
        assert await published(console) == (0, 0, 0)
        assert await console.sql("SELECT decision, decided_by FROM approval") == [("changed", "lee")]
        assert (await lee.post("/console/approvals/BP-1001/approve", count=2, total_minor=500)).status == 409

    with_console(url, story)


def test_sent_back_says_why_and_cannot_be_approved_any_more(url: str) -> None:
    async def story(console: Console) -> None:
        pat = await above_the_ceiling(console)
        lee = await console.person(subject="lee", permissions=CHECKER)
        assert (await lee.post("/console/approvals/BP-1001/send-back", reason=" ")).status == 422
        reply = await lee.post("/console/approvals/BP-1001/send-back", reason="Wrong month <b>")
        assert reply.status == 303
        page = (await pat.get("/console/approvals/BP-1001")).body
        assert "Wrong month &lt;b&gt;" in page
        assert "is sent back" in page
        assert (await lee.post("/console/approvals/BP-1001/approve", count=2, total_minor=500)).status == 409
        assert await published(console) == (0, 0, 0)

    with_console(url, story)


def test_an_approval_expires_with_the_practices_day(url: str) -> None:
    async def story(console: Console) -> None:
        await above_the_ceiling(console)
        midnight = await console.sql(
            "SELECT to_char(expires_at AT TIME ZONE 'America/New_York', 'HH24:MI:SS'), expires_at > now() FROM approval"
        )
        assert midnight == [("00:00:00", True)]
        await console.sql("UPDATE approval SET expires_at = now() - interval '1 second'")
        lee = await console.person(subject="lee", permissions=CHECKER)
        assert (await lee.post("/console/approvals/BP-1001/approve", count=2, total_minor=500)).status == 409
        assert "Nothing to approve" in (await lee.get("/console/approvals")).body
        assert await published(console) == (0, 0, 0)

    with_console(url, story)


def test_a_clinician_with_own_clients_only_cannot_approve(url: str) -> None:
    async def story(console: Console) -> None:
        await above_the_ceiling(console)
        clinician = await console.person(subject="dr1", permissions=(*CHECKER, "own_clients"), clinician="oak-dr1")
        assert (await clinician.get("/console/approvals")).status == 403
        assert (await clinician.post("/console/approvals/BP-1001/approve", count=2, total_minor=500)).status == 403
        assert await published(console) == (0, 0, 0)

    with_console(url, story)


def test_at_the_ceiling_nobody_is_asked(url: str) -> None:
    async def story(console: Console) -> None:
        await console.sql("UPDATE practice SET approval_ceiling_minor = 500")
        pat = await console.person()
        reply = await submit(pat, await draft_with(pat, ["INV-2", "INV-3"]))
        assert reply.headers["Location"] == "/console/batches?new=BP-1001#BP-1001"

    with_console(url, story)


def test_the_interface_has_the_same_second_person(url: str) -> None:
    async def story(console: Console) -> None:
        await console.sql("UPDATE practice SET approval_ceiling_minor = 400")
        api = console.caller
        first = await api.submit(["oak-i2", "oak-i3"], 500)
        again = await api.submit(["oak-i2", "oak-i3"], 500)
        assert (first.status, first.body) == (again.status, again.body)
        assert first.status == 202
        assert (first.body["number"], first.body["status"]) == ("BP-1001", "waiting_for_approval")
        assert (await api.submit(["oak-i5"], 500)).body["code"] == "idempotency_key_reused"
        control = {"control": {"count": 2, "total_minor": 500}}
        assert (await api.post("/v1/approvals/BP-1001/approve", control)).status == 403
        maker = api.as_(bearer(permissions=CHECKER))
        assert (await maker.post("/v1/approvals/BP-1001/approve", control)).body["code"] == "own_batch"
        lee = await console.person(subject="lee", permissions=CHECKER)
        page = (await lee.get("/console/approvals/BP-1001")).body
        assert field_of(page, "total_minor") == "500"
        assert (await approve(lee))[0] == 303
        replayed = await api.submit(["oak-i2", "oak-i3"], 500)
        assert (replayed.status, replayed.body["id"]) == (200, first.body["id"])

    with_console(url, story)


def test_the_interface_lists_and_sends_back(url: str) -> None:
    async def story(console: Console) -> None:
        await above_the_ceiling(console)
        token = bearer(permissions=CHECKER)
        await console.sql("UPDATE approval SET requested_by = 'somebody else'")
        checker = console.caller.as_(token)
        listed = await checker.get("/v1/approvals")
        assert [one["number"] for one in listed.body["items"]] == ["BP-1001"]
        stranger = console.caller.as_(bearer("elm", permissions=CHECKER))
        assert (await stranger.get("/v1/approvals")).body == {"items": []}
        assert (await stranger.post("/v1/approvals/BP-1001/send-back", {"reason": "x"})).status == 404
        reply = await checker.post("/v1/approvals/BP-1001/send-back", {"reason": "too much"})
        assert (reply.status, reply.body["status"], reply.body["reason"]) == (200, "sent_back", "too much")
        late = await checker.post("/v1/approvals/BP-1001/approve", {"control": {"count": 2, "total_minor": 500}})
        assert (late.status, late.body["code"]) == (409, "approval_closed")

    with_console(url, story)


def test_no_program_submits_above_the_ceiling_by_another_way(url: str) -> None:
    """The statement itself refuses: a caller that forgets to ask charges nothing."""

    async def story(console: Console) -> None:
        await console.sql("UPDATE practice SET approval_ceiling_minor = 400")
        for body in ({"invoices": ["oak-i5"]}, {"matching": {"invoice": "INV-5"}}):
            reply = await console.caller.post(
                "/v1/batches", body | {"control": {"count": 1, "total_minor": 500}}, key=str(body)[:20].replace(" ", "")
            )
            assert reply.status == 202
        assert await published(console) == (0, 0, 0)

    with_console(url, story)
