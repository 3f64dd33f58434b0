"""Lists are read page by page while rows come: each row that was there is shown once and in its place."""

from collections.abc import AsyncIterator
from itertools import product
from typing import Any

import pytest

from tests.submit_service import Caller, seed, with_service

CLIENTS = 40
BOTH_WAYS = ("asc", "desc")
# One more open invoice; by every column some of them fall before the page that was read.
PUSHED = """
INSERT INTO invoice (practice_id, external_id, number, client_id, currency, total_minor, pushed_due_minor, issued_on,
  status, first_service_on)
SELECT practice_id, 'late-' || n, 'INV-' || 50 - n, id, 'USD', n * 100, n * 100, '2026-10-02', 'open',
  date '2026-10-30' - n
FROM client, (SELECT %s::integer AS n) AS late
WHERE external_id = 'oak-c' || n
"""


@pytest.fixture
def url(database_url: str) -> str:
    seed(database_url, clients=CLIENTS)
    return database_url


async def in_pages(caller: Caller, path: str, *, happening: AsyncIterator[None], **query: Any) -> list[dict[str, Any]]:
    """The rows of all pages; something happens before the second one and before the third one."""
    items: list[dict[str, Any]] = []
    more: dict[str, str] = {}
    for turn in range(100):
        if turn in {1, 2}:
            await anext(happening)
        page = (await caller.get(path, limit=4, **query, **more)).body
        items += page["items"]
        if page["next_cursor"] is None:
            return items
        more = {"cursor": page["next_cursor"]}
    raise AssertionError("the list has no end")


async def check(caller: Caller, path: str, name: str, *, happening: AsyncIterator[None], **query: Any) -> None:
    before = [item[name] for item in (await caller.get(path, limit=200, **query)).body["items"]]
    seen = [item[name] for item in await in_pages(caller, path, happening=happening, **query)]
    assert len(before) > 4, query
    assert len(seen) == len(set(seen)), query
    assert [one for one in seen if one in before] == before, query


async def submits(caller: Caller) -> AsyncIterator[None]:
    """From both ends, so that by its total a new batch falls before a page as well as behind it."""
    for place in range(1, CLIENTS + 1):
        n = place if place % 2 else CLIENTS + 2 - place
        reply = await caller.submit([f"oak-i{n}"], n * 100, key=f"k{n}")
        assert reply.status == 201
        yield


def test_the_history_while_batches_are_submitted(url: str) -> None:
    async def story(caller: Caller) -> None:
        submitting = submits(caller)
        for _ in range(9):
            await anext(submitting)
        for sort, order in product(("submitted", "number", "submitted_by", "status", "total", "approved"), BOTH_WAYS):
            await check(caller, "/v1/batches", "number", happening=submitting, sort=sort, order=order)

    with_service(url, story)


def test_the_open_invoices_while_others_are_pushed(url: str) -> None:
    async def pushes(caller: Caller) -> AsyncIterator[None]:
        for client in range(1, CLIENTS + 1):
            await caller.sql(PUSHED, client)
            yield

    async def story(caller: Caller) -> None:
        pushing = pushes(caller)
        sorts = ("client", "clinician", "invoice", "service_date", "sessions", "card", "amount")
        for sort, order in product(sorts, BOTH_WAYS):
            await check(caller, "/v1/invoices", "invoice", happening=pushing, sort=sort, order=order)

    with_service(url, story)


def test_a_batchs_payments_while_they_change_and_others_are_submitted(url: str) -> None:
    async def changes(caller: Caller, payments: list[str]) -> AsyncIterator[None]:
        for n, payment in enumerate(payments, 20):
            assert (await caller.submit([f"oak-i{n}"], n * 100, key=f"k{n}")).status == 201
            assert (await caller.post(f"/v1/payments/{payment}/void")).status == 202
            yield

    async def story(caller: Caller) -> None:
        batch = (await caller.submit([f"oak-i{n}" for n in range(1, 12)], 6600)).body["id"]
        path = f"/v1/batches/{batch}/payments"
        payments = [item["id"] for item in (await caller.get(path)).body["items"]]
        await check(caller, path, "id", happening=changes(caller, payments))

    with_service(url, story)
