"""What a hostile caller of the interface sends: others' ids, broken and endless bodies, SQL, floods."""

import io
import json
import re
from typing import Any

import pytest
from pydantic import SecretStr

from services.submit.api import create_app
from services.submit.auth import Permission
from services.submit.limits import SUBMITS
from shared.settings import SubmitSettings
from tests.submit_service import SECRET, Caller, bearer, seed, with_service

PATHS: dict[str, dict[str, Any]] = create_app(
    SubmitSettings(database_url="postgresql://nowhere", jwt_secret=SecretStr(SECRET))
).openapi()["paths"]
EVERYTHING = tuple(one for one in Permission if one is not Permission.OWN_CLIENTS)
SQL = ("'; DROP TABLE payment; --", "%", "_", "\\", "' OR '1'='1", "$1", "%(practice_id)s", "\N{NULL}x", "Robert');--")
# Bodies that are good except for whom they are about, by the last word of the path.
BODIES: dict[str, Any] = {
    "approve": {"control": {"count": 1, "total_minor": 500}},
    "send-back": {"reason": "no"},
    "refund": {"reason": "no"},
    "rotate-secret": {},
    "retry": {"control": {"count": 1, "total_minor": 500}},
}


# Of this payment, as asking above the limit leaves it.
WAITING_REFUND = """
INSERT INTO refund_approval (practice_id, batch_id, payment_id, payments, currency, total, total_minor, limit_minor,
  requested_by, expires_at)
SELECT practice_id, batch_id, id, ARRAY[id], currency, 1, amount_minor, 1, 'lee', now() + interval '1 day'
FROM payment WHERE id = %s RETURNING id
"""


def operations(*, with_ids: bool = False) -> list[tuple[str, str]]:
    found = [(method.upper(), path) for path, methods in PATHS.items() for method in methods]
    return [one for one in found if "{" in one[1]] if with_ids else found


@pytest.fixture
def url(database_url: str) -> str:
    seed(database_url)
    return database_url


async def things(caller: Caller) -> dict[str, str]:
    batch = (await caller.submit(["oak-i1", "oak-i2"], 300)).body
    await caller.sql("UPDATE practice SET approval_ceiling_minor = 100 WHERE external_id = 'oak'")
    waiting = (await caller.submit(["oak-i5"], 500, key="key-2")).body
    payment = (await caller.get(f"/v1/batches/{batch['id']}/payments")).body["items"][0]
    keeper = caller.as_(bearer(permissions=EVERYTHING))
    webhook = (await keeper.post("/v1/webhooks", {"url": "https://example.com/oak"})).body["id"]
    [(refund,)] = await caller.sql(WAITING_REFUND, payment["id"])
    ids = {
        "refund": str(refund),
        "batch": batch["id"],
        "payment": payment["id"],
        "practice": "oak",
        "waiting": waiting["number"],
    }
    return {**ids, "webhook": webhook}


def filled(path: str, ids: dict[str, str]) -> str:
    values = ids | ({"batch": ids["waiting"]} if "approvals/{batch}" in path else {})
    return re.sub(r"\{(\w+)\}", lambda found: values[found[1]], path)


async def state(caller: Caller) -> list[Any]:
    return await caller.sql(
        "SELECT (SELECT array_agg((status, void_requested_by) ORDER BY id) FROM batch),"
        " (SELECT array_agg((state, version) ORDER BY id) FROM payment), (SELECT array_agg(decision) FROM approval),"
        " (SELECT array_agg(decision) FROM refund_approval),"
        " (SELECT count(*) FROM client), (SELECT count(*) FROM invoice), (SELECT count(*) FROM session)"
    )


def test_another_practices_ids_are_not_found_in_any_route_and_nothing_changes(url: str) -> None:
    async def story(caller: Caller) -> None:
        ids, before = await things(caller), None
        nowhere = {"batch": ids["payment"], "payment": ids["batch"], "practice": "nowhere", "waiting": "BP-9"}
        nowhere |= {"webhook": ids["payment"], "refund": ids["payment"]}
        other = caller.as_(bearer("elm", permissions=EVERYTHING))
        before = await state(caller)
        for method, path in operations(with_ids=True):
            said = []
            for named in (ids, nowhere):
                reply = await other.send(
                    method,
                    filled(path, named),
                    json=BODIES.get(path.rsplit("/", 1)[1], []),
                    headers={"Idempotency-Key": "key-9"},
                )
                # A push names the practice that the token is for; any other is refused alike.
                assert reply.status == (403 if "{practice}" in path else 404), (method, path, reply.body)
                said.append({name: value for name, value in reply.body.items() if name != "request_id"})
            assert said[0] == said[1], f"{method} {path} tells what exists"
        assert await state(caller) == before

    with_service(url, story)


def test_another_practices_ids_in_a_body_are_like_ids_that_do_not_exist(url: str) -> None:
    async def story(caller: Caller) -> None:
        ids = await things(caller)
        other = caller.as_(bearer("elm", permissions=EVERYTHING))
        before = await state(caller)
        for theirs, nobodys in (("oak-i3", "elm-i999"), (ids["batch"], ids["payment"])):
            replies = []
            for one in (theirs, nobodys):
                selection = {"retry_of": one} if one in ids.values() else {"invoices": [one]}
                body = {**selection, "control": {"count": 1, "total_minor": 300}}
                reply = await other.post("/v1/batches", body, key=f"key-{one}")
                assert reply.status >= 400
                replies.append(json.dumps(reply.body).replace(one, "?").replace(reply.body["request_id"], "?"))
            assert replies[0] == replies[1]
        pushed = [{"client_id": "elm-new", "name": "New", "clinician_id": "oak-dr1"}]
        reply = await other.send("PUT", "/v1/practices/elm/clients", json=pushed)
        assert (reply.body["added"], reply.body["refused"]) == (0, 1)
        assert await state(caller) == before

    with_service(url, story)


@pytest.mark.parametrize("kind", ["array", "object", "string"])
def test_a_deeply_nested_or_huge_body_is_refused_by_every_route_that_takes_one(url: str, kind: str) -> None:
    depth = 100_000
    body = {
        "array": b"[" * depth + b"]" * depth,
        "object": b'{"a":' * depth + b"1" + b"}" * depth,
        "string": b'{"invoices": ["' + b"x" * 2_000_000 + b'"]}',
    }[kind]

    async def story(caller: Caller) -> None:
        lee = caller.as_(bearer(permissions=EVERYTHING))
        ids = {"batch": "BP-1", "waiting": "BP-1", "practice": "oak"}
        ids |= dict.fromkeys(("payment", "webhook", "refund"), "0" * 32)
        for method, path in operations():
            if "requestBody" not in PATHS[path][method.lower()]:
                continue
            reply = await lee.send(
                method,
                filled(path, ids),
                data=io.BytesIO(body),
                headers={"Content-Type": "application/json", "Idempotency-Key": "key-1"},
            )
            assert reply.status in {400, 404, 413, 422}, (path, reply.body)
            assert len(str(reply.body)) < 10_000

    with_service(url, story)


def test_sql_in_any_text_is_only_text(url: str) -> None:
    async def story(caller: Caller) -> None:
        lee, before = caller.as_(bearer(permissions=EVERYTHING)), await state(caller)
        lists = [(path, methods["get"]) for path, methods in PATHS.items() if "get" in methods and "{" not in path]
        for path, operation in lists:
            for parameter in operation.get("parameters", []):
                for text in SQL:
                    reply = await lee.get(path, **{parameter["name"]: text})
                    assert reply.status in {200, 422}, (path, parameter["name"], text)
                    if parameter["name"] in {"client", "invoice", "card"} and text not in "%_\\":
                        assert reply.status == 422 or reply.body["items"] == []
        assert await state(caller) == before

    with_service(url, story)


def test_a_practice_that_submits_in_a_loop_is_told_to_wait_and_others_are_not(url: str) -> None:
    async def story(caller: Caller) -> None:
        statuses = [(await caller.submit(["nothing"], 1, key=f"key-{n}")).status for n in range(SUBMITS + 1)]
        assert statuses == [422] * SUBMITS + [429]
        refused = await caller.submit(["oak-i1"], 100, key="key-last")
        assert (refused.body["code"], refused.headers["Retry-After"]) == ("too_many_submits", "60")
        assert "No card was charged" in refused.body["detail"]
        assert (await caller.get("/v1/batches")).status == 200
        other = caller.as_(bearer("elm"))
        assert (await other.submit(["elm-i1"], 100)).status == 201

    with_service(url, story)
