from typing import Any

import pytest

from tests.submit_service import Caller, bearer, seed, with_service


@pytest.fixture
def url(database_url: str) -> str:
    seed(database_url)
    return database_url


async def listed(caller: Caller, **query: Any) -> list[str]:
    reply = await caller.get("/v1/invoices", **query)
    assert reply.status == 200, reply.body
    return [item["invoice"].removeprefix("oak-i") for item in reply.body["items"]]


FILTERS: list[tuple[dict[str, Any], str | None]] = [
    ({}, "123456"),
    ({"order": "desc"}, "654321"),
    ({"sort": "amount", "order": "desc"}, "654321"),
    ({"sort": "invoice"}, "123456"),
    ({"sort": "service_date", "order": "desc"}, "654321"),
    ({"sort": "sessions"}, None),
    ({"sort": "card"}, None),
    ({"client": "client 00003"}, "3"),
    ({"invoice": "v-4"}, "4"),
    ({"card": "VISA 42"}, "123456"),
    ({"card": "amex"}, ""),
    ({"client": "%"}, ""),
    ({"amount_from_minor": 300, "amount_to_minor": 500}, "345"),
    ({"service_from": "2026-09-03", "service_to": "2026-09-05"}, "234"),
    ({"service_from": "2026-09-06"}, "56"),
    ({"service_to": "2026-09-02"}, "1"),
    ({"sessions_from": 2}, ""),
]


def test_the_list_is_filtered_and_sorted_by_every_column(url: str) -> None:
    async def story(caller: Caller) -> None:
        for query, expected in FILTERS:
            found = await listed(caller, **query)
            if expected is None:
                assert sorted(found) == list("123456"), query
            else:
                assert found == list(expected), query

    with_service(url, story)


def test_names_sort_and_are_found_without_their_accents(url: str) -> None:
    async def story(caller: Caller) -> None:
        for n, name in enumerate(["Zoë", "émile", "Emil", "Ångström", "anna", "Ümit"], 1):
            await caller.sql("UPDATE client SET name = %s WHERE external_id = %s", name, f"oak-c{n}")
        items = (await caller.get("/v1/invoices")).body["items"]
        assert [item["client_name"] for item in items] == ["Ångström", "anna", "Emil", "émile", "Ümit", "Zoë"]
        assert await listed(caller, client="ZOE") == ["1"]
        assert await listed(caller, client="Émil") == ["3", "2"]

    with_service(url, story)


def test_any_session_in_the_range_shows_the_invoice_and_the_others_are_counted(url: str) -> None:
    async def story(caller: Caller) -> None:
        await caller.sql(
            "INSERT INTO session (practice_id, external_id, invoice_id, service_date, description, amount_minor)"
            " SELECT practice_id, 'late', id, '2026-12-24', 'Psychotherapy', 100 FROM invoice"
            " WHERE external_id = 'oak-i1'"
        )
        [item] = (await caller.get("/v1/invoices", service_from="2026-12-01", service_to="2026-12-31")).body["items"]
        assert (item["invoice"], item["sessions_outside_range"]) == ("oak-i1", 1)

    with_service(url, story)


def test_what_cannot_be_charged_is_listed_with_every_reason_and_counted_apart(url: str) -> None:
    async def story(caller: Caller) -> None:
        await caller.sql(
            "UPDATE payment_method SET first_charged_on = NULL, exp_year = 2020 WHERE external_id = 'oak-c2-m'"
        )
        await caller.sql("UPDATE invoice SET status = 'closed' WHERE external_id = 'oak-i5'")
        await caller.sql("UPDATE invoice SET reopened_at = now() WHERE external_id = 'oak-i6'")
        await caller.submit(["oak-i3"], 300)
        assert await listed(caller, show="ready") == ["1", "4", "6"]
        page = (await caller.get("/v1/invoices", show="blocked")).body
        assert {item["invoice"]: [reason["code"] for reason in item["reasons"]] for item in page["items"]} == {
            "oak-i2": ["method_never_charged", "method_expired"],
            "oak-i3": ["in_running_batch"],
        }
        assert page["items"][1]["reasons"][0]["message"] == "Already in batch BP-1001."
        assert page["matching"] == {
            "all": {"count": 5, "amount_minor": 1600},
            "ready": {"count": 3, "amount_minor": 1100},
            "ready_reopened": 1,
        }

    with_service(url, story)


def test_pages_neither_skip_nor_repeat_when_rows_come_and_go(url: str) -> None:
    async def read_in_pages(caller: Caller, *, sort: str, order: str) -> None:
        whole = await listed(caller, sort=sort, order=order)
        first = (await caller.get("/v1/invoices", sort=sort, order=order, limit=2)).body
        gone = whole[0]
        await caller.sql("UPDATE invoice SET status = 'closed' WHERE external_id = %s", f"oak-i{gone}")
        seen, cursor = [item["invoice"].removeprefix("oak-i") for item in first["items"]], first["next_cursor"]
        while cursor:
            page = (await caller.get("/v1/invoices", sort=sort, order=order, limit=2, cursor=cursor)).body
            seen += [item["invoice"].removeprefix("oak-i") for item in page["items"]]
            cursor = page["next_cursor"]
        assert seen == whole
        await caller.sql("UPDATE invoice SET status = 'open'")

    async def story(caller: Caller) -> None:
        for sort in ("client", "invoice", "service_date", "sessions", "card", "amount"):
            for order in ("asc", "desc"):
                await read_in_pages(caller, sort=sort, order=order)

    with_service(url, story)


def test_each_caller_sees_its_own_practice_and_clients(url: str) -> None:
    async def story(caller: Caller) -> None:
        own = caller.as_(bearer(permissions=("billing", "own_clients"), clinician="oak-dr2"))
        assert await listed(own) == ["2", "4", "6"]
        assert (await own.get("/v1/invoices")).body["matching"]["all"] == {"count": 3, "amount_minor": 1200}
        elm = (await caller.as_(bearer("elm")).get("/v1/invoices")).body["items"]
        assert {item["invoice"][:3] for item in elm} == {"elm"}

    with_service(url, story)


def test_a_query_that_is_wrong_names_its_field(url: str) -> None:
    async def story(caller: Caller) -> None:
        wrong = {"sort": "colour", "limit": "0", "service_from": "soon", "page": "2", "cursor": "x"}
        for field, value in wrong.items():
            reply = await caller.get("/v1/invoices", **{field: value})
            assert reply.status == 422
            assert [(error["field"], error["value"]) for error in reply.body["errors"]] == [(field, value)]

    with_service(url, story)
