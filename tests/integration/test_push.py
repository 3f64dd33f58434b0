"""The catalog over HTTP."""

import asyncio
import csv
import io
import json
from collections.abc import Sequence
from typing import Any

import psycopg
import pytest

from tests import builders
from tests.submit_service import Caller, Reply, bearer, seed, with_service

Rows = Sequence[dict[str, Any]]


def pusher() -> str:
    return bearer(permissions=("catalog:write",))


@pytest.fixture
def url(database_url: str) -> str:
    seed(database_url)
    return database_url


def invoices(*numbers: int, **more: Any) -> list[dict[str, Any]]:
    """Invoice n of client n of oak, over n dollars."""
    return [
        {
            "invoice_id": f"oak-i{n}",
            "invoice_number": f"INV-{n}",
            "client_id": f"oak-c{n}",
            "currency": "USD",
            "total_minor": n * 100,
            "amount_due_minor": n * 100,
            "issued_on": "2026-10-01",
            "status": "open",
            **more,
        }
        for n in numbers
    ]


def as_csv(rows: Rows) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


FORMATS = {
    "application/json": json.dumps,
    "application/x-ndjson": lambda rows: "\n".join(map(json.dumps, rows)) + "\n",
    "text/csv; charset=utf-8": as_csv,
}


async def push(
    caller: Caller, kind: str, rows: Rows | str | bytes, media_type: str = "application/json", practice: str = "oak"
) -> Reply:
    body = rows if isinstance(rows, str | bytes) else FORMATS[media_type](rows)
    headers = {"Content-Type": media_type}
    return await caller.as_(pusher()).send("PUT", f"/v1/practices/{practice}/{kind}", data=body, headers=headers)


def counts(reply: Reply) -> tuple[int, int, int, int]:
    assert reply.status == 200, reply.body
    body = reply.body
    assert body["rows"] == sum(body[name] for name in ("added", "changed", "unchanged", "refused"))
    return body["added"], body["changed"], body["unchanged"], body["refused"]


@pytest.mark.parametrize("media_type", FORMATS)
def test_a_push_lands_once_and_again_changes_nothing(url: str, media_type: str) -> None:
    async def story(caller: Caller) -> None:
        rows = [*invoices(1, 2, 3), invoices(4)[0] | {"total_minor": 900}, invoices(5)[0] | {"invoice_id": "new"}]
        assert counts(await push(caller, "invoices", rows, media_type)) == (1, 1, 3, 0)
        look = "SELECT xmin::text, ctid::text FROM invoice UNION ALL SELECT id::text, action FROM audit_entry"
        before = sorted(await caller.sql(look))
        assert counts(await push(caller, "invoices", rows, media_type)) == (0, 0, 5, 0)
        assert sorted(await caller.sql(look)) == before
        assert await caller.sql("SELECT actor, action FROM audit_entry") == [("pat", "catalog.imported")]

    with_service(url, story)


def test_every_kind_can_be_pushed_in_the_order_in_which_they_refer_to_each_other(url: str) -> None:
    card = {
        "payment_method_id": "m", "client_id": "c", "processor": "vantage", "type": "card", "brand": "visa",
        "last4": "4242", "exp_month": 12, "exp_year": 2099, "payer_id": "p", "token": "t", "is_default": True,
        "first_charged_on": "2026-01-01",
    }  # fmt: skip
    session = {"session_id": "s", "invoice_id": "i", "service_date": "2026-09-30", "clinician_id": "d",
               "description": "Psychotherapy", "amount_minor": 900}  # fmt: skip

    async def story(caller: Caller) -> None:
        for kind, row in (
            ("clinicians", {"clinician_id": "d", "name": "Dr Who"}),
            ("clients", {"client_id": "c", "name": "Zoë", "email": None, "clinician_id": "d"}),
            ("payment-methods", card),
            ("invoices", invoices(9)[0] | {"invoice_id": "i", "client_id": "c"}),
            ("sessions", session),
        ):
            assert counts(await push(caller, kind, [row])) == (1, 0, 0, 0), kind
        for wrong in ("01/01/2026", 5, True):
            refused = await push(caller, "payment-methods", [card | {"first_charged_on": wrong}])
            assert refused.body["errors"][0]["field"] == "first_charged_on"
            assert refused.body["errors"][0]["fix"] == "Write the date as YYYY-MM-DD."
        assert (await caller.submit(["i"], 900)).status == 201

    with_service(url, story)


BAD: list[tuple[dict[str, Any], str, str, str]] = [
    ({"amount_due_minor": "12.50"}, "amount_due_minor", "12.50", "integer"),
    ({"amount_due_minor": True}, "amount_due_minor", "True", "integer"),
    ({"amount_due_minor": 901}, "amount_due_minor", "901", "more than the total"),
    ({"total_minor": 10**30}, "total_minor", "1e+30", ""),
    ({"issued_on": "10/01/2026"}, "issued_on", "10/01/2026", "date"),
    ({"currency": "ZZZ"}, "currency", "ZZZ", "no currency"),
    ({"invoice_number": "a\u0000b"}, "invoice_number", "a\u0000b", "control characters"),
    ({"surprise": 1}, "surprise", "1", "not permitted"),
    ({"line": 7, "client_id": "c9"}, "client_id", "c9", "no such client"),
    ({"practice_id": "elm"}, "practice_id", "elm", "another practice"),
    ({"invoice_id": "oak-i1"}, "client_id", "oak-c9", "another client"),
    ({"included_sequence": 1}, "included_sequence", "1", "no such event"),
]


def test_every_bad_row_is_named_with_field_value_and_reason_and_the_good_ones_land(url: str) -> None:
    async def story(caller: Caller) -> None:
        await caller.sql(
            "INSERT INTO client (practice_id, external_id, name)"
            " SELECT id, 'oak-c9', 'Nine' FROM practice WHERE external_id = 'oak'"
        )
        bad = [invoices(9)[0] | {"invoice_id": f"bad-{n}"} | change for n, (change, *_) in enumerate(BAD)]
        reply = await push(caller, "invoices", [*bad, *invoices(9), *invoices(9)])
        assert counts(reply) == (1, 0, 0, len(BAD) + 1)
        *errors, twice = reply.body["errors"]
        for place, (error, (_, field, value, reason)) in enumerate(zip(errors, BAD, strict=True), start=1):
            assert (error["row"], error["field"], error["value"]) == (place, field, value)
            assert reason in error["reason"]
            assert error["fix"].endswith(".")
        assert (twice["row"], twice["field"], twice["value"]) == (len(BAD) + 2, "invoice_id", "oak-i9")

    with_service(url, story)


def test_lines_that_are_no_rows_are_named_too(url: str) -> None:
    async def story(caller: Caller) -> None:
        row = json.dumps(invoices(1)[0])
        ndjson = f"\n{row}\n{{broken\n[]\n"
        reply = await push(caller, "invoices", ndjson, "application/x-ndjson")
        assert counts(reply) == (0, 0, 1, 2)
        assert [error["row"] for error in reply.body["errors"]] == [3, 4]
        array = f'[{row}, null, "text", {{"invoice_id": NaN}}, {{"invoice_id": "\\ud800"}}]'
        reply = await push(caller, "invoices", array)
        assert counts(reply) == (0, 0, 1, 4)
        assert {error["row"] for error in reply.body["errors"]} == {2, 3, 4, 5}

    with_service(url, story)


UNREADABLE: list[tuple[str, str | bytes, str]] = [
    ("application/json", "{}", "not a JSON array"),
    ("application/json", "", "not a JSON array"),
    ("application/json", f"[{json.dumps(invoices(1)[0])}", "The array does not end: nothing follows element 1."),
    ("application/json", f"[{json.dumps(invoices(1)[0])} 1]", "no comma"),
    ("application/json", "[1,]", "not JSON"),
    ("application/json", "[] []", "more after the end"),
    ("application/json", b'["\xff"]', "not UTF-8"),
    ("application/json", f'["{"x" * 200_000}"]', "too long"),
    ("application/json", "[" * 100_000, "not JSON"),
    ("application/x-ndjson", f'"{"x" * 200_000}"', "more than"),
    ("text/csv", b"invoice_id\n\xff\n", "not UTF-8"),
    ("text/csv", "a,b\n1,2,3\n", "more cells"),
    ("text/csv", 'a,b\n"1"x,2\n', "not CSV"),
]


def test_a_body_that_cannot_be_read_is_refused_as_a_whole(url: str) -> None:
    async def story(caller: Caller) -> None:
        for media_type, body, reason in UNREADABLE:
            reply = await push(caller, "invoices", body, media_type)
            assert (reply.status, reply.body["code"]) == (400, "body_unreadable"), (media_type, body[:40])
            assert reason in reply.body["detail"], (media_type, body[:40])
        assert (await push(caller, "invoices", "x", "text/plain")).status == 415
        assert await caller.sql("SELECT count(*) FROM audit_entry") == [(0,)]

    with_service(url, story)


def test_only_a_token_with_the_permission_and_of_this_practice_may_push(url: str) -> None:
    async def story(caller: Caller) -> None:
        assert (await caller.send("PUT", "/v1/practices/oak/clients", data="[]")).body["code"] == "permission_missing"
        for practice in ("elm", "ash"):
            reply = await push(caller, "clients", [], practice=practice)
            assert (reply.status, reply.body["code"]) == (403, "practice_differs")
        own = bearer(permissions=("catalog:write", "own_clients"), clinician="oak-dr1")
        headers = {"Content-Type": "application/json"}
        reply = await caller.as_(own).send("PUT", "/v1/practices/oak/clients", data="[]", headers=headers)
        assert reply.status == 403

    with_service(url, story)


def test_one_push_of_a_practice_at_a_time(url: str) -> None:
    async def story(caller: Caller) -> None:
        async with await psycopg.AsyncConnection.connect(url) as other:
            await other.execute(
                "SELECT pg_advisory_xact_lock(hashtextextended('catalog ' || id::text, 0))"
                " FROM practice WHERE external_id = 'oak'"
            )
            reply = await push(caller, "invoices", invoices(1))
            assert (reply.status, reply.body["code"], reply.headers["Retry-After"]) == (409, "push_running", "5")
        assert counts(await push(caller, "invoices", invoices(1))) == (0, 0, 1, 0)

    with_service(url, story)


# --- What was paid stays paid -----------------------------------------------------------------------------------------


def take(url: str, invoice: str, *, total_minor: int) -> None:
    """Charge an invoice, as the worker records it."""
    with psycopg.connect(url) as connection:
        [(practice, invoice_id, method)] = connection.execute(
            "SELECT i.practice_id, i.id, m.id FROM invoice i JOIN payment_method m ON m.client_id = i.client_id"
            " WHERE i.external_id = %s",
            [invoice],
        ).fetchall()
        batch = builders.batch(
            connection, practice, total=1, total_minor=total_minor, approved=1, approved_minor=total_minor,
            unfinished=0, unfinished_minor=0, status="completed", posting="posted",
        )  # fmt: skip
        payment = builders.payment(connection, batch, invoice_id, method, amount_minor=total_minor)
        builders.paid(connection, payment)


async def standing(caller: Caller) -> tuple[int, list[str]]:
    """What invoice 3 owes, and why it cannot be charged."""
    [row] = await caller.sql(
        "SELECT amount_due_minor, reasons FROM invoice_eligibility WHERE invoice_external_id = 'oak-i3'"
    )
    return tuple(row)


def test_trace_15_a_stale_push_reopens_no_paid_invoice_and_one_that_includes_the_payment_counts_it_once(
    url: str,
) -> None:
    async def story(caller: Caller) -> None:
        await asyncio.to_thread(take, url, "oak-i3", total_minor=300)
        assert await standing(caller) == (0, ["in_running_batch"])
        for stale in (invoices(3), invoices(3, total_minor=400, amount_due_minor=400), invoices(3)):
            assert (await push(caller, "invoices", stale)).body["refused"] == 0
        assert await standing(caller) == (0, ["in_running_batch"])
        included = invoices(3, amount_due_minor=0, included_sequence=1)
        assert counts(await push(caller, "invoices", included)) == (0, 1, 0, 0)
        assert await standing(caller) == (0, ["invoice_not_open"])
        assert counts(await push(caller, "invoices", included)) == (0, 0, 1, 0)
        reply = await push(caller, "invoices", invoices(3))
        assert counts(reply) == (0, 0, 0, 1)
        assert "later events" in reply.body["errors"][0]["reason"]
        assert await standing(caller) == (0, ["invoice_not_open"])

    with_service(url, story)


def test_an_invoice_that_grew_after_it_was_paid_is_charged_for_the_rest(url: str) -> None:
    async def story(caller: Caller) -> None:
        await asyncio.to_thread(take, url, "oak-i3", total_minor=300)
        await push(caller, "invoices", invoices(3, total_minor=450, amount_due_minor=450))
        assert await standing(caller) == (150, ["in_running_batch"])
        await push(caller, "invoices", invoices(3, total_minor=450, amount_due_minor=150, included_sequence=1))
        assert await standing(caller) == (150, [])
        assert (await caller.submit(["oak-i3"], 150)).status == 201

    with_service(url, story)


@pytest.mark.unsound("its payment is given back by hand")
def test_a_payment_that_upstream_counts_is_owed_again_when_it_was_given_back(url: str) -> None:
    async def story(caller: Caller) -> None:
        await asyncio.to_thread(take, url, "oak-i3", total_minor=300)
        await push(caller, "invoices", invoices(3, amount_due_minor=0, included_sequence=1))
        await caller.sql(
            "UPDATE invoice SET taken_minor = taken_minor - 300, version = 2, deltas_minor = deltas_minor || -300"
            " WHERE external_id = 'oak-i3'"
        )
        assert (await standing(caller))[0] == 300
        assert counts(await push(caller, "invoices", invoices(3, amount_due_minor=0, included_sequence=1))) == (
            0,
            0,
            1,
            0,
        )
        assert (await standing(caller))[0] == 300
        assert counts(await push(caller, "invoices", invoices(3, included_sequence=2))) == (0, 1, 0, 0)
        assert (await standing(caller))[0] == 300

    with_service(url, story)


# --- Many rows --------------------------------------------------------------------------------------------------------


def test_five_thousand_rows_land_in_one_call_and_more_than_allowed_are_refused(url: str) -> None:
    many = [row for n in range(5_000) for row in invoices(1, invoice_id=f"many-{n}")]

    async def story(caller: Caller) -> None:
        assert counts(await push(caller, "invoices", many, "application/x-ndjson")) == (5_000, 0, 0, 0)
        assert counts(await push(caller, "invoices", many)) == (0, 0, 5_000, 0)
        nobody = [row | {"client_id": "nobody"} for row in many]
        reply = await push(caller, "invoices", nobody)
        assert counts(reply) == (0, 0, 0, 5_000)
        assert len(reply.body["errors"]) == 1_000
        too_many = b"{}\n" * 100_001
        assert (await push(caller, "invoices", too_many, "application/x-ndjson")).body["code"] == "too_many_rows"

    with_service(url, story)
