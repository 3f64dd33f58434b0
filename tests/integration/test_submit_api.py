import asyncio
import time
from typing import Any
from uuid import UUID

import pytest

from shared.domain.eligibility import Reason
from tests.submit_service import Caller, bearer, seed, with_service

FIVE = [f"oak-i{n}" for n in range(1, 6)]


@pytest.fixture
def url(database_url: str) -> str:
    seed(database_url)
    return database_url


async def counts(caller: Caller) -> tuple[int, int, int, int]:
    [row] = await caller.sql(
        "SELECT (SELECT count(*) FROM batch), (SELECT count(*) FROM payment), (SELECT count(*) FROM batch_hint),"
        " (SELECT count(*) FROM audit_entry)"
    )
    return tuple(row)


def test_a_submitted_batch_has_its_payments_hints_and_audit_entry(url: str) -> None:
    async def story(caller: Caller) -> None:
        reply = await caller.submit(FIVE, 1500)
        assert reply.status == 201
        assert reply.body["number"] == "BP-1001"
        assert (reply.body["count"], reply.body["total_minor"], reply.body["submitted_by"]) == (5, 1500, "pat")
        assert (reply.body["first_payment_number"], reply.body["last_payment_number"]) == ("100001", "100005")
        payments = await caller.sql(
            "SELECT i.external_id, p.number, p.amount_minor, p.state, p.token, p.processor, p.account,"
            " p.next_check_at - p.due_at = interval '60 s' FROM payment p JOIN invoice i ON i.id = p.invoice_id"
            " ORDER BY p.id"
        )
        assert payments == [
            (f"oak-i{n}", str(100000 + n), n * 100, "queued", f"oak-c{n}", "vantage", "77", True) for n in range(1, 6)
        ]
        [(last,)] = await caller.sql("SELECT id FROM payment ORDER BY id DESC LIMIT 1")
        hints = await caller.sql("SELECT lane, batch_id::text, after, last FROM batch_hint")
        assert hints == [("charge.vantage", reply.body["id"], UUID(int=0), last)]
        assert await caller.sql("SELECT FROM outbox") == []
        [(actor, action, batch, detail)] = await caller.sql(
            "SELECT actor, action, batch_id::text, detail FROM audit_entry"
        )
        assert (actor, action, batch) == ("pat", "batch.submitted", reply.body["id"])
        assert detail == {"count": 5, "total_minor": 1500, "currency": "USD"}

    with_service(url, story)


def test_preview_gives_the_control_totals_that_submit_accepts(url: str) -> None:
    async def story(caller: Caller) -> None:
        preview = await caller.post("/v1/batches/preview", {"invoices": [*FIVE, "oak-i99"]})
        assert preview.status == 200
        assert preview.body["control"] == {"count": 5, "total_minor": 1500}
        assert preview.body["next_payment_number"] == "100001"
        assert [(one["invoice"], one["reasons"][0]["code"]) for one in preview.body["blocked"]] == [
            ("oak-i99", "invoice_not_found")
        ]
        body = {"invoices": FIVE, "control": preview.body["control"]}
        assert (await caller.post("/v1/batches", body, key="k")).status == 201

    with_service(url, story)


def test_all_that_match_leaves_out_reopened_and_blocked_invoices(url: str) -> None:
    async def story(caller: Caller) -> None:
        await caller.sql("UPDATE invoice SET reopened_at = now() WHERE external_id = 'oak-i1'")
        await caller.sql("UPDATE invoice SET status = 'closed' WHERE external_id = 'oak-i2'")
        matching = {"amount_to_minor": 400, "service_from": "2026-09-01", "client": "cLIENT"}
        preview = await caller.post("/v1/batches/preview", {"matching": matching})
        assert preview.body["control"] == {"count": 2, "total_minor": 700}
        reply = await caller.post("/v1/batches", {"matching": matching, "control": preview.body["control"]}, key="k")
        assert (reply.status, reply.body["count"]) == (201, 2)

    with_service(url, story)


def test_the_same_key_and_request_get_the_same_answer_and_one_batch(url: str) -> None:
    async def story(caller: Caller) -> None:
        first = await caller.submit(FIVE, 1500, payment_number="Nov 23")
        again = await caller.submit(FIVE, 1500, payment_number="Nov 23")
        assert (first.status, again.status) == (201, 200)
        assert first.body == again.body
        other = await caller.submit(FIVE[:2], 300)
        assert (other.status, other.body["code"]) == (409, "idempotency_key_reused")
        assert await counts(caller) == (1, 5, 1, 1)

    with_service(url, story)


def test_the_same_key_sent_ten_times_at_once_makes_one_batch(url: str) -> None:
    async def story(caller: Caller) -> None:
        replies = await asyncio.gather(*(caller.submit(FIVE, 1500) for _ in range(10)))
        assert sorted(reply.status for reply in replies) == [200] * 9 + [201]
        assert len({reply.body["id"] for reply in replies}) == 1
        assert await counts(caller) == (1, 5, 1, 1)

    with_service(url, story)


def test_of_two_submits_of_overlapping_invoices_exactly_one_wins_and_the_other_leaves_nothing(url: str) -> None:
    async def story(caller: Caller) -> None:
        for _ in range(5):
            one, two = await asyncio.gather(
                caller.submit(FIVE[:3], 600, key=f"a{_}"), caller.submit(FIVE[2:], 1200, key=f"b{_}")
            )
            assert sorted((one.status, two.status)) == [201, 422]
            won, lost = (one, two) if one.status == 201 else (two, one)
            assert [(e["value"], e["code"]) for e in lost.body["errors"]] == [("oak-i3", "in_running_batch")]
            assert won.body["number"] in lost.body["errors"][0]["message"]
            assert await caller.sql("SELECT count(*) FROM payment WHERE state = 'queued'") == [(3,)]
            await caller.sql("UPDATE payment SET state = 'canceled' WHERE state = 'queued'")

    with_service(url, story)


def test_control_totals_that_differ_save_nothing(url: str) -> None:
    async def story(caller: Caller) -> None:
        for count, total_minor, fields in (
            (4, 1500, ["control.count"]),
            (5, 1400, ["control.total_minor"]),
            (6, 2100, ["control.count", "control.total_minor"]),
        ):
            control = {"count": count, "total_minor": total_minor}
            reply = await caller.post("/v1/batches", {"invoices": FIVE, "control": control}, key="k")
            assert (reply.status, reply.body["code"]) == (409, "control_totals_differ")
            assert [error["field"] for error in reply.body["errors"]] == fields
        assert await counts(caller) == (0, 0, 0, 0)
        assert (await caller.submit(FIVE, 1500, key="k")).body["number"] == "BP-1001"

    with_service(url, story)


# What blocks an invoice for this reason alone, and what undoes it.
BLOCKING = {
    Reason.INVOICE_NOT_OPEN: ("UPDATE invoice SET status = 'closed'", "UPDATE invoice SET status = 'open'"),
    Reason.CURRENCY_DIFFERS: ("UPDATE invoice SET currency = 'CAD'", "UPDATE invoice SET currency = 'USD'"),
    Reason.OVER_INVOICE_LIMIT: (
        "UPDATE practice SET invoice_limit_minor = 50",
        "UPDATE practice SET invoice_limit_minor = NULL",
    ),
    Reason.NO_PAYMENT_METHOD: (
        "UPDATE payment_method SET removed_at = now()",
        "UPDATE payment_method SET removed_at = NULL",
    ),
    Reason.METHOD_NEVER_CHARGED: (
        "UPDATE payment_method SET first_charged_on = NULL",
        "UPDATE payment_method SET first_charged_on = now()",
    ),
    Reason.METHOD_EXPIRED: ("UPDATE payment_method SET exp_year = 2020", "UPDATE payment_method SET exp_year = 2099"),
    Reason.METHOD_OF_OTHER_PROCESSOR: (
        "UPDATE payment_method SET processor = 'stripe'",
        "UPDATE payment_method SET processor = 'vantage'",
    ),
    Reason.PRACTICE_NOT_ENROLLED: ("UPDATE practice SET enrolled = false", "UPDATE practice SET enrolled = true"),
}


def test_an_invoice_is_refused_with_its_reason_and_a_fix(url: str) -> None:
    async def story(caller: Caller) -> None:
        assert set(BLOCKING) == set(Reason) - {Reason.IN_RUNNING_BATCH}
        for reason, (block, undo) in BLOCKING.items():
            await caller.sql(block)
            reply = await caller.submit(["oak-i1"], 100)
            assert (reply.status, reply.body["code"]) == (422, "invoices_not_chargeable")
            [error] = reply.body["errors"]
            assert (error["field"], error["value"], error["code"]) == ("invoices.0", "oak-i1", reason)
            assert error["message"]
            assert error["fix"]
            await caller.sql(undo)
        assert await counts(caller) == (0, 0, 0, 0)
        assert (await caller.submit(["oak-i1"], 100)).status == 201

    with_service(url, story)


def test_all_reasons_of_all_invoices_come_at_once(url: str) -> None:
    async def story(caller: Caller) -> None:
        await caller.sql("UPDATE invoice SET currency = 'CAD' WHERE external_id = 'oak-i1'")
        await caller.sql(
            "UPDATE payment_method SET first_charged_on = NULL, exp_year = 2020 WHERE external_id = 'oak-c1-m'"
        )
        assert (await caller.submit(["oak-i4"], 400, key="first")).status == 201
        reply = await caller.submit(["oak-i3", "oak-i4", "elm-i1", "oak-i1"], 900)
        assert [(error["field"], error["code"]) for error in reply.body["errors"]] == [
            ("invoices.1", "in_running_batch"),
            ("invoices.2", "invoice_not_found"),
            ("invoices.3", "currency_differs"),
            ("invoices.3", "method_never_charged"),
            ("invoices.3", "method_expired"),
        ]
        assert reply.body["errors"][0]["message"] == "Already in batch BP-1001."
        assert reply.body["errors"][4]["message"] == "Card expired 12/2020."
        assert (await counts(caller))[0] == 1

    with_service(url, story)


def test_a_typed_payment_number_goes_on_all_payments_and_warns_when_used_again(url: str) -> None:
    async def story(caller: Caller) -> None:
        first = await caller.submit(FIVE[:2], 300, key="a", payment_number=" Nov 23 ")
        assert (first.body["payment_number"], first.body["warnings"]) == ("Nov 23", [])
        assert await caller.sql("SELECT DISTINCT number FROM payment") == [("Nov 23",)]
        preview = await caller.post("/v1/batches/preview", {"invoices": FIVE[2:], "payment_number": "Nov 23"})
        [warning] = preview.body["warnings"]
        assert warning["code"] == "payment_number_used"
        assert "It is on 2 payments" in warning["message"]
        assert "in batch BP-1001, for example on INV-1 for Client 00001" in warning["message"]
        second = await caller.submit(FIVE[2:], 1200, key="b", payment_number="Nov 23")
        assert (second.status, second.body["warnings"]) == (201, [warning])
        again = await caller.submit(FIVE[2:], 1200, key="b", payment_number="Nov 23")
        assert (again.status, again.body) == (200, second.body)

    with_service(url, story)


def test_a_number_of_the_sequence_that_is_typed_later_warns_too(url: str) -> None:
    async def story(caller: Caller) -> None:
        await caller.submit(FIVE[:3], 600, key="a")
        body = {"invoices": FIVE[3:], "payment_number": "100002"}
        [warning] = (await caller.post("/v1/batches/preview", body)).body["warnings"]
        assert "on INV-2 for Client 00002" in warning["message"]
        own = caller.as_(bearer(permissions=("billing", "own_clients"), clinician="oak-dr1"))
        [warning] = (await own.post("/v1/batches/preview", body)).body["warnings"]
        assert warning["message"].startswith("100002 is already in use in your practice.")
        assert (await caller.post("/v1/batches/preview", body | {"payment_number": "100004"})).body["warnings"] == []

    with_service(url, story)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"payment_number": "x" * 31}, "payment_number"),
    ({"payment_number": "a_b"}, "payment_number"),
    ({"invoices": ["oak-i1", "oak-i1"]}, "invoices"),
    ({"invoices": []}, "invoices"),
    ({"matching": {}}, "body"),
    ({"surprise": 1}, "surprise"),
    ({"control": {"count": "5", "total_minor": 1500}}, "control.count"),
    ({"control": {"count": 5, "total_minor": 15.5}}, "control.total_minor"),
]


def test_a_request_that_is_wrong_names_the_field(url: str) -> None:
    async def story(caller: Caller) -> None:
        for change, field in WRONG:
            body = {"invoices": FIVE, "control": {"count": 5, "total_minor": 1500}} | change
            reply = await caller.post("/v1/batches", body, key="k")
            assert (reply.status, reply.body["code"]) == (422, "invalid_request"), change
            assert reply.body["errors"][0]["field"] == field
            assert reply.body["errors"][0]["fix"]
        assert await counts(caller) == (0, 0, 0, 0)

    with_service(url, story)


def test_the_idempotency_key_is_required(url: str) -> None:
    async def story(caller: Caller) -> None:
        reply = await caller.post("/v1/batches", {"invoices": FIVE, "control": {"count": 5, "total_minor": 1500}})
        assert reply.status == 422
        assert [(e["field"], e["fix"]) for e in reply.body["errors"]] == [("Idempotency-Key", "Add it.")]

    with_service(url, story)


def test_own_clients_charge_and_see_only_their_own(url: str) -> None:
    async def story(caller: Caller) -> None:
        own = caller.as_(bearer(permissions=("billing", "billing:void", "own_clients"), clinician="oak-dr1"))
        refused = await own.submit(["oak-i1", "oak-i2"], 300)
        assert [(e["value"], e["code"]) for e in refused.body["errors"]] == [("oak-i2", "invoice_not_found")]
        everybody = (await caller.submit(FIVE[:3], 600, key="a", payment_number="secret")).body
        others = (await caller.submit(["oak-i4"], 400, key="b")).body
        seen = (await own.get(f"/v1/batches/{everybody['id']}")).body
        assert (seen["total"], seen["own_rows_only"]) == ({"count": 2, "amount_minor": 400}, True)
        assert (seen["status"], seen["posting"], seen["payment_number"]) == ("processing", "pending", None)
        rows = (await own.get("/v1/batches/BP-1001/payments")).body["items"]
        assert [row["invoice"] for row in rows] == ["oak-i1", "oak-i3"]
        assert (await own.get(f"/v1/batches/{others['id']}")).status == 404
        assert [item["number"] for item in (await own.get("/v1/batches")).body["items"]] == ["BP-1001"]
        hidden = (await caller.get("/v1/batches/BP-1001/payments")).body["items"][1]["id"]
        assert (await own.get(f"/v1/payments/{hidden}")).status == 404
        assert (await own.post(f"/v1/payments/{hidden}/void")).status == 404
        assert (await own.post("/v1/batches/BP-1001/void")).body["code"] == "batch_void_not_allowed"
        assert (await own.get("/v1/batches", sort="total")).body["code"] == "sort_not_available"

    with_service(url, story)


def test_another_practices_ids_are_not_found(url: str) -> None:
    async def story(caller: Caller) -> None:
        batch = (await caller.submit(FIVE, 1500)).body
        payment = (await caller.get(f"/v1/batches/{batch['id']}/payments")).body["items"][0]
        other = caller.as_(bearer("elm"))
        for path in (
            f"/v1/batches/{batch['id']}",
            f"/v1/batches/{batch['id']}/payments",
            f"/v1/payments/{payment['id']}",
        ):
            assert (await caller.get(path)).status == 200
            reply = await other.get(path)
            assert (reply.status, reply.body["code"]) == (404, "not_found")
        assert (await other.post(f"/v1/batches/{batch['id']}/void")).status == 404
        assert (await other.get("/v1/batches/BP-1001")).status == 404
        assert (await other.get("/v1/batches")).body["items"] == []

    with_service(url, story)


def test_a_batch_and_a_payment_can_be_voided_before_they_are_sent(url: str) -> None:
    async def story(caller: Caller) -> None:
        await caller.submit(FIVE, 1500)
        rows = (await caller.get("/v1/batches/BP-1001/payments")).body["items"]
        one = await caller.post(f"/v1/payments/{rows[0]['id']}/void")
        assert (one.status, one.body["results"]) == (202, {"canceled": 1})
        rest = await caller.post("/v1/batches/bp-1001/void")
        assert (rest.status, rest.body["results"]) == (202, {"canceled": 4, "nothing_to_void": 1})
        timeline = (await caller.get(f"/v1/payments/{rows[0]['id']}")).body
        assert timeline["payment"]["state"] == "canceled"
        assert timeline["payment"]["reason"]["message"] == "Taken out before charging."
        assert [(step["event"], step["actor"]) for step in timeline["steps"]] == [("cancel", "pat")]
        seller = caller.as_(bearer(permissions=("billing",)))
        assert (await seller.post("/v1/batches/BP-1001/void")).body["code"] == "permission_missing"

    with_service(url, story)


def test_history_pages_are_stable_while_batches_come_and_every_order_shows_each_batch_once(url: str) -> None:
    async def story(caller: Caller) -> None:
        for n in range(1, 6):
            await caller.submit([f"oak-i{n}"], n * 100, key=f"k{n}")
        for query in (
            {}, {"order": "asc"}, {"sort": "total"}, {"sort": "status"}, {"sort": "number", "order": "asc"},
            {"sort": "submitted_by"}, {"show": "pending"},
        ):  # fmt: skip
            numbers, cursor = [], None
            while True:
                more = {"cursor": cursor} if cursor else {}
                page = (await caller.get("/v1/batches", limit=2, **query, **more)).body
                numbers += [item["number"] for item in page["items"]]
                if (cursor := page["next_cursor"]) is None:
                    break
            assert sorted(numbers) == [f"BP-{n}" for n in range(1001, 1006)]
        first = (await caller.get("/v1/batches", limit=2)).body
        await caller.submit(["oak-i6"], 600, key="k6")
        second = (await caller.get("/v1/batches", limit=2, cursor=first["next_cursor"])).body
        assert [item["number"] for item in second["items"]] == ["BP-1003", "BP-1002"]
        wrong = await caller.get("/v1/batches", sort="total", cursor=first["next_cursor"])
        assert (wrong.status, wrong.body["code"]) == (422, "bad_cursor")
        assert (await caller.get("/v1/batches", show="posted")).body["items"] == []

    with_service(url, story)


def test_ten_thousand_invoices_are_submitted_in_one_transaction(database_url: str) -> None:
    seed(database_url, clients=10_000)

    async def story(caller: Caller) -> None:
        invoices = [f"oak-i{n}" for n in range(1, 10_001)]
        begun = time.perf_counter()
        reply = await caller.submit(invoices, 50_005_000 * 100)
        took_s = time.perf_counter() - begun
        print(f"10,000 invoices submitted in {took_s * 1000:.0f} ms")  # noqa: T201  # a number to watch, not to fail on
        assert reply.status == 201
        assert await counts(caller) == (1, 10_000, 1, 1)
        [(transactions,)] = await caller.sql(
            "SELECT count(DISTINCT x) FROM (SELECT xmin::text FROM payment UNION SELECT xmin::text FROM batch_hint"
            " UNION SELECT xmin::text FROM batch UNION SELECT xmin::text FROM audit_entry) AS t (x)"
        )
        assert transactions == 1
        begun = time.perf_counter()
        refused = await caller.submit(invoices, 50_005_000 * 100, key="again")
        print(f"10,000 invoices refused in {(time.perf_counter() - begun) * 1000:.0f} ms")  # noqa: T201
        assert len(refused.body["errors"]) == 10_000

    with_service(database_url, story)
