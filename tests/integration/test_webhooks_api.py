"""Webhooks as an upstream app manages them, over HTTP and on the command line."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import psycopg
from standardwebhooks import Webhook

from shared.store import subscriptions
from shared.store.deliveries import first_id_at
from tests.command_line import Ended, batchpay
from tests.submit_service import Caller, Reply, bearer, seed, with_service

KEEPER = ("webhooks:write",)
URL = "https://hooks.example.com/batchpay"


def keeping(database_url: str, story: Any) -> None:
    seed(database_url, clients=0)

    async def as_keeper(caller: Caller) -> None:
        await story(caller.as_(bearer(permissions=KEEPER)))

    with_service(database_url, as_keeper, environment="prod")


async def created(caller: Caller, url: str = URL, **more: Any) -> dict[str, Any]:
    reply = await caller.post("/v1/webhooks", {"url": url, **more})
    assert reply.status == 201, reply
    found: dict[str, Any] = reply.body
    assert reply.headers["Location"] == f"/v1/webhooks/{found['id']}"
    return found


async def actions(caller: Caller) -> list[Any]:
    return await caller.sql("SELECT actor, action, detail ->> 'subscription' FROM audit_entry ORDER BY id")


def test_a_webhook_is_made_seen_disabled_enabled_and_deleted(database_url: str) -> None:
    async def story(caller: Caller) -> None:
        made = await created(caller, types=["batch.*", "payment.settled"])
        assert Webhook(made.pop("secret"))
        assert (made["state"], made["types"], made["created_by"]) == ("active", ["batch.*", "payment.settled"], "pat")
        path = f"/v1/webhooks/{made['id']}"
        assert (await caller.get(path)).body == made
        assert (await caller.get("/v1/webhooks")).body == {"items": [made], "next_cursor": None}
        disabled = (await caller.post(f"{path}/disable")).body
        assert (disabled["state"], disabled["disabled_by"], disabled["disabled_why"]) == ("disabled", "pat", "asked")
        assert (await caller.post(f"{path}/disable")).body == disabled
        assert (await caller.post(f"{path}/test")).body["code"] == "webhook_disabled"
        assert (await caller.post(f"{path}/enable")).body == made
        assert (await caller.send("DELETE", path)).status == 204
        assert (await caller.send("DELETE", path)).status == 404
        assert (await caller.get("/v1/webhooks")).body["items"] == []
        words = ["created", "disabled", "enabled", "deleted"]
        assert await actions(caller) == [("pat", f"webhook.{word}", made["id"]) for word in words]

    keeping(database_url, story)


def test_the_secret_is_shown_once_and_a_new_one_beside_the_old(database_url: str) -> None:
    async def story(caller: Caller) -> None:
        made = await created(caller)
        path = f"/v1/webhooks/{made['id']}"
        rotated = (await caller.post(f"{path}/rotate-secret")).body
        assert Webhook(rotated["secret"])
        assert rotated["secret"] != made["secret"]
        valid = "SELECT secret FROM subscription_secret WHERE expires_at IS NULL OR expires_at > now() ORDER BY id"
        assert await caller.sql(valid) == [(made["secret"],), (rotated["secret"],)]
        for _ in range(subscriptions.MOST_SECRETS - 2):
            assert (await caller.post(f"{path}/rotate-secret")).status == 200
        refused = await caller.post(f"{path}/rotate-secret")
        assert (refused.status, refused.body["code"]) == (409, "too_many_secrets")
        last = (await caller.post(f"{path}/rotate-secret", {"old_valid_hours": 0})).body
        assert await caller.sql(valid) == [(last["secret"],)]
        everything = [await caller.get(path), await caller.get("/v1/webhooks"), await caller.get(f"{path}/deliveries")]
        assert "whsec_" not in json.dumps([reply.body for reply in everything])
        assert "whsec_" not in json.dumps(await caller.sql("SELECT detail FROM audit_entry"))

    keeping(database_url, story)


def test_a_url_of_our_own_network_and_a_type_that_is_none_are_refused(database_url: str) -> None:
    async def story(caller: Caller) -> None:
        for url in (
            "http://hooks.example.com/",
            "https://127.0.0.1/",
            "https://localhost:5432/",
            "javascript:alert(1)",
        ):
            reply = await caller.post("/v1/webhooks", {"url": url})
            assert (reply.status, reply.body["code"], reply.body["errors"][0]["field"]) == (422, "url_refused", "url")
        for types in ([], ["payment"], ["*"], ["webhook.test"], ["payment.%"], "payment.*", ["payment.sending"]):
            reply = await caller.post("/v1/webhooks", {"url": URL, "types": types})
            assert (reply.status, reply.body["code"]) == (422, "invalid_request")
        reply = await caller.post("/v1/webhooks", {"url": URL, "types": ["batch.*", "payment.aproved"]})
        fault = reply.body["errors"][0]
        assert (fault["field"], fault["value"]) == ("types.1", "payment.aproved")
        assert "did you mean 'payment.approved'?" in fault["message"]
        assert await caller.sql("SELECT id FROM subscription") == []

    keeping(database_url, story)


def test_another_practice_sees_and_touches_nothing(database_url: str) -> None:
    async def story(caller: Caller) -> None:
        made = await created(caller)
        stranger = caller.as_(bearer("elm", permissions=KEEPER))
        path = f"/v1/webhooks/{made['id']}"
        replies = [
            await stranger.get(path),
            await stranger.get(f"{path}/deliveries"),
            await stranger.send("DELETE", path),
            *[await stranger.post(f"{path}/{word}") for word in ("disable", "enable", "rotate-secret", "test")],
            await caller.get(f"/v1/webhooks/{uuid4()}"),
        ]
        assert [reply.status for reply in replies] == [404] * len(replies)
        assert (await stranger.get("/v1/webhooks")).body["items"] == []
        assert await caller.sql("SELECT state FROM subscription") == [("active",)]
        assert await caller.sql("SELECT count(*) FROM subscription_secret") == [(1,)]
        assert await caller.sql("SELECT id FROM delivery") == []

    keeping(database_url, story)


def test_only_who_may_keep_webhooks_of_all_clients_does(database_url: str) -> None:
    async def story(caller: Caller) -> None:
        for permissions, clinician, code in (
            (("billing", "billing:void"), None, "permission_missing"),
            ((*KEEPER, "own_clients"), "oak-dr1", "webhooks_not_allowed"),
        ):
            other = caller.as_(bearer(permissions=permissions, clinician=clinician))
            reply: Reply = await other.post("/v1/webhooks", {"url": URL})
            assert (reply.status, reply.body["code"]) == (403, code)
            assert (await other.get("/v1/webhooks")).status == 403

    keeping(database_url, story)


def test_a_practice_has_so_many_webhooks_and_pages_through_them(database_url: str) -> None:
    async def story(caller: Caller) -> None:
        made = [(await created(caller))["id"] for _ in range(subscriptions.MOST)]
        refused = await caller.post("/v1/webhooks", {"url": URL})
        assert (refused.status, refused.body["code"]) == (409, "too_many_webhooks")
        assert await paged(caller, "/v1/webhooks", limit=7) == sorted(made)
        first = (await caller.get("/v1/webhooks", limit=7)).body["next_cursor"]
        wrong = await caller.get(f"/v1/webhooks/{made[0]}/deliveries", cursor=first)
        assert (wrong.status, wrong.body["code"]) == (422, "bad_cursor")

    keeping(database_url, story)


async def paged(caller: Caller, path: str, *, limit: int, field: str = "id") -> list[str]:
    page = (await caller.get(path, limit=limit)).body
    found = [item[field] for item in page["items"]]
    while page["next_cursor"]:
        page = (await caller.get(path, limit=limit, cursor=page["next_cursor"])).body
        found += [item[field] for item in page["items"]]
    return found


def test_a_test_event_is_on_its_way_whatever_the_webhook_wants_and_deliveries_are_paged(database_url: str) -> None:
    async def story(caller: Caller) -> None:
        made = await created(caller, types=["batch.completed"])
        path = f"/v1/webhooks/{made['id']}"
        sent = [(await caller.post(f"{path}/test")).body["event_id"] for _ in range(5)]
        assert await paged(caller, f"{path}/deliveries", limit=2, field="event_id") == sent[::-1]
        (first, *_) = (await caller.get(f"{path}/deliveries")).body["items"]
        assert (first["type"], first["state"], first["attempts"]) == ("webhook.test", "waiting", 0)
        ((body,),) = await caller.sql("SELECT body FROM delivery WHERE event_id = %s", sent[0])
        told = json.loads(body)
        assert (told["practice_id"], told["type"], told["event_id"]) == ("oak", "webhook.test", sent[0])

    keeping(database_url, story)


# --- The command line -------------------------------------------------------------------------------------------------


def webhooks(database_url: str, *words: str, environment: str = "prod") -> Ended:
    return batchpay("webhooks", *words, BATCHPAY_DATABASE_URL=database_url, BATCHPAY_ENVIRONMENT=environment)


def test_the_command_line_keeps_webhooks(database_url: str) -> None:
    seed(database_url, clients=0)
    added = webhooks(database_url, "add", "oak", URL, "--type", "batch.*", "--by", "ann", "--json").json
    assert Webhook(added["secret"])
    (listed,) = webhooks(database_url, "list", "oak", "--json").json
    assert listed == {name: value for name, value in added.items() if name != "secret"}
    assert URL in webhooks(database_url, "list", "oak").out
    assert "has no webhook" in webhooks(database_url, "list", "elm").out
    webhook = added["id"]
    rotated = webhooks(database_url, "rotate", webhook, "--json").json
    assert Webhook(rotated["secret"])
    assert "whsec_" in webhooks(database_url, "rotate", webhook, "--now").out
    assert webhooks(database_url, "disable", webhook, "--json").json["changed"]
    assert not webhooks(database_url, "disable", webhook, "--json").json["changed"]
    assert "disabled by" in webhooks(database_url, "list", "oak").out
    assert "is disabled" in webhooks(database_url, "replay", webhook).err
    assert webhooks(database_url, "enable", webhook).out == "The webhook is active.\n"


def test_the_command_line_says_what_is_wrong(database_url: str) -> None:
    seed(database_url, clients=0)
    for words, code, said in (
        (("list", "ash"), 1, "no practice 'ash'"),
        (("add", "oak", "https://10.0.0.1/"), 2, "not on the internet"),
        (("add", "oak", URL, "--type", "everything"), 2, "types"),
        (("enable", str(uuid4())), 1, "There is no webhook"),
        (("enable", "x"), 2, "x"),
    ):
        ended = webhooks(database_url, *words)
        assert ended.code == code
        assert said in ended.err


def test_a_range_is_replayed_by_time_or_by_event(database_url: str) -> None:
    seed(database_url, clients=0)
    webhook = webhooks(database_url, "add", "oak", URL, "--json").json["id"]
    with psycopg.connect(database_url, autocommit=True) as connection:

        def reset() -> None:
            """Event n came at n o'clock; the second one was delivered, the others were not."""
            connection.execute("DELETE FROM delivery")
            for n in range(1, 6):
                moment = datetime(2026, 5, 1, n, tzinfo=UTC)
                connection.execute(
                    "INSERT INTO delivery (id, subscription_id, event_id, type, body, attempts, state, done_at)"
                    " VALUES (%s, %s, %s, 'payment.settled', '{}', 10, %s, now())",
                    [first_id_at(moment), webhook, f"event.{n}", "delivered" if n == 2 else "held"],
                )

        def replayed(*words: str) -> list[str]:
            reset()
            ended = webhooks(database_url, "replay", webhook, *words, "--json")
            rows = connection.execute(
                "SELECT event_id FROM delivery WHERE state = 'waiting' AND attempts = 0 AND done_at IS NULL ORDER BY id"
            ).fetchall()
            assert ended.json["replayed"] == len(rows)
            return [row[0].partition(".")[2] for row in rows]

        assert replayed() == ["1", "3", "4", "5"]
        assert replayed("--delivered-too") == ["1", "2", "3", "4", "5"]
        assert replayed("--since", "2026-05-01T02:30", "--until", "2026-05-01T04:30") == ["3", "4"]
        assert replayed("--since", "2026-05-01T00:30:00-0400", "--until", "2026-05-01T05:00:00+0000") == ["5"]
        assert replayed("--from-event", "event.4") == ["4", "5"]
        assert replayed("--to-event", "event.3", "--delivered-too") == ["1", "2", "3"]
        assert "not kept" in webhooks(database_url, "replay", webhook, "--from-event", "event.9").err
        audit = connection.execute("SELECT detail FROM audit_entry WHERE action = 'webhook.replayed'").fetchall()
        assert [row[0]["deliveries"] for row in audit] == [4, 5, 2, 1, 2, 3]
