"""The first hints of a batch: from its one row to RabbitMQ, each payment at least once whatever happens under way."""

import asyncio
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

import dramatiq
import psycopg
import pytest

from schemas.commands import CHARGE_QUEUES, FIRST_CHARGE_QUEUES
from services.relay.ahead import FIRST_HINTS, LEFT_S, LOOK_EVERY_S
from services.relay.feed import LOOK_AGAIN_S, QUEUED_AT_LEAST, Feed, shares
from services.relay.hints import LANES, UNLIMITED, Hints, Sent
from services.relay.rates import Limits
from services.relay.relay import lines_of
from shared.crash_points import EXIT_CODE
from shared.messaging.publish import Outgoing, Publisher
from shared.messaging.topology import declare
from shared.store import outbox, sweeps
from shared.store.pool import open_pool
from tests import builders
from tests.cutting import cut_connections
from tests.integration.test_pause import claimed
from tests.integration.test_relay import fill, hint, payment, relaying, submitted, taken, taking
from tests.rabbitmq_vhost import RabbitMQ
from tests.waiting import eventually

LANE = "charge.vantage"
QUEUE, FIRST_QUEUE = CHARGE_QUEUES["vantage"], FIRST_CHARGE_QUEUES["vantage"]
NOBODY = UUID(int=0)


@pytest.fixture
def database(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    # Bounded, so that a line that waits where it must not is seen.
    with psycopg.connect(database_url, autocommit=True, options="-c statement_timeout=10s") as connection:
        yield connection


@pytest.fixture
def publisher(amqp_url: str) -> Iterator[Publisher]:
    with Publisher(amqp_url) as publisher:
        assert publisher.wait_connected(10.0)
        yield publisher


def submit(database: psycopg.Connection[Any], count: int, *, told: bool = True) -> tuple[UUID, list[str]]:
    """A batch and its payments in the order of their ids, with the row of their first hints, as submit leaves them.

    It is just old enough for every line.
    """
    with database.transaction():
        made = builders.submitted(database, count)
        database.execute(
            "INSERT INTO batch_hint (lane, batch_id, created_at)"
            " VALUES (%s, %s, clock_timestamp() - make_interval(secs => %s))",
            [LANE, made.batch_id, LEFT_S],
        )
        if told:
            tell(database, made.batch_id)
    return made.batch_id, sorted(map(str, made.payments))


def tell(database: psycopg.Connection[Any], batch: UUID) -> None:
    database.execute("SELECT pg_notify('batchpay_submitted', %s)", [str(batch)])


def cursor(database: psycopg.Connection[Any], batch: UUID) -> str | None:
    """The last payment that was hinted, None if the batch's row is gone."""
    row = database.execute("SELECT after::text FROM batch_hint WHERE batch_id = %s", [batch]).fetchone()
    return row[0] if row else None


def cancel(database: psycopg.Connection[Any], payments: Sequence[str]) -> None:
    database.execute(
        "UPDATE payment SET state = 'canceled', next_check_at = NULL, finished_at = now() WHERE id = ANY (%s::uuid[])",
        [list(payments)],
    )


class Losing(Publisher):
    """Loses on the way to RabbitMQ what is about one of the payments in `lost`."""

    lost: frozenset[str] = frozenset()

    def publish(self, messages: Sequence[Outgoing]) -> list[bool]:
        safe = [message for message in messages if payment(message.body) not in self.lost]
        confirmed = dict(zip(safe, super().publish(safe), strict=True))
        return [confirmed.get(message, False) for message in messages]


@pytest.fixture
def losing(amqp_url: str) -> Iterator[Losing]:
    with Losing(amqp_url) as publisher:
        assert publisher.wait_connected(10.0)
        yield publisher


def send(database: psycopg.Connection[Any], publisher: Publisher, *, room: int, limits: Limits = UNLIMITED) -> Sent:
    """One round of the line."""
    batches = outbox.waiting_batches(database, after={LANE: NOBODY}, at_most=100)[LANE]
    return Hints(LANE, LANES[LANE], limits).send(database, publisher, batches, room=room, share=shares)


def test_first_hints_leave_in_the_order_of_the_payments_and_the_row_goes_with_the_last(
    database: psycopg.Connection[Any], database_url: str, amqp_url: str
) -> None:
    batch, payments = submit(database, 2 * QUEUED_AT_LEAST)
    with relaying(database_url, amqp_url):
        bodies = taken(amqp_url, QUEUE, at_least=len(payments))
        eventually(lambda: cursor(database, batch) is None, what="the row is gone")
    assert [payment(body) for body in bodies] == payments
    ids = [dramatiq.Message.decode(body).message_id for body in bodies]
    assert ids == [f"hint-{payment_id}" for payment_id in payments]


@pytest.mark.parametrize("place", ["relay_taken", "relay_confirmed", "relay_deleted"])
def test_a_relay_that_dies_anywhere_hints_every_payment_at_least_once(
    place: str, database: psycopg.Connection[Any], database_url: str, amqp_url: str
) -> None:
    batch, payments = submit(database, QUEUED_AT_LEAST + 16)
    environment = {
        **os.environ,
        "BATCHPAY_DATABASE_URL": database_url,
        "BATCHPAY_AMQP_URL": amqp_url,
        "BATCHPAY_METRICS_PORT": "0",
        "BATCHPAY_ENVIRONMENT": "dev",
        "BATCHPAY_CRASH_AT": place,
    }
    dead = subprocess.run([sys.executable, "-m", "services.relay"], env=environment, check=False, timeout=30)
    assert dead.returncode == EXIT_CODE
    # What it did not commit is as if it had never been.
    assert cursor(database, batch) == str(NOBODY)
    with relaying(database_url, amqp_url):
        bodies = taken(amqp_url, QUEUE, at_least=len(payments))
        eventually(lambda: cursor(database, batch) is None, what="the row is gone")
    # Whoever takes both copies of a hint can tell that they are copies.
    messages = {dramatiq.Message.decode(body).message_id for body in bodies}
    assert {payment(body) for body in bodies} == set(payments)
    assert len(messages) == len(payments)


def test_the_cursor_stops_before_a_hint_that_was_not_confirmed_and_it_is_taken_again(
    database: psycopg.Connection[Any], amqp_url: str, losing: Losing
) -> None:
    batch, payments = submit(database, 10)
    losing.lost = frozenset({payments[3], payments[5]})
    assert send(database, losing, room=8).arrived == 6
    assert cursor(database, batch) == payments[2]
    losing.lost = frozenset({payments[3]})
    assert send(database, losing, room=4).arrived == 3
    assert cursor(database, batch) == payments[2]
    losing.lost = frozenset()
    assert send(database, losing, room=10).arrived == 7
    assert cursor(database, batch) is None
    order = [payment(body) for body in taken(amqp_url, QUEUE, at_least=16)]
    assert set(order) == set(payments)
    assert len(order) == 6 + 3 + 7


def test_a_row_of_the_outbox_stays_until_its_hint_is_confirmed(
    database: psycopg.Connection[Any], amqp_url: str, losing: Losing
) -> None:
    payments = sorted(hint(database, 3))
    losing.lost = frozenset(payments[1:])
    assert send(database, losing, room=3).arrived == 1
    losing.lost = frozenset(payments[2:])
    assert send(database, losing, room=3).arrived == 1
    losing.lost = frozenset()
    assert send(database, losing, room=3).arrived == 1
    assert outbox.waiting_batches(database, after={LANE: NOBODY}, at_most=100)[LANE] == []
    assert sorted(payment(body) for body in taken(amqp_url, QUEUE, at_least=3)) == payments


def test_while_a_relay_publishes_postgresql_sees_it_idle_and_would_end_it(
    database: psycopg.Connection[Any], amqp_url: str
) -> None:
    """Its locks are held then, and `idle_in_transaction_session_timeout` takes them from a relay that stands still."""
    submit(database, 3)
    seen: list[Any] = []

    class Looking(Publisher):
        def publish(self, messages: Sequence[Outgoing]) -> list[bool]:
            state = "SELECT state FROM pg_stat_activity WHERE pid = %s"
            with psycopg.connect(database.info.dsn, password=database.info.password) as other:
                seen.append(other.execute(state, [database.info.backend_pid]).fetchone())
            return super().publish(messages)

    with Looking(amqp_url) as looking:
        assert looking.wait_connected(10.0)
        assert send(database, looking, room=3).arrived == 3
    assert seen == [("idle in transaction",)]


def test_a_cursor_does_not_move_when_nothing_arrived_and_never_back(
    database: psycopg.Connection[Any], losing: Losing
) -> None:
    batch, payments = submit(database, 4)
    send(database, losing, room=2)
    assert cursor(database, batch) == payments[1]
    losing.lost = frozenset(payments)
    assert send(database, losing, room=4).arrived == 0
    assert cursor(database, batch) == payments[1]
    outbox.move_cursors(database, lane=LANE, hinted={batch: UUID(payments[0])})
    assert cursor(database, batch) == payments[1]


def test_a_queue_that_was_deleted_gets_its_first_hints_when_it_is_there_again(
    database: psycopg.Connection[Any], database_url: str, rabbitmq: RabbitMQ, amqp_url: str
) -> None:
    declare(amqp_url)
    with Publisher(amqp_url) as publisher:
        assert publisher.wait_connected(10.0)
        batch, payments = submit(database, 5)
        rabbitmq.management.delete("queues", rabbitmq.vhost, QUEUE)
        # RabbitMQ returns every message.
        assert send(database, publisher, room=5).arrived == 0
        assert cursor(database, batch) == str(NOBODY)
    with relaying(database_url, amqp_url):
        eventually(lambda: cursor(database, batch) is None, what="the row is gone")
    assert [payment(body) for body in taken(amqp_url, QUEUE, at_least=5)] == payments


def test_no_first_hint_is_lost_when_connections_are_cut_under_way(
    database: psycopg.Connection[Any], database_url: str, amqp_url: str
) -> None:
    wanted: set[str] = set()
    bodies: list[bytes] = []
    with relaying(database_url, amqp_url):
        for _ in range(3):
            batch, payments = submit(database, 2 * QUEUED_AT_LEAST)
            wanted.update(payments)
            eventually(lambda at=batch: cursor(database, at) != str(NOBODY), what="some have left")
            assert cut_connections(amqp_url)
            bodies += taken(amqp_url, QUEUE, at_least=len(payments))
            eventually(lambda at=batch: cursor(database, at) is None, what="the row is gone")
    assert {payment(body) for body in bodies} == wanted


@pytest.mark.unsound("payments are canceled by hand")
def test_canceled_payments_are_passed_over(database: psycopg.Connection[Any], database_url: str, amqp_url: str) -> None:
    batch, payments = submit(database, 30)
    left = [payments[4], payments[11]]
    cancel(database, [payment_id for payment_id in payments if payment_id not in left])
    with relaying(database_url, amqp_url):
        eventually(lambda: cursor(database, batch) is None, what="the row is gone")
    assert [payment(body) for body in taken(amqp_url, QUEUE, at_least=2)] == left


@pytest.mark.unsound("payments are canceled by hand")
def test_the_row_of_a_batch_that_was_voided_in_time_goes_without_a_hint(
    database: psycopg.Connection[Any], rabbitmq: RabbitMQ, publisher: Publisher
) -> None:
    batch, payments = submit(database, 30)
    send(database, publisher, room=10)
    cancel(database, payments[10:])
    assert send(database, publisher, room=10).taken == 0
    assert cursor(database, batch) is None
    assert outbox.waiting_batches(database, after={LANE: NOBODY}, at_most=100) == {LANE: []}
    assert rabbitmq.depth(QUEUE) == 10


@pytest.mark.unsound("it is claimed and not sent")
def test_a_payment_that_another_hint_led_to_is_claimed_once(
    database: psycopg.Connection[Any], database_url: str, amqp_url: str, publisher: Publisher
) -> None:
    batch, (payment_id,) = submit(database, 1)
    database.execute(
        "INSERT INTO outbox (lane, batch_id, payment_id) VALUES (%s, %s, %s)", [LANE, batch, UUID(payment_id)]
    )
    assert send(database, publisher, room=10).arrived == 2
    bodies = taken(amqp_url, QUEUE, at_least=2)
    assert {payment(body) for body in bodies} == {payment_id}
    assert len({dramatiq.Message.decode(body).message_id for body in bodies}) == 2
    assert claimed(database_url, *(UUID(payment(body)) for body in bodies)) == [True, False]


def test_what_has_a_row_of_its_own_does_not_wait_for_the_end_of_its_batch(
    database: psycopg.Connection[Any], amqp_url: str, publisher: Publisher
) -> None:
    batch, payments = submit(database, 30)
    (again,) = hint(database, 1, batch=batch)
    assert send(database, publisher, room=5).arrived == 5
    assert [payment(body) for body in taken(amqp_url, QUEUE, at_least=5)] == [again, *payments[:4]]
    assert cursor(database, batch) == payments[3]


@pytest.mark.unsound("the older batch is one without payments")
def test_what_an_older_release_submitted_leaves_beside_what_this_one_did(
    database: psycopg.Connection[Any], database_url: str, rabbitmq: RabbitMQ, amqp_url: str
) -> None:
    with taking(amqp_url, FIRST_QUEUE) as ahead, relaying(database_url, amqp_url):
        before = fill(database, rabbitmq)
        _, new = submit(database, 15)
        # A row of the outbox for each payment, as every submit wrote them before there was one for each batch.
        old = submitted(database, 15)
        eventually(lambda: len(ahead) == 2 * FIRST_HINTS)
        bodies = taken(amqp_url, QUEUE, at_least=len(before) + 10)
    assert Counter(map(payment, [*ahead, *bodies])) == Counter([*before, *new, *old])
    first = set(new[:FIRST_HINTS])
    assert first < set(map(payment, ahead)) < first | old


@pytest.mark.parametrize("limits", [Limits(in_all=100), Limits(per_account=100)], ids=["processor", "account"])
def test_what_a_limit_leaves_out_is_taken_again(
    limits: Limits, database: psycopg.Connection[Any], database_url: str, amqp_url: str
) -> None:
    batches = [submit(database, 30) for _ in range(2)]
    with relaying(database_url, amqp_url, relays=2, limits={LANE: limits}):
        eventually(lambda: not any(cursor(database, batch) for batch, _ in batches), what="both rows are gone")
    order = [payment(body) for body in taken(amqp_url, QUEUE, at_least=60)]
    assert Counter(order) == Counter(payment_id for _, payments in batches for payment_id in payments)


def test_the_cursor_stops_before_what_a_limit_left_out(database: psycopg.Connection[Any], publisher: Publisher) -> None:
    (one, firsts), (other, seconds) = sorted(submit(database, 10) for _ in range(2))
    # Its level is a tenth of a second's worth: five for both together, of twenty that are taken.
    assert send(database, publisher, room=20, limits=Limits(per_account=50)).arrived == 5
    assert (cursor(database, one), cursor(database, other)) == (firsts[2], seconds[1])


def test_two_relays_and_both_their_lines_share_a_batch(
    database: psycopg.Connection[Any], database_url: str, amqp_url: str
) -> None:
    with (
        taking(amqp_url, QUEUE) as bodies,
        taking(amqp_url, FIRST_QUEUE) as ahead,
        relaying(database_url, amqp_url, relays=2),
    ):
        batch, payments = submit(database, 400)
        eventually(lambda: cursor(database, batch) is None, what="the row is gone")
        eventually(lambda: len(bodies) + len(ahead) >= len(payments), what="all are hinted")
    assert Counter(map(payment, [*bodies, *ahead])) == Counter(payments)


def test_a_small_batch_does_not_wait_behind_the_first_hints_of_a_large_one(
    database: psycopg.Connection[Any], database_url: str, amqp_url: str
) -> None:
    batch, large = submit(database, 300)
    with relaying(database_url, amqp_url):
        eventually(lambda: cursor(database, batch) == large[QUEUED_AT_LEAST - 1], what="the queue is full")
        _, small = submit(database, 5)
        order = [payment(body) for body in taken(amqp_url, QUEUE, at_least=305)]
    assert set(order) == {*large, *small}
    assert max(order.index(payment_id) for payment_id in small) < QUEUED_AT_LEAST + 3 * len(small)


def test_the_other_line_leaves_a_new_batch_to_the_line_of_first_hints_and_looks_again_soon(
    database: psycopg.Connection[Any], publisher: Publisher
) -> None:
    _, hints, _ = lines_of(queued_at_most=500)
    batch, payments = submit(database, 12)

    def age(seconds: float) -> None:
        database.execute("UPDATE batch_hint SET created_at = clock_timestamp() - make_interval(secs => %s)", [seconds])

    age(-60)
    assert hints.relay(database, publisher, [""]) <= LEFT_S
    assert cursor(database, batch) == str(NOBODY)
    # The first have gone ahead: the rest is everybody's.
    database.execute("UPDATE batch_hint SET after = %s", [payments[9]])
    hints.relay(database, publisher, [""])
    assert cursor(database, batch) is None
    # Nobody has taken it in time.
    other, _ = submit(database, 5)
    age(LEFT_S)
    hints.relay(database, publisher, [""])
    assert cursor(database, other) is None
    assert publisher.depth(QUEUE) == 2 + 5


def test_the_other_lines_are_told_of_a_new_batch_when_its_first_hints_have_gone_ahead_or_could_not(
    database: psycopg.Connection[Any], database_url: str, amqp_url: str
) -> None:
    now = [0.0]
    first, *_ = lines_of(queued_at_most=500, monotonic=lambda: now[0])
    batch, payments = submit(database, 12, told=False)
    told: list[str] = []

    def listen(*, within_s: float = 0.0) -> None:
        told.extend(notified.channel for notified in listener.notifies(timeout=within_s, stop_after=1))

    class Listening(Publisher):
        def publish(self, messages: Sequence[Outgoing]) -> list[bool]:
            listen()
            assert not told
            return super().publish(messages)

    with (
        psycopg.connect(database_url, autocommit=True) as listener,
        psycopg.connect(database_url) as another_relay,
        Listening(amqp_url) as publisher,
    ):
        assert publisher.wait_connected(10.0)
        listener.execute(f"LISTEN {outbox.CHANNEL}")

        def goes_ahead() -> str | None:
            """The batch's cursor then."""
            told.clear()
            first.relay(database, publisher, [str(batch)])
            listen(within_s=10.0)
            assert told == [outbox.CHANNEL]
            return cursor(database, batch)

        assert goes_ahead() == str(NOBODY), "nobody takes from the queue"
        with taking(amqp_url, FIRST_QUEUE) as ahead:
            eventually(lambda: publisher.has_consumers(FIRST_QUEUE))
            assert goes_ahead() == str(NOBODY), "nobody did at the last look"
            now[0] += LOOK_EVERY_S
            first.relay(database, publisher, [])
            hold(another_relay, batch)
            assert goes_ahead() == str(NOBODY), "another relay is at it, and is not waited for"
            another_relay.rollback()
            assert goes_ahead() == payments[FIRST_HINTS - 1]
            eventually(lambda: len(ahead) == FIRST_HINTS)


def hold(connection: psycopg.Connection[Any], batch: UUID) -> None:
    connection.execute("SELECT FROM batch_hint WHERE batch_id = %s FOR UPDATE", [batch])


def test_the_janitor_hints_what_its_batch_has_hinted_before_and_nothing_that_still_waits_for_that(
    database: psycopg.Connection[Any], database_url: str
) -> None:
    batch, payments = submit(database, 3)

    def swept() -> set[str]:
        """What is hinted when every payment has waited for too long."""
        database.execute("UPDATE payment SET next_check_at = now() - interval '1 s'")
        database.execute("DELETE FROM outbox")
        asyncio.run(sweep(database_url))
        return {row[0] for row in database.execute("SELECT payment_id::text FROM outbox")}

    assert swept() == set()
    outbox.move_cursors(database, lane=LANE, hinted={batch: UUID(payments[0])})
    assert swept() == {payments[0]}
    outbox.move_cursors(database, lane=LANE, hinted={batch: UUID(payments[2])})
    assert cursor(database, batch) is None
    assert swept() == set(payments)


async def sweep(database_url: str) -> None:
    async with open_pool(database_url, process="test", most=1) as pool, pool.connection() as connection:
        await sweeps.hint_queued(connection)


def test_a_batch_that_another_relay_holds_is_looked_at_again_soon_and_not_at_once(
    database: psycopg.Connection[Any], database_url: str, publisher: Publisher
) -> None:
    batch, _ = submit(database, 5)
    waits = outbox.waiting_batches(database, after={LANE: NOBODY}, at_most=100)[LANE]
    with psycopg.connect(database_url) as other_relay:
        hold(other_relay, batch)
        assert Feed(LANE, queued_at_most=500).top_up(database, publisher, waits) == LOOK_AGAIN_S
    assert cursor(database, batch) == str(NOBODY)
