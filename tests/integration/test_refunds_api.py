"""Asking for refunds and retries over HTTP: who may, what it does to each payment, and what is refused."""

from typing import Any

import psycopg
import pytest

from tests import builders
from tests.submit_service import Caller, bearer, seed, with_service

FIVE = [f"oak-i{n}" for n in range(1, 6)]


@pytest.fixture
def url(database_url: str) -> str:
    seed(database_url)
    return database_url


async def submitted(caller: Caller) -> list[dict[str, Any]]:
    """A batch of five, whose first three are settled and whose fourth is approved; its payments."""
    await caller.submit(FIVE, 1500)
    rows = (await caller.get("/v1/batches/BP-1001/payments")).body["items"]
    with psycopg.connect(caller.database_url) as connection:
        for row in rows[:3]:
            builders.paid(connection, row["id"])
        builders.paid(connection, rows[3]["id"], "approved")
    return list((await caller.get("/v1/batches/BP-1001/payments")).body["items"])


async def dispute(caller: Caller, payment: dict[str, Any]) -> None:
    await caller.sql(
        "INSERT INTO dispute (processor, account, processor_ref, payment_id, attempt_id, amount_minor, standing)"
        " SELECT processor, account, 'dp_1', id, current_attempt, amount_minor, 'open' FROM payment WHERE id = %s",
        payment["id"],
    )


async def waiting_hints(caller: Caller) -> list[Any]:
    return [row[0] for row in await caller.sql("SELECT payment_id FROM outbox WHERE lane = 'refund' ORDER BY id")]


def test_a_settled_payment_is_asked_for_once_and_the_worker_is_hinted_once(url: str) -> None:
    async def story(caller: Caller) -> None:
        payment = (await submitted(caller))[0]
        assert (payment["can_refund"], payment["cannot_refund"]) == (True, None)
        asked = await caller.post(f"/v1/payments/{payment['id']}/refund")
        assert (asked.status, asked.body["result"]) == (202, "refunding")
        again = await caller.post(f"/v1/payments/{payment['id']}/refund")
        assert (again.status, again.body["result"]) == (202, "already_asked")
        assert [str(hinted) for hinted in await waiting_hints(caller)] == [payment["id"]]
        shown = (await caller.get(f"/v1/payments/{payment['id']}")).body
        assert shown["payment"]["state"] == "refunding"
        assert [(step["event"], step["actor"]) for step in shown["steps"]][-1] == ("request_refund", "pat")
        entries = await caller.sql(
            "SELECT actor, payment_id::text, detail ->> 'result' FROM audit_entry"
            " WHERE action = 'payment.refund_requested' ORDER BY id"
        )
        assert entries == [("pat", payment["id"], "refunding"), ("pat", payment["id"], "already_asked")]

    with_service(url, story)


def test_a_batch_is_asked_payment_by_payment(url: str) -> None:
    async def story(caller: Caller) -> None:
        payments = await submitted(caller)
        await dispute(caller, payments[1])
        asked = await caller.post("/v1/batches/BP-1001/refund")
        assert asked.status == 202
        assert asked.body["results"] == {"refunding": 2, "disputed": 1, "not_settled": 2}
        results = {one["payment"]: one["result"] for one in asked.body["payments"]}
        assert [results[payment["id"]] for payment in payments] == [
            "refunding", "disputed", "refunding", "not_settled", "not_settled",
        ]  # fmt: skip
        again = (await caller.post("/v1/batches/BP-1001/refund")).body["results"]
        assert again == {"already_asked": 2, "disputed": 1, "not_settled": 2}
        assert len(await waiting_hints(caller)) == 2
        [(entries,)] = await caller.sql("SELECT count(*) FROM audit_entry WHERE action = 'batch.refund_requested'")
        assert entries == 2

    with_service(url, story)


def test_what_cannot_be_refunded_is_refused_with_what_to_do_instead(url: str) -> None:
    async def story(caller: Caller) -> None:
        payments = await submitted(caller)
        await dispute(caller, payments[0])
        await caller.post(f"/v1/payments/{payments[4]['id']}/void")
        for place, code in ((0, "disputed"), (3, "not_settled"), (4, "nothing_to_refund")):
            refused = await caller.post(f"/v1/payments/{payments[place]['id']}/refund")
            assert (refused.status, refused.body["code"]) == (409, f"refund_{code}")
            (fault,) = refused.body["errors"]
            assert fault["code"] == code
            assert fault["fix"]
            shown = (await caller.get(f"/v1/payments/{payments[place]['id']}")).body["payment"]
            assert (shown["can_refund"], shown["cannot_refund"]["code"]) == (False, code)
        assert await waiting_hints(caller) == []

    with_service(url, story)


def test_a_refund_needs_its_own_permission_and_the_callers_own_clients(url: str) -> None:
    async def story(caller: Caller) -> None:
        payments = await submitted(caller)
        one = f"/v1/payments/{payments[0]['id']}/refund"
        seller = caller.as_(bearer(permissions=("billing", "billing:void")))
        for path in (one, "/v1/batches/BP-1001/refund"):
            assert (await seller.post(path)).body["code"] == "permission_missing"
        stranger = caller.as_(bearer("elm"))
        assert (await stranger.post(one)).status == (await stranger.post("/v1/batches/BP-1001/refund")).status == 404
        rights = ("billing", "billing:refund", "own_clients")
        other = caller.as_(bearer(permissions=rights, clinician="oak-dr2"))
        assert (await other.post(one)).status == 404
        owner = caller.as_(bearer(permissions=rights, clinician="oak-dr1"))
        whole = await owner.post("/v1/batches/BP-1001/refund")
        assert (whole.status, whole.body["code"]) == (403, "batch_refund_not_allowed")
        assert (await owner.post(one)).status == 202

    with_service(url, story)


# --- Retry ------------------------------------------------------------------------------------------------------------


async def ended(caller: Caller, payment: dict[str, Any], state: str, code: str, category: str | None) -> None:
    """Let a queued payment end so, as its worker would have yesterday."""
    if state == "skipped":
        await caller.sql(
            "UPDATE payment SET state = %s, reason_code = %s, finished_at = now() - interval '25 hours'"
            " WHERE id = %s",
            state, code, payment["id"],
        )  # fmt: skip
        return
    await caller.sql(
        "UPDATE payment SET state = 'sending', claim_token = gen_random_uuid(), lease_until = now() WHERE id = %s",
        payment["id"],
    )
    await caller.sql(
        "UPDATE payment SET state = %s, reason_code = %s, reason_category = %s, claim_token = NULL, lease_until = NULL,"
        " finished_at = now() - interval '25 hours' WHERE id = %s",
        state, code, category, payment["id"],
    )  # fmt: skip


async def failed(caller: Caller) -> list[dict[str, Any]]:
    """A batch of five that nobody paid: softly declined, refused for good, not executed, held back, skipped."""
    await caller.submit(FIVE, 1500)
    rows: list[dict[str, Any]] = (await caller.get("/v1/batches/BP-1001/payments")).body["items"]
    for row, end in zip(
        rows,
        [
            ("declined", "insufficient_funds", "soft"),
            ("declined", "refused_for_good", "hard"),
            ("failed", "not_executed", None),
            ("skipped", "card_on_hold", None),
            ("skipped", "invoice_closed", None),
        ],
        strict=True,
    ):
        await ended(caller, row, *end)
    return rows


def test_a_retry_is_a_new_batch_of_what_may_be_tried_again_and_of_nothing_else(url: str) -> None:
    async def story(caller: Caller) -> None:
        await failed(caller)
        old = (await caller.get("/v1/batches/BP-1001")).body
        control = (await caller.post("/v1/batches/preview", {"retry_of": old["id"]})).body["control"]
        assert control == {"count": 3, "total_minor": 800}
        retried = await caller.post("/v1/batches/BP-1001/retry", {"control": control}, key="again")
        assert (retried.status, retried.body["number"]) == (201, "BP-1002")
        new = (await caller.get("/v1/batches/BP-1002")).body
        assert (new["retry_of"], old["retry_of"]) == (old["id"], None)
        rows = (await caller.get("/v1/batches/BP-1002/payments")).body["items"]
        assert [row["invoice"] for row in rows] == ["oak-i1", "oak-i3", "oak-i4"]
        [(told,)] = await caller.sql(
            "SELECT detail ->> 'retry_of' FROM audit_entry WHERE action = 'batch.submitted' AND batch_id = %s",
            new["id"],
        )
        assert told == old["id"]

    with_service(url, story)


def test_a_retry_pressed_twice_is_one_batch_and_afterwards_there_is_nothing_to_retry(url: str) -> None:
    async def story(caller: Caller) -> None:
        await failed(caller)
        body = {"control": {"count": 3, "total_minor": 800}}
        first = await caller.post("/v1/batches/BP-1001/retry", body, key="again")
        second = await caller.post("/v1/batches/BP-1001/retry", body, key="again")
        assert (first.status, second.status, second.body) == (201, 200, first.body)
        another = await caller.post("/v1/batches/BP-1001/retry", body, key="once-more")
        assert (another.status, another.body["code"]) == (409, "control_totals_differ")
        assert another.body["errors"][0]["message"] == "You confirmed 3; it is 0 now."

    with_service(url, story)


def test_a_card_that_was_refused_for_good_since_then_is_not_tried_again(url: str) -> None:
    async def story(caller: Caller) -> None:
        payments = await failed(caller)
        body = {"control": {"count": 3, "total_minor": 800}}
        await caller.post("/v1/batches/BP-1001/retry", body, key="again")
        for row in (await caller.get("/v1/batches/BP-1002/payments")).body["items"]:
            hard = row["invoice"] == payments[0]["invoice"]
            await ended(caller, row, "declined", "account_closed" if hard else "card_limit", "hard" if hard else "soft")
        for batch in ("BP-1001", "BP-1002"):
            found = (await caller.get(f"/v1/batches/{batch}")).body
            preview = (await caller.post("/v1/batches/preview", {"retry_of": found["id"]})).body
            assert preview["control"] == {"count": 2, "total_minor": 700}

    with_service(url, story)


def test_a_card_rests_for_a_day_after_a_decline(url: str) -> None:
    async def story(caller: Caller) -> None:
        payments = await failed(caller)
        old = (await caller.get("/v1/batches/BP-1001")).body
        for hours, count in ((23, 2), (25, 3)):
            await caller.sql(
                "UPDATE payment SET finished_at = now() - make_interval(hours => %s) WHERE id = %s",
                hours, payments[0]["id"],
            )  # fmt: skip
            preview = (await caller.post("/v1/batches/preview", {"retry_of": old["id"]})).body
            assert preview["control"]["count"] == count

    with_service(url, story)


def test_a_card_is_not_tried_again_after_three_declines_in_thirty_days(url: str) -> None:
    async def story(caller: Caller) -> None:
        await failed(caller)
        batches, counts = ["BP-1001"], []
        for n in range(3):
            old = (await caller.get(f"/v1/batches/{batches[-1]}")).body
            preview = (await caller.post("/v1/batches/preview", {"retry_of": old["id"]})).body
            counts.append(preview["control"]["count"] if preview["control"] else 0)
            if preview["control"]:
                body = {"control": preview["control"]}
                new = (await caller.post(f"/v1/batches/{batches[-1]}/retry", body, key=f"again-{n}")).body
                for row in (await caller.get(f"/v1/batches/{new['number']}/payments")).body["items"]:
                    await ended(caller, row, "declined", "insufficient_funds", "soft")
                batches.append(new["number"])
        # One card was declined in all three batches, the other two in the last two only.
        assert counts == [3, 3, 2]
        await caller.sql("UPDATE payment SET finished_at = now() - interval '31 days' WHERE state = 'declined'")
        last = (await caller.get(f"/v1/batches/{batches[-1]}")).body
        preview = (await caller.post("/v1/batches/preview", {"retry_of": last["id"]})).body
        assert preview["control"]["count"] == 2

    with_service(url, story)


def test_a_payment_under_review_is_not_tried_again(url: str) -> None:
    async def story(caller: Caller) -> None:
        payments = await failed(caller)
        await caller.sql("UPDATE payment SET review_reason = 'look' WHERE id = %s", payments[2]["id"])
        old = (await caller.get("/v1/batches/BP-1001")).body
        preview = (await caller.post("/v1/batches/preview", {"retry_of": old["id"]})).body
        assert preview["control"]["count"] == 2

    with_service(url, story)


def test_a_retry_of_another_practices_batch_finds_nothing(url: str) -> None:
    async def story(caller: Caller) -> None:
        await failed(caller)
        old = (await caller.get("/v1/batches/BP-1001")).body
        stranger = caller.as_(bearer("elm"))
        body = {"control": {"count": 3, "total_minor": 800}}
        assert (await stranger.post(f"/v1/batches/{old['id']}/retry", body, key="k")).status == 404
        assert (await stranger.post("/v1/batches/preview", {"retry_of": old["id"]})).body["control"] is None

    with_service(url, story)


@pytest.mark.parametrize("selection", [{}, {"invoices": FIVE, "matching": {}}, {"matching": {}, "retry_of": "0" * 32}])
def test_a_selection_is_made_in_one_way(url: str, selection: dict[str, Any]) -> None:
    async def story(caller: Caller) -> None:
        assert (await caller.post("/v1/batches/preview", selection)).status == 422

    with_service(url, story)
