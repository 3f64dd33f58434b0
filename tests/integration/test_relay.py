"""From the outbox to RabbitMQ."""

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from itertools import product
from typing import Any
from uuid import UUID

import dramatiq
import pika
import psycopg
import pytest

from schemas.commands import (
    AGGREGATOR_QUEUE,
    CHARGE_ACTORS,
    CHARGE_QUEUES,
    FIRST_CHARGE_ACTORS,
    FIRST_CHARGE_QUEUES,
    VOID_ACTOR,
    VOID_QUEUE,
)
from schemas.events import EVENTS_EXCHANGE
from services.relay.ahead import AT_ONCE, FIRST_HINTS, PER_S
from services.relay.feed import QUEUED_AT_LEAST
from services.relay.rates import Limits
from services.relay.relay import NO_LIMITS, lines_of, run_relay
from shared.messaging.publish import Outgoing, Publisher
from shared.messaging.topology import NOTIFY_QUEUE, UNROUTED_QUEUE, declare
from shared.store import outbox, statements
from tests import builders
from tests.cutting import cut_connections
from tests.metrics import shown
from tests.rabbitmq_vhost import RabbitMQ
from tests.waiting import eventually

UPSTREAM = "upstream"
VANTAGE_QUEUE, FIRST_QUEUE = CHARGE_QUEUES["vantage"], FIRST_CHARGE_QUEUES["vantage"]
LARGE, SMALL = UUID(int=1), UUID(int=2)


@pytest.fixture
def database(database_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def publisher(amqp_url: str) -> Iterator[Publisher]:
    with Publisher(amqp_url) as publisher:
        yield publisher


DISABLED = {"state": "disabled", "disabled_at": datetime.now(UTC), "disabled_by": "pat", "disabled_why": "asked"}


@pytest.fixture
def upstream(rabbitmq: RabbitMQ, amqp_url: str) -> str:
    """A queue of an upstream app that takes every event."""
    declare(amqp_url)
    rabbitmq.bind(UPSTREAM, EVENTS_EXCHANGE, "#")
    return UPSTREAM


@contextmanager
def relaying(
    database_url: str, amqp_url: str, *, relays: int = 1, limits: Mapping[str, Limits] = NO_LIMITS
) -> Iterator[None]:
    stop = threading.Event()

    def run() -> None:
        lines = lines_of(queued_at_most=500, limits=limits)
        run_relay(lines, database_url=database_url, amqp_url=amqp_url, stop=stop)

    # So that a test may look at a queue from the start.
    declare(amqp_url)
    threads = [threading.Thread(target=run) for _ in range(relays)]
    for thread in threads:
        thread.start()
    try:
        with psycopg.connect(database_url, autocommit=True) as connection:
            eventually(lambda: listening(connection) == 3 * relays, what="every line of every relay listens")
        yield
    finally:
        stop.set()
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute(f"NOTIFY {outbox.CHANNEL}")
            connection.execute(f"NOTIFY {outbox.SUBMITTED_CHANNEL}")
        for thread in threads:
            thread.join(10)
            assert not thread.is_alive()


def listening(connection: psycopg.Connection) -> int:
    row = connection.execute(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND query LIKE 'LISTEN %' AND state = 'idle'"
    ).fetchone()
    assert row
    return int(row[0])


def hint(
    database: psycopg.Connection,
    count: int,
    *,
    batch: UUID = LARGE,
    lane: str = "charge.vantage",
    available_in_s: float = 0,
) -> set[str]:
    rows = database.execute(
        "INSERT INTO outbox (lane, batch_id, payment_id, available_at)"
        " SELECT %s, %s, uuid7(), clock_timestamp() + make_interval(secs => %s) FROM generate_series(1, %s)"
        " RETURNING payment_id::text, pg_notify('batchpay_outbox', '')",
        (lane, batch, available_in_s, count),
    )
    return {row[0] for row in rows}


def batch_of(database: psycopg.Connection, *, account: str) -> UUID:
    practice = builders.practice(database, processor_account=account)
    return builders.batch(database, practice, total=1, total_minor=100, processor_account=account)


def announce(
    database: psycopg.Connection,
    count: int,
    *,
    type_: str = "payment.approved",
    batch: UUID = LARGE,
    practice: str = "practice-1",
) -> None:
    database.execute(
        "INSERT INTO outbox (lane, batch_id, routing_key, body)"
        " SELECT 'event', %(batch)s, %(type)s, jsonb_build_object('sequence', n, 'type', %(type)s::text,"
        "   'batch_id', %(batch)s::text, 'practice_id', %(practice)s::text)::text"
        " FROM generate_series(1, %(count)s) n",
        {"type": type_, "batch": batch, "practice": practice, "count": count},
    )
    database.execute(f"NOTIFY {outbox.CHANNEL}")


def rows_left(database: psycopg.Connection) -> int:
    row = database.execute("SELECT count(*) FROM outbox").fetchone()
    assert row is not None
    return int(row[0])


def taken(amqp_url: str, queue: str, *, at_least: int) -> list[bytes]:
    """Take messages for good as they come, until there were enough and no more follow."""
    declare(amqp_url)
    connection = pika.BlockingConnection(pika.URLParameters(amqp_url))
    bodies: list[bytes] = []
    give_up_at = time.monotonic() + 15
    for method, _, body in connection.channel().consume(queue, auto_ack=True, inactivity_timeout=0.1):
        if method is not None:
            bodies.append(body)
        elif len(bodies) >= at_least or time.monotonic() > give_up_at:
            break
    connection.close()
    return bodies


def sequences(bodies: list[bytes]) -> list[int]:
    return [json.loads(body)["sequence"] for body in bodies]


def payment(body: bytes) -> str:
    return str(dramatiq.Message.decode(body).args[0])


@pytest.mark.parametrize(
    ("lane", "receiver"),
    [
        ("charge.vantage", (CHARGE_QUEUES["vantage"], CHARGE_ACTORS["vantage"])),
        ("charge.stripe", (CHARGE_QUEUES["stripe"], CHARGE_ACTORS["stripe"])),
        ("void", (VOID_QUEUE, VOID_ACTOR)),
    ],
)
def test_a_command_becomes_a_dramatiq_message_with_the_payment_only(
    lane: str, receiver: tuple[str, str], database: psycopg.Connection, database_url: str, amqp_url: str
) -> None:
    (payment_id,) = hint(database, 1, lane=lane)
    with relaying(database_url, amqp_url):
        eventually(lambda: rows_left(database) == 0)
    (body,) = taken(amqp_url, receiver[0], at_least=1)
    message = dramatiq.Message.decode(body)
    assert (message.queue_name, message.actor_name) == receiver
    assert (message.args, message.kwargs, message.options) == ((payment_id,), {}, {})


def test_events_leave_in_the_order_they_were_written(
    database: psycopg.Connection, database_url: str, amqp_url: str, upstream: str
) -> None:
    announce(database, 2500)
    with relaying(database_url, amqp_url):
        eventually(lambda: rows_left(database) == 0)
    assert sequences(taken(amqp_url, upstream, at_least=2500)) == list(range(1, 2501))


def test_the_aggregator_gets_one_count_of_a_batch_whatever_number_of_its_payments_moved(
    database: psycopg.Connection, database_url: str, rabbitmq: RabbitMQ, amqp_url: str
) -> None:
    for batch in (LARGE, SMALL):
        announce(database, 300, batch=batch)
    announce(database, 5, type_="batch.completed")
    announce(database, 5, type_="invoice.paid")
    with relaying(database_url, amqp_url):
        eventually(lambda: rows_left(database) == 0)
        counted = [json.loads(body) for body in taken(amqp_url, AGGREGATOR_QUEUE, at_least=2)]
        assert {one["batch_id"] for one in counted} == {str(LARGE), str(SMALL)}
        # Rows that were notified one by one may have left in two rounds.
        assert len(counted) <= 4
        announce(database, 5, type_="invoice.reopened")
        eventually(lambda: rows_left(database) == 0)
    assert rabbitmq.depth(AGGREGATOR_QUEUE) == 0


def test_notify_gets_the_events_of_practices_with_a_webhook(
    database: psycopg.Connection, database_url: str, rabbitmq: RabbitMQ, amqp_url: str, upstream: str
) -> None:
    builders.subscription(database, builders.practice(database, external_id="told"))
    builders.subscription(database, builders.practice(database, external_id="off"), **DISABLED)
    builders.subscription(database, builders.practice(database, external_id="gone"), state="deleted")
    builders.practice(database, external_id="never")
    practices = ("told", "off", "gone", "never", "unknown", "quote'\\")
    for practice in practices:
        announce(database, 1, type_="payment.approved", practice=practice)
        announce(database, 1, type_="invoice.paid", practice=practice)
    with relaying(database_url, amqp_url):
        eventually(lambda: rows_left(database) == 0)
    got = [json.loads(body) for body in taken(amqp_url, NOTIFY_QUEUE, at_least=4)]
    kinds = ("payment.approved", "invoice.paid")
    assert Counter((one["practice_id"], one["type"]) for one in got) == Counter(product(("told", "off"), kinds))
    assert rabbitmq.depth(upstream) == 2 * len(practices)


def test_an_event_of_a_practice_with_a_nul_leaves(
    database: psycopg.Connection, database_url: str, rabbitmq: RabbitMQ, amqp_url: str, upstream: str
) -> None:
    body = json.dumps({"practice_id": "a\0b", "batch_id": None})
    database.execute(
        "INSERT INTO outbox (lane, batch_id, routing_key, body) VALUES ('event', %s, 'request.rejected', %s)",
        (LARGE, body),
    )
    with relaying(database_url, amqp_url):
        eventually(lambda: rows_left(database) == 0)
    assert rabbitmq.bodies(upstream) == [body]


def test_an_event_for_nobody_leaves_and_is_not_kept(
    database: psycopg.Connection, database_url: str, rabbitmq: RabbitMQ, amqp_url: str
) -> None:
    announce(database, 10, type_="invoice.paid")
    with relaying(database_url, amqp_url):
        eventually(lambda: rows_left(database) == 0)
    assert rabbitmq.depth(UNROUTED_QUEUE) == 0


@pytest.mark.parametrize("queue", [AGGREGATOR_QUEUE, NOTIFY_QUEUE])
def test_an_event_stays_until_every_queue_of_ours_has_it(
    queue: str, database: psycopg.Connection, database_url: str, rabbitmq: RabbitMQ, amqp_url: str
) -> None:
    builders.subscription(database, builders.practice(database, external_id="told"))
    with relaying(database_url, amqp_url):
        announce(database, 1, practice="told")
        eventually(lambda: rows_left(database) == 0)
        rabbitmq.management.delete("queues", rabbitmq.vhost, queue)
        announce(database, 1, practice="told")
        eventually(lambda: rows_left(database) == 0)
    assert rabbitmq.depth(queue) == 1


def test_two_relays_publish_every_row_once(
    database: psycopg.Connection, database_url: str, rabbitmq: RabbitMQ, amqp_url: str, upstream: str
) -> None:
    with relaying(database_url, amqp_url, relays=2):
        for _ in range(4):
            announce(database, 2000)
        eventually(lambda: rows_left(database) == 0)
    assert rabbitmq.depth(upstream) == 8000


def test_no_row_is_lost_when_connections_are_cut_under_way(
    database: psycopg.Connection, database_url: str, amqp_url: str, upstream: str
) -> None:
    with relaying(database_url, amqp_url):
        for _ in range(3):
            announce(database, 3000)
            eventually(lambda: rows_left(database) < 3000)
            assert cut_connections(amqp_url)
        eventually(lambda: rows_left(database) == 0)
    counts = Counter(sequences(taken(amqp_url, upstream, at_least=9000)))
    assert set(counts) == set(range(1, 3001))
    assert min(counts.values()) == 3


def test_goes_on_when_postgresql_ended_its_sessions(
    database: psycopg.Connection, database_url: str, rabbitmq: RabbitMQ, amqp_url: str, upstream: str
) -> None:
    with relaying(database_url, amqp_url):
        announce(database, 10)
        eventually(lambda: rows_left(database) == 0)
        database.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        announce(database, 10)
        eventually(lambda: rows_left(database) == 0)
    assert rabbitmq.depth(upstream) == 20


def test_goes_on_after_rabbitmq_came_back_empty(
    database: psycopg.Connection, database_url: str, rabbitmq: RabbitMQ, amqp_url: str
) -> None:
    with relaying(database_url, amqp_url):
        announce(database, 10)
        eventually(lambda: rows_left(database) == 0)
        rabbitmq.delete()
        hint(database, 5)
        rabbitmq.create()
        eventually(lambda: rows_left(database) == 0)
    assert rabbitmq.depth(VANTAGE_QUEUE) == 5


def test_a_deleted_queue_gets_its_messages_again(
    database: psycopg.Connection, database_url: str, rabbitmq: RabbitMQ, amqp_url: str
) -> None:
    declare(amqp_url)
    rabbitmq.management.delete("queues", rabbitmq.vhost, VANTAGE_QUEUE)
    with relaying(database_url, amqp_url):
        hint(database, 5)
        eventually(lambda: rows_left(database) == 0)
        rabbitmq.management.delete("queues", rabbitmq.vhost, VANTAGE_QUEUE)
        hint(database, 5)
        eventually(lambda: rows_left(database) == 0)
    assert rabbitmq.depth(VANTAGE_QUEUE) == 5


def test_the_queue_is_kept_short_and_a_small_batch_does_not_wait_behind_a_large_one(
    database: psycopg.Connection, database_url: str, rabbitmq: RabbitMQ, amqp_url: str
) -> None:
    large = hint(database, 3000)
    with relaying(database_url, amqp_url):
        eventually(lambda: rows_left(database) == 3000 - QUEUED_AT_LEAST)
        assert rabbitmq.depth(VANTAGE_QUEUE) == QUEUED_AT_LEAST
        small = hint(database, 5, batch=SMALL)
        order = [payment(body) for body in taken(amqp_url, VANTAGE_QUEUE, at_least=3005)]
    assert set(order) == large | small
    assert max(order.index(payment_id) for payment_id in small) < QUEUED_AT_LEAST + 3 * len(small)


@contextmanager
def taking(amqp_url: str, queue: str) -> Iterator[list[bytes]]:
    """Take messages for good as they come, as a worker would."""
    bodies: list[bytes] = []
    declare(amqp_url)
    connection = pika.BlockingConnection(pika.URLParameters(amqp_url))
    connection.channel().basic_consume(queue, lambda *delivered: bodies.append(delivered[3]), auto_ack=True)
    stop = threading.Event()

    def take() -> None:
        while not stop.is_set():
            connection.process_data_events(0.02)
        connection.close()

    thread = threading.Thread(target=take)
    thread.start()
    try:
        yield bodies
    finally:
        stop.set()
        thread.join(10)


def fill(database: psycopg.Connection, rabbitmq: RabbitMQ) -> set[str]:
    """Hints that fill the lane's queue, so that what comes now can only go ahead."""
    wanted = hint(database, 1000)
    eventually(lambda: rabbitmq.depth(VANTAGE_QUEUE) == QUEUED_AT_LEAST)
    return wanted


def submitted(database: psycopg.Connection, count: int, *, account: str = "700001") -> set[str]:
    """A batch with so many hints, told as its submit tells it."""
    with database.transaction():
        batch = batch_of(database, account=account)
        wanted = hint(database, count, batch=batch)
        database.execute("SELECT pg_notify('batchpay_submitted', %s)", (str(batch),))
    return wanted


@pytest.mark.unsound("batches without payments")
def test_the_first_hints_of_a_batch_go_ahead_though_the_queue_is_full(
    database: psycopg.Connection, database_url: str, rabbitmq: RabbitMQ, amqp_url: str
) -> None:
    with taking(amqp_url, FIRST_QUEUE) as ahead, relaying(database_url, amqp_url):
        before = fill(database, rabbitmq)
        large = submitted(database, 1000)
        eventually(lambda: len(ahead) == FIRST_HINTS)
        small = submitted(database, 5)
        eventually(lambda: len(ahead) == FIRST_HINTS + len(small))
        order = [payment(body) for body in taken(amqp_url, VANTAGE_QUEUE, at_least=1990)]
    assert {payment(body) for body in ahead[:FIRST_HINTS]} < large
    assert {payment(body) for body in ahead[FIRST_HINTS:]} == small
    assert set(order) == (before | large) - {payment(body) for body in ahead}
    message = dramatiq.Message.decode(ahead[0])
    assert (message.queue_name, message.actor_name) == (FIRST_QUEUE, FIRST_CHARGE_ACTORS["vantage"])


@pytest.mark.unsound("batches without payments")
def test_a_notification_that_is_no_batch_changes_nothing(
    database: psycopg.Connection, database_url: str, rabbitmq: RabbitMQ, amqp_url: str
) -> None:
    with taking(amqp_url, FIRST_QUEUE) as ahead, relaying(database_url, amqp_url):
        fill(database, rabbitmq)
        for nonsense in ("", "BP-1001", "'; DROP TABLE batch", str(UUID(int=0))):
            database.execute("SELECT pg_notify('batchpay_submitted', %s)", (nonsense,))
        submitted(database, 5)
        eventually(lambda: len(ahead) == 5)


@pytest.mark.unsound("batches without payments")
def test_when_many_batches_come_at_once_most_go_in_turns(
    database: psycopg.Connection, database_url: str, rabbitmq: RabbitMQ, amqp_url: str
) -> None:
    began_s = time.monotonic()
    with taking(amqp_url, FIRST_QUEUE) as ahead, relaying(database_url, amqp_url):
        fill(database, rabbitmq)
        wanted = set().union(*(submitted(database, 20) for _ in range(20)))
        told_s = time.monotonic()
        order = [payment(body) for body in taken(amqp_url, VANTAGE_QUEUE, at_least=1300)]
    first = {payment(body) for body in ahead}
    assert len(first) <= AT_ONCE + (told_s - began_s + 1) * PER_S
    assert first < wanted < first | set(order)


@pytest.mark.unsound("batches without payments")
def test_nothing_goes_ahead_while_no_worker_takes_it(
    database: psycopg.Connection, database_url: str, rabbitmq: RabbitMQ, amqp_url: str
) -> None:
    with relaying(database_url, amqp_url):
        submitted(database, 5)
        eventually(lambda: rows_left(database) == 0)
    assert (rabbitmq.depth(FIRST_QUEUE), rabbitmq.depth(VANTAGE_QUEUE)) == (0, 5)


@pytest.mark.unsound("batches without payments")
def test_what_goes_ahead_keeps_to_the_limits_of_its_lane(
    database: psycopg.Connection, database_url: str, rabbitmq: RabbitMQ, publisher: Publisher, amqp_url: str
) -> None:
    # So full that nothing is sent in turns, which would take from the same limit.
    publisher.publish([Outgoing("", VANTAGE_QUEUE, b"{}", str(n)) for n in range(QUEUED_AT_LEAST)])
    limits = {"charge.vantage": Limits(in_all=40)}
    with taking(amqp_url, FIRST_QUEUE) as ahead, relaying(database_url, amqp_url, limits=limits):
        began_s = time.monotonic()
        for _ in range(6):
            submitted(database, FIRST_HINTS)
        eventually(lambda: ahead)
    took_s = time.monotonic() - began_s
    assert len(ahead) <= 0.1 * 40 + 40 * took_s + 1
    assert rabbitmq.depth(VANTAGE_QUEUE) == QUEUED_AT_LEAST


def test_more_batches_than_fit_one_round_all_get_their_turn(
    database: psycopg.Connection, database_url: str, amqp_url: str
) -> None:
    batches = [UUID(int=n) for n in range(1, 301)]
    wanted = {payment_id for batch in batches for payment_id in hint(database, 2, batch=batch)}
    with relaying(database_url, amqp_url):
        order = [payment(body) for body in taken(amqp_url, VANTAGE_QUEUE, at_least=600)]
    assert set(order) == wanted


def test_a_command_leaves_when_it_is_due_and_not_before(
    database: psycopg.Connection, database_url: str, amqp_url: str
) -> None:
    due_at = time.monotonic() + 1.0
    (later,) = hint(database, 1, available_in_s=1.0)
    (now,) = hint(database, 1)
    with relaying(database_url, amqp_url):
        eventually(lambda: rows_left(database) == 0)
        # The two clocks are read a moment apart.
        assert time.monotonic() > due_at - 0.05
    assert [payment(body) for body in taken(amqp_url, VANTAGE_QUEUE, at_least=2)] == [now, later]


@pytest.mark.unsound("batches without payments")
@pytest.mark.parametrize("limits", [Limits(in_all=40), Limits(per_account=40)], ids=["processor", "account"])
def test_a_limited_lane_leaves_at_its_rate_whatever_the_number_of_relays(
    limits: Limits, database: psycopg.Connection, database_url: str, rabbitmq: RabbitMQ, amqp_url: str
) -> None:
    hint(database, 60, batch=batch_of(database, account="700001"))
    unlimited = hint(database, 20, lane="charge.stripe")
    waits = shown("rate_limit_waits_total", lane="charge.vantage")
    began_s = time.monotonic()
    with relaying(database_url, amqp_url, relays=2, limits={"charge.vantage": limits}):
        assert len(taken(amqp_url, CHARGE_QUEUES["stripe"], at_least=20)) == len(unlimited)
        eventually(lambda: rows_left(database) == 0)
        took_s = time.monotonic() - began_s
    assert rabbitmq.depth(VANTAGE_QUEUE) == 60
    # A tenth of a second's worth may leave at once.
    assert took_s > (60 - 0.1 * 40 - 1) / 40
    assert shown("rate_limit_waits_total", lane="charge.vantage") > waits


@pytest.mark.unsound("batches without payments")
def test_an_account_at_its_limit_does_not_hold_up_another(
    database: psycopg.Connection, database_url: str, amqp_url: str
) -> None:
    hint(database, 50, batch=batch_of(database, account="700001"))
    with relaying(database_url, amqp_url, limits={"charge.vantage": Limits(per_account=1)}):
        (expected,) = hint(database, 1, batch=batch_of(database, account="700002"))
        order = [payment(body) for body in taken(amqp_url, VANTAGE_QUEUE, at_least=2)]
    assert expected in order[:4]


@contextmanager
def full_outbox(database_url: str, *, rows: int) -> Iterator[psycopg.Connection]:
    with ExitStack() as stack:
        connection = stack.enter_context(psycopg.connect(database_url, autocommit=True))
        connection.execute(
            "INSERT INTO outbox (lane, batch_id, payment_id, available_at)"
            " SELECT 'charge.vantage', lpad((n %% 20)::text, 32, '0')::uuid, uuid7(),"
            "   clock_timestamp() + CASE n %% 20 WHEN 7 THEN interval '1 h' ELSE '0' END"
            " FROM generate_series(1, %s) n",
            (rows,),
        )
        announce(connection, rows // 2)
        submit_many(connection, payments=rows)
        connection.execute("ANALYZE outbox, batch_hint, payment")
        yield connection


def submit_many(connection: psycopg.Connection, *, payments: int) -> None:
    """Twenty new batches, the first of which has half of all payments, and many of another lane: rows of nothing."""
    connection.execute(
        "INSERT INTO batch_hint (lane, batch_id)"
        " SELECT CASE WHEN n <= 20 THEN 'charge.vantage' ELSE 'charge.stripe' END, lpad(n::text, 32, '0')::uuid"
        " FROM generate_series(1, 1000) n"
    )
    with connection.transaction():
        connection.execute("SET LOCAL session_replication_role = replica")
        connection.execute(
            "INSERT INTO payment (batch_id, practice_id, invoice_id, client_id, method_id, processor, account,"
            " payer_id, token, method_type, amount_minor, currency, number, next_check_at)"
            " SELECT lpad((CASE n %% 2 WHEN 0 THEN 1 ELSE 1 + n %% 1000 END)::text, 32, '0')::uuid, uuid7(), uuid7(),"
            "   uuid7(), uuid7(), 'vantage', '', '', n, 'card', 1, 'USD', n, now()"
            " FROM generate_series(1, %s) n",
            (payments,),
        )


PARAMETERS = {
    "take_events": {"at_most": 100},
    "waiting_batches": {
        "lanes": ["charge.vantage"] * 2,
        "after": [UUID(int=5), UUID(int=0)],
        "at_most": 100,
        "left_s": 0.1,
    },
    "take_hints": {"lane": "charge.vantage", "batches": [UUID(int=n) for n in range(20)], "most": [5] * 20},
    "move_cursors": {"lane": "charge.vantage", "batches": [LARGE, SMALL], "up_to": [UUID(int=0)] * 2},
    "next_due": {"lane": "charge.vantage", "batches": [UUID(int=n) for n in range(20)]},
    "delete": {"ids": list(range(1, 100))},
}


@pytest.mark.unsound("payments of nothing")
def test_no_statement_reads_more_when_the_outbox_is_larger(database_url: str) -> None:
    assert set(PARAMETERS) == set(statements.load("outbox")) - {"write_event", "new_batches", "notify"}
    with full_outbox(database_url, rows=20_000) as connection:
        for name, parameters in PARAMETERS.items():
            assert pages_read(connection, name, parameters) < 600, name


def nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan, *(inner for child in plan.get("Plans", []) for inner in nodes(child))]


def pages_read(connection: psycopg.Connection, name: str, parameters: dict[str, object]) -> int:
    with connection.transaction(force_rollback=True):
        explain = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statements.load('outbox')[name]}"
        row = connection.execute(explain.encode(), parameters).fetchone()
    assert row is not None
    (plan,) = row[0] if isinstance(row[0], list) else json.loads(row[0])
    growing = {"outbox", "batch_hint", "payment"}
    scans = [node for node in nodes(plan["Plan"]) if node.get("Relation Name") in growing]
    assert scans
    assert all(node["Node Type"] != "Seq Scan" for node in scans), name
    assert "Sort Key" not in json.dumps(scans), name
    return int(plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"])
