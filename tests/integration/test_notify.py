"""Webhooks out, on a real PostgreSQL, a real RabbitMQ and a real receiver."""

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from aiohttp import web
from prometheus_client import REGISTRY
from standardwebhooks import Webhook, WebhookVerificationError

from services.notify.__main__ import notify
from services.notify.cleaning import STEP, clean
from services.notify.posting import Answer, open_session, post
from services.notify.sending import ABREAST
from shared.domain.receivers import new_secret
from shared.messaging import topology
from shared.messaging.topology import NOTIFY_QUEUE
from shared.settings import Settings
from shared.store import deliveries, subscriptions
from shared.store.pool import open_pool
from shared.store.subscriptions import Actor
from tests.sending import send
from tests.submit_service import seed
from tests.waiting import eventually
from tests.webhook_receiver import Got, Receiver, always, in_turn, receiving
from workers.janitor.backlog import read_backlog

Connection = psycopg.Connection[Any]
OAK, ELM = "oak", "elm"


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    seed(database_url, clients=0)
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


class Ground:
    """The process at work, a receiver, and what tests do around them."""

    def __init__(self, connection: Connection, database_url: str, amqp_url: str, receiver: Receiver) -> None:
        self.connection, self.database_url, self.amqp_url = connection, database_url, amqp_url
        self.receiver = receiver
        self.secrets: dict[UUID, str] = {}

    async def subscribe(self, practice: str = OAK, path: str = "/", types: list[str] | None = None) -> UUID:
        secret = new_secret()
        async with await psycopg.AsyncConnection.connect(self.database_url) as connection:
            created = await subscriptions.create(
                connection, self.actor(practice), url=self.receiver.url + path, types=types, secret=secret
            )
        assert created
        self.secrets[created.id] = secret
        return created.id

    def actor(self, practice: str = OAK) -> Actor:
        row = self.connection.execute("SELECT id FROM practice WHERE external_id = %s", [practice]).fetchone()
        assert row
        return Actor(practice_id=row[0], by="pat", source="test")

    def publish(self, *events: dict[str, Any]) -> None:
        send(self.amqp_url, "", [(NOTIFY_QUEUE, json.dumps(event).encode()) for event in events])

    def rows(self, statement: str, *parameters: Any) -> list[Any]:
        return self.connection.execute(statement, parameters).fetchall()  # type: ignore[arg-type]  # tests write SQL freely

    def states(self) -> Counter[str]:
        return Counter(row[0] for row in self.rows("SELECT state FROM delivery"))

    def due_now(self) -> None:
        """Let the pauses be over."""
        self.rows("UPDATE delivery SET next_try_at = clock_timestamp() WHERE state = 'waiting' RETURNING id")

    async def until(self, condition: Any, what: str) -> None:
        await asyncio.to_thread(eventually, condition, what=what)


@contextlib.asynccontextmanager
async def notifying(database_url: str, amqp_url: str, *, environment: str = "dev") -> AsyncIterator[asyncio.Task[None]]:
    stop = asyncio.Event()
    settings = Settings(database_url=database_url, amqp_url=amqp_url, environment=environment)
    task = asyncio.create_task(notify(settings, stop))
    try:
        yield task
    finally:
        stop.set()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@pytest.fixture
def run(connection: Connection, database_url: str, amqp_url: str) -> Any:
    """Run a story on a ground whose process is at work."""
    topology.declare(amqp_url)

    def run(story: Any, *, environment: str = "dev") -> None:
        async def main() -> None:
            async with receiving() as receiver:
                ground = Ground(connection, database_url, amqp_url, receiver)
                async with notifying(database_url, amqp_url, environment=environment):
                    await story(ground)

        asyncio.run(main())

    return run


def event(n: int = 1, *, practice: str = OAK, type_: str = "payment.settled") -> dict[str, Any]:
    return {"event_id": f"{practice}.{n}", "type": type_, "practice_id": practice, "sequence": n}


def verified(got: Got, secret: str) -> Any:
    return Webhook(secret).verify(got.body, got.headers)


def test_an_event_that_comes_twice_is_delivered_once_and_signed(run: Any) -> None:
    async def story(ground: Ground) -> None:
        webhook = await ground.subscribe()
        ground.publish(event(1), event(1), event(2))
        await ground.until(lambda: ground.states()["delivered"] == 2, "both are delivered")
        ground.publish(event(1), event(3))
        await ground.until(lambda: ground.states()["delivered"] == 3, "the third is delivered")
        assert ground.states() == {"delivered": 3}
        told = [verified(got, ground.secrets[webhook]) for got in ground.receiver.got]
        assert sorted(one["event_id"] for one in told) == ["oak.1", "oak.2", "oak.3"]
        assert told == [event(one["sequence"]) for one in told]
        assert {got.headers["webhook-id"] for got in ground.receiver.got} == {"oak-1", "oak-2", "oak-3"}
        assert {got.headers["content-type"] for got in ground.receiver.got} == {"application/json"}

    run(story)


def test_a_practice_is_told_of_its_own_events_of_the_types_that_it_wants(run: Any) -> None:
    async def story(ground: Ground) -> None:
        await ground.subscribe(OAK, "/oak")
        await ground.subscribe(OAK, "/oak-batches", ["batch.*", "invoice.paid"])
        await ground.subscribe(ELM, "/elm")
        ground.publish(
            event(1),
            event(2, type_="batch.completed"),
            event(3, type_="invoice.paid"),
            event(4, type_="invoice.reopened"),
            event(1, practice=ELM),
            event(1, practice="stranger"),
            {"event_id": "nobody's", "type": "request.rejected", "practice_id": None},
        )
        await ground.until(lambda: ground.states()["delivered"] == 7, "all are delivered")
        told = {path: sorted(json.loads(one.body)["event_id"] for one in ground.receiver.at(path)) for path in PATHS}
        assert told == {
            "/oak": ["oak.1", "oak.2", "oak.3", "oak.4"],
            "/oak-batches": ["oak.2", "oak.3"],
            "/elm": ["elm.1"],
        }

    PATHS = ("/oak", "/oak-batches", "/elm")  # noqa: N806 - a table of this test
    run(story)


def test_what_is_no_event_is_left_out_and_holds_nothing_up(run: Any) -> None:
    async def story(ground: Ground) -> None:
        await ground.subscribe()
        nul = json.dumps({**event(8), "event_id": "a\0b"})
        bodies = ("no JSON", "[]", "{}", '{"practice_id": 5}', nul, json.dumps({**event(9), "type": ""}))
        send(ground.amqp_url, "", [(NOTIFY_QUEUE, body.encode()) for body in bodies])
        ground.publish(event(1))
        await ground.until(lambda: ground.states() == {"delivered": 1}, "the event behind them is delivered")

    run(story)


def test_what_fails_is_sent_again_after_a_pause_with_the_same_id(run: Any) -> None:
    async def story(ground: Ground) -> None:
        await ground.subscribe()
        ground.receiver.answer = in_turn(500, 302, 200)
        for attempts, pause_s, status, failure in ((1, 5, 500, "refused"), (2, 300, 302, "redirected")):
            ground.publish(event(1)) if attempts == 1 else ground.due_now()
            await ground.until(lambda n=attempts: recorded(ground) == n, "the try is recorded")
            (row,) = ground.rows(
                "SELECT attempts, last_status, last_failure, extract(epoch FROM next_try_at - last_try_at)"
                " FROM delivery"
            )
            assert row[:3] == (attempts, status, failure)
            assert pause_s <= row[3] <= pause_s * 1.2 + 1
        assert ground.rows("SELECT failures, failing_since IS NOT NULL FROM subscription") == [(2, True)]
        ground.due_now()
        await ground.until(lambda: ground.states() == {"delivered": 1}, "it is delivered")
        assert ground.rows("SELECT failures, failing_since FROM subscription") == [(0, None)]
        assert [got.headers["webhook-id"] for got in ground.receiver.got] == ["oak-1"] * 3

    run(story)


def recorded(ground: Ground) -> int:
    """Tries of the one delivery, once the last of them is recorded."""
    return max(
        (n for n, failures in ground.rows("SELECT attempts, failures FROM delivery, subscription") if n == failures),
        default=0,
    )


def test_after_the_last_try_it_is_given_up_and_a_replay_sends_it(run: Any) -> None:
    async def story(ground: Ground) -> None:
        webhook = await ground.subscribe()
        ground.receiver.answer = in_turn(500, 503, 200)
        ground.publish(event(1))
        await ground.until(lambda: recorded(ground) == 1, "the first try is recorded")
        ground.rows("UPDATE delivery SET attempts = 9, next_try_at = clock_timestamp() RETURNING id")
        await ground.until(lambda: ground.states() == {"failed": 1}, "it is given up")
        await replay(ground, webhook)
        await ground.until(lambda: ground.states() == {"delivered": 1}, "it is delivered")
        assert [got.headers["webhook-id"] for got in ground.receiver.got] == ["oak-1"] * 3

    run(story)


async def replay(ground: Ground, webhook: UUID, *, delivered_too: bool = False) -> int:
    async with await psycopg.AsyncConnection.connect(ground.database_url) as connection:
        return await deliveries.replay(
            connection,
            ground.actor(),
            webhook,
            first=UUID(int=0),
            last=UUID(int=2**128 - 1),
            delivered_too=delivered_too,
        )


def test_a_receiver_that_fails_for_five_days_is_disabled_and_loses_nothing(run: Any) -> None:
    async def story(ground: Ground) -> None:
        webhook = await ground.subscribe()
        ground.receiver.answer = always(500)
        ground.publish(event(1))
        await ground.until(lambda: recorded(ground) == 1, "the first try is recorded")
        ground.rows("UPDATE subscription SET failures = 50, failing_since = now() - interval '4 days' RETURNING id")
        ground.due_now()
        await ground.until(lambda: ground.rows("SELECT failures FROM subscription") == [(51,)], "it has time left")
        ground.rows("UPDATE subscription SET failing_since = now() - interval '5 days' RETURNING id")
        ground.due_now()
        state = "SELECT state, disabled_why, disabled_by FROM subscription"
        await ground.until(lambda: ground.rows(state) == [("disabled", "failing", "notify")], "it is disabled")
        (audit,) = ground.rows("SELECT actor, action, detail FROM audit_entry WHERE action = 'webhook.disabled'")
        assert audit == ("notify", "webhook.disabled", {"subscription": str(webhook), "why": "failing"})
        ground.publish(event(2))
        await ground.until(lambda: ground.states() == {"held": 2}, "what comes is kept")
        assert await gauges(ground) == {"deliveries_waiting": 0, "oldest_seconds": 0, "subscriptions_disabled": 1}

        ground.receiver.answer = always(204)
        async with await psycopg.AsyncConnection.connect(ground.database_url) as connection:
            assert await subscriptions.enable(connection, ground.actor(), webhook)
        ground.publish(event(3))
        await ground.until(lambda: ground.states() == {"held": 2, "delivered": 1}, "what comes now is sent")
        assert await replay(ground, webhook) == 2
        await ground.until(lambda: ground.states() == {"delivered": 3}, "all are delivered")

    run(story)


async def gauges(ground: Ground) -> dict[str, float | None]:
    """What the janitor tells of webhooks."""
    async with open_pool(ground.database_url, process="test", most=1) as pool:
        await read_backlog(pool)
    names = ("deliveries_waiting", "oldest_seconds", "subscriptions_disabled")
    return {name: REGISTRY.get_sample_value(f"batchpay_webhook_{name}") for name in names}


def test_few_failures_of_a_quiet_practice_do_not_disable(run: Any) -> None:
    async def story(ground: Ground) -> None:
        await ground.subscribe()
        ground.receiver.answer = always(500)
        ground.publish(event(1))
        await ground.until(lambda: recorded(ground) == 1, "the first try is recorded")
        ground.rows("UPDATE delivery SET created_at = now() - interval '1 hour' RETURNING id")
        told = await gauges(ground)
        assert (told["deliveries_waiting"], told["subscriptions_disabled"]) == (0, 0), "it is due later"
        assert 3600 <= (told["oldest_seconds"] or 0) < 3700
        ground.rows("UPDATE subscription SET failing_since = now() - interval '20 days' RETURNING id")
        ground.due_now()
        await ground.until(lambda: recorded(ground) == 2, "the second try is recorded")
        assert ground.rows("SELECT state FROM subscription") == [("active",)]

    run(story)


def test_410_gone_disables_at_once(run: Any) -> None:
    async def story(ground: Ground) -> None:
        await ground.subscribe()
        ground.receiver.answer = always(410)
        ground.publish(event(1))
        state = "SELECT state, disabled_why FROM subscription"
        await ground.until(lambda: ground.rows(state) == [("disabled", "gone")], "it is disabled")
        await ground.until(lambda: ground.states() == {"held": 1}, "what waits is held")

    run(story)


def test_after_a_rotation_both_secrets_verify_until_the_old_one_ends(run: Any) -> None:
    async def story(ground: Ground) -> None:
        webhook = await ground.subscribe()
        old, new = ground.secrets[webhook], new_secret()
        async with await psycopg.AsyncConnection.connect(ground.database_url) as connection:
            ends = await subscriptions.rotate(
                connection, ground.actor(), webhook, secret=new, old_valid=timedelta(hours=24)
            )
        assert isinstance(ends, datetime)
        assert timedelta(hours=23) < ends - datetime.now(UTC) <= timedelta(hours=24)
        ground.publish(event(1))
        await ground.until(lambda: ground.states()["delivered"] == 1, "it is delivered")
        assert verified(ground.receiver.got[0], old) == verified(ground.receiver.got[0], new) == event(1)
        assert len(ground.receiver.got[0].headers["webhook-signature"].split()) == 2

        ground.rows("UPDATE subscription_secret SET expires_at = now() WHERE expires_at IS NOT NULL RETURNING id")
        ground.publish(event(2))
        await ground.until(lambda: ground.states()["delivered"] == 2, "it is delivered")
        assert verified(ground.receiver.got[1], new) == event(2)
        with pytest.raises(WebhookVerificationError):
            verified(ground.receiver.got[1], old)

    run(story)


def test_a_receiver_that_never_answers_delays_nobody_else(run: Any) -> None:
    async def story(ground: Ground) -> None:
        await ground.subscribe(OAK, "/slow")
        await ground.subscribe(ELM, "/quick")

        async def answer(got: Got) -> web.StreamResponse:
            return await (ground.receiver.hold(got) if got.path == "/slow" else always(200)(got))

        ground.receiver.answer = answer
        many = 5 * ABREAST
        ground.publish(*(event(n) for n in range(many)))
        await ground.until(lambda: len(ground.receiver.at("/slow")) == ABREAST, "the slow one is busy")
        ground.publish(*(event(n, practice=ELM) for n in range(many)))
        await ground.until(lambda: ground.states()["delivered"] == many, "the quick one has everything")
        assert len(ground.receiver.at("/slow")) == ABREAST
        ground.receiver.release()

    run(story)


def test_a_crash_between_sending_and_recording_sends_again_with_the_same_id(
    connection: Connection, database_url: str, amqp_url: str
) -> None:
    topology.declare(amqp_url)

    async def main() -> None:
        async with receiving() as receiver:
            ground = Ground(connection, database_url, amqp_url, receiver)
            await ground.subscribe()
            receiver.answer = receiver.hold
            async with notifying(database_url, amqp_url) as process:
                ground.publish(event(1))
                await ground.until(lambda: len(receiver.got) == 1, "the receiver has it")
                process.cancel()
            assert ground.rows("SELECT state, attempts FROM delivery") == [("waiting", 1)]
            receiver.answer = always(200)
            async with notifying(database_url, amqp_url):
                ground.publish(event(2))
                await ground.until(lambda: ground.states()["delivered"] == 1, "it works")
                assert len(receiver.got) == 2, "the first is still taken: nobody knows that its process died"
                ground.due_now()
                await ground.until(lambda: ground.states() == {"delivered": 2}, "it is sent again")
            assert [got.headers["webhook-id"] for got in receiver.got] == ["oak-1", "oak-2", "oak-1"]
            assert verified(receiver.got[2], next(iter(ground.secrets.values()))) == event(1)

    asyncio.run(main())


def sent(url: str, environment: str) -> Answer:
    async def main() -> Answer:
        async with open_session(environment) as session:
            return await post(
                session, environment=environment, url=url, event_id="e", body="{}", secrets=[new_secret()]
            )

    return asyncio.run(main())


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1", "0"])
def test_outside_development_nothing_connects_to_our_own_network(host: str) -> None:
    async def main() -> None:
        taken: list[Any] = []
        server = await asyncio.start_server(lambda *pair: taken.append(pair), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with open_session("prod") as session:
            answer = await post(
                session,
                environment="prod",
                url=f"https://{host}:{port}/",
                event_id="e",
                body="{}",
                secrets=[new_secret()],
            )
        server.close()
        # Some of these are no hosts to the HTTP client, and the others are none to us.
        assert answer.outcome in {"address_refused", "unreachable"}
        assert taken == []

    asyncio.run(main())


def test_outside_development_nothing_is_sent_without_tls() -> None:
    assert sent("http://example.com/", "prod") == Answer("address_refused")


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "http://a..b/", "http://nowhere.invalid/"])
def test_a_receiver_that_is_not_there_is_unreachable(url: str) -> None:
    assert sent(url, "dev") == Answer("unreachable")


def test_a_redirect_is_not_followed_and_an_endless_answer_is_not_read() -> None:
    async def main() -> None:
        written = 0

        async def endless(got: Got) -> web.StreamResponse:
            nonlocal written
            response = web.StreamResponse()
            await response.prepare(got.request)
            with contextlib.suppress(ConnectionError):
                while written < 64 * 1024 * 1024:
                    await response.write(b"x" * 65536)
                    written += 65536
            return response

        async with receiving() as receiver, open_session("dev") as session:

            async def send() -> Answer:
                return await post(
                    session, environment="dev", url=receiver.url, event_id="e", body="{}", secrets=[new_secret()]
                )

            receiver.answer = always(307, Location=f"{receiver.url}/elsewhere")
            assert await send() == Answer("redirected", 307)
            receiver.answer = endless
            assert await send() == Answer("delivered", 200)
            assert [got.path for got in receiver.got] == ["/", "/"]
        assert written < 64 * 1024 * 1024

    asyncio.run(main())


def test_what_was_done_long_ago_is_deleted_in_steps_and_what_waits_is_kept(
    connection: Connection, database_url: str
) -> None:
    async def main() -> None:
        webhook = await Ground(connection, database_url, "", Receiver()).subscribe()
        connection.execute(
            "INSERT INTO delivery (subscription_id, event_id, type, body, state, done_at)"
            " SELECT %s, n::text, 'payment.settled', '{}', 'delivered', now() - interval '31 days'"
            " FROM generate_series(1, %s) n",
            [webhook, STEP + 1],
        )
        for event_id, state, done in (("a", "delivered", "29 days"), ("b", "held", "29 days"), ("c", "waiting", None)):
            connection.execute(
                "INSERT INTO delivery (subscription_id, event_id, type, body, created_at, state, done_at)"
                " VALUES (%s, %s, 'payment.settled', '{}', now() - interval '40 days', %s, now() - %s::interval)",
                [webhook, event_id, state, done],
            )
        async with open_pool(database_url, process="test", most=1) as pool:
            assert [await clean(pool) for _ in range(3)] == [STEP, 1, 0]
        left = connection.execute("SELECT event_id FROM delivery ORDER BY event_id").fetchall()
        assert left == [("a",), ("b",), ("c",)]

    asyncio.run(main())
