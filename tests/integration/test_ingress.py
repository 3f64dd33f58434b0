"""Batch requests over AMQP."""

import json
import struct
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pika
import psycopg
import pytest

from schemas.requests import MOST_REQUEST_BYTES, REQUESTS_EXCHANGE, SUBMIT_KEY, SUBMIT_QUEUE, RequestAnswer
from shared.crash_points import EXIT_CODE
from tests.ingress import FIVE, Asker, a_request, answering, ingress
from tests.rabbitmq_vhost import RabbitMQ
from tests.submit_service import bearer, seed, with_service
from tests.waiting import eventually


@pytest.fixture
def database(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    seed(database_url)
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def asker(database: psycopg.Connection[Any], database_url: str, amqp_url: str) -> Iterator[Asker]:
    """Somebody who asks an ingress that runs."""
    assert batches(database) == 0
    with ExitStack() as stack:
        stack.enter_context(answering(database_url, amqp_url))
        yield stack.enter_context(Asker(amqp_url))


def told(database: psycopg.Connection[Any]) -> list[RequestAnswer]:
    rows = database.execute("SELECT body FROM outbox WHERE lane = 'event' ORDER BY id").fetchall()
    return [RequestAnswer.model_validate_json(row[0]) for row in rows]


def batches(database: psycopg.Connection[Any]) -> int:
    [(count,)] = database.execute("SELECT count(*) FROM batch").fetchall()
    return int(count)


def test_a_right_request_is_a_batch_and_the_same_again_is_the_same_answer(
    asker: Asker, database: psycopg.Connection[Any], database_url: str
) -> None:
    asker.send(a_request(FIVE, 1500), correlation_id="mine-1")
    correlation_id, first = asker.answer()
    assert (correlation_id, first["correlation_id"]) == ("mine-1", "mine-1")
    assert (first["type"], first["outcome"], first["batch_number"]) == ("request.accepted", "submitted", "BP-1001")
    assert (first["count"], first["total_minor"], first["currency"]) == (5, 1500, "USD")
    again = asker.ask(a_request(FIVE, 1500), correlation_id="mine-1")
    assert {**again, "occurred_at": first["occurred_at"]} == first
    assert batches(database) == 1
    assert [(one.type, str(one.batch_id)) for one in told(database)] == [("request.accepted", first["batch_id"])] * 2
    [(actor, source)] = database.execute("SELECT actor, source FROM audit_entry").fetchall()
    assert (actor, source) == ("pat", "amqp mine-1")

    async def over_http(caller: Any) -> None:
        reply = await caller.submit(FIVE, 1500)
        assert (reply.status, reply.body["id"]) == (200, first["batch_id"])

    with_service(database_url, over_http)


def test_the_token_may_be_in_the_header(asker: Asker) -> None:
    headers = {"authorization": f"Bearer {bearer()}"}
    assert asker.ask(a_request(FIVE, 1500, token=None), headers=headers)["type"] == "request.accepted"


def test_above_the_ceiling_it_waits_for_a_second_person(asker: Asker, database: psycopg.Connection[Any]) -> None:
    database.execute("UPDATE practice SET approval_ceiling_minor = 1000")
    waiting = asker.ask(a_request(FIVE, 1500))
    assert (waiting["type"], waiting["outcome"], waiting["total_minor"]) == (
        "request.accepted",
        "waiting_for_approval",
        1500,
    )
    assert batches(database) == 0


def rejected() -> list[tuple[str, Any, str, str | None]]:
    """Made when it is asked for: tokens are good for some minutes."""
    return [
        ("not JSON", b"{", "invalid_request", None),
        ("not an object", b"[]", "invalid_request", None),
        ("no text at all", b"\xff\xfe", "invalid_request", None),
        ("no token", a_request(FIVE, 1500, token=None), "token_refused", None),
        ("another secret", a_request(FIVE, 1500, token=bearer(secret="x" * 40)), "token_refused", None),
        ("expired", a_request(FIVE, 1500, token=bearer(lifetime=timedelta(minutes=-5))), "token_refused", None),
        ("no permission", a_request(FIVE, 1500, token=bearer(permissions=())), "permission_missing", None),
        ("another practice", a_request(FIVE, 1500, practice="elm"), "practice_differs", None),
        ("unknown practice", a_request(FIVE, 1500, practice="ash", token=bearer("ash")), "practice_unknown", None),
        ("unknown field", a_request(FIVE, 1500, surprise=1), "invalid_request", "surprise"),
        ("no key", a_request(FIVE, 1500, idempotency_key=None), "invalid_request", "idempotency_key"),
        ("too new", a_request(FIVE, 1500, schema_version=2), "invalid_request", "schema_version"),
        ("unknown invoice", a_request(["oak-i1", "oak-i99"], 300), "invoices_not_chargeable", "invoices.1"),
        ("other totals", a_request(FIVE, 1400), "control_totals_differ", "control.total_minor"),
        ("too long", b" " * (MOST_REQUEST_BYTES + 1), "body_too_large", None),
    ]


def test_every_wrong_request_is_answered_with_its_reason_and_none_blocks_the_queue(
    asker: Asker, database: psycopg.Connection[Any], rabbitmq: RabbitMQ
) -> None:
    wrong = rejected()
    for name, body, _, _ in wrong:
        asker.send(body, correlation_id=name)
    answers = dict(asker.answer() for _ in wrong)
    for name, _, code, field in wrong:
        answer = answers[name]
        assert (answer["type"], answer["outcome"], answer["code"]) == ("request.rejected", "rejected", code), name
        assert answer["detail"]
        if field:
            assert field in [fault["field"] for fault in answer["errors"]], name
            assert all(fault["message"] and fault["fix"] for fault in answer["errors"])
    assert answers["unknown invoice"]["errors"][0]["value"] == "oak-i99"
    assert asker.ask(a_request(FIVE, 1500, key="right"))["type"] == "request.accepted"
    eventually(lambda: rabbitmq.depth(SUBMIT_QUEUE) == 0)
    assert batches(database) == 1


def test_only_what_a_good_token_came_with_is_told_as_an_event(asker: Asker, database: psycopg.Connection[Any]) -> None:
    asker.ask(a_request(FIVE, 1500, token=bearer(secret="x" * 40)))
    rejected = asker.ask(a_request(FIVE, 1400))
    [event] = told(database)
    assert json.loads(event.model_dump_json()) == rejected


def test_an_answer_quotes_no_name_and_no_typed_number(asker: Asker) -> None:
    request = a_request(None, 1500, matching={"client": "Siobhan" * 20}, payment_number="EFT_Siobhan")
    assert "Siobhan" not in json.dumps(asker.ask(request))


class MillisecondsAsSeconds(pika.BasicProperties):  # type: ignore[misc]  # pika is untyped
    """A header whose time lies beyond the year 9999, as an app sends it that counts milliseconds."""

    def encode(self) -> list[bytes]:
        seconds = struct.pack(">cQ", b"T", 946_684_800)
        milliseconds = struct.pack(">cQ", b"T", 946_684_800_000)
        self.headers = {"at": datetime(2000, 1, 1, tzinfo=UTC)}
        return [piece.replace(seconds, milliseconds) for piece in super().encode()]


def test_properties_that_cannot_be_read_block_nothing(asker: Asker, rabbitmq: RabbitMQ) -> None:
    bodies = [json.dumps(a_request([f"oak-i{n}"], 100 * n, key=f"key-{n}")).encode() for n in (1, 2)]
    not_text = pika.BasicProperties(reply_to=asker.replies, correlation_id=b"\xff\xfe")
    too_late = MillisecondsAsSeconds(reply_to=asker.replies, correlation_id="late")
    for body, properties in zip(bodies, (not_text, too_late), strict=True):
        asker.channel.basic_publish(REQUESTS_EXCHANGE, SUBMIT_KEY, body, properties)
    answers = dict(asker.answer() for _ in bodies)
    assert answers["late"]["type"] == "request.accepted"
    assert len(answers) == len({answer["batch_id"] for answer in answers.values()}) == 2
    assert asker.ask(a_request(["oak-i3"], 300, key="after"))["type"] == "request.accepted"
    eventually(lambda: rabbitmq.depth(SUBMIT_QUEUE) == 0)


@pytest.mark.parametrize("reply_to", ["", "gone", "charge.vantage.v1", SUBMIT_QUEUE])
def test_a_reply_queue_that_is_no_use_blocks_nothing(
    asker: Asker, database: psycopg.Connection[Any], rabbitmq: RabbitMQ, reply_to: str
) -> None:
    for n in range(10):
        asker.send(a_request([f"oak-i{1 + n % 6}"], 1, key=f"lost-{n}"), reply_to=reply_to)
    asker.send(a_request(["oak-i1"], 100, key="last"), reply_to=reply_to)
    eventually(lambda: batches(database) == 1)
    assert asker.ask(a_request(["oak-i2"], 200, key="heard"))["type"] == "request.accepted"
    assert rabbitmq.depth("charge.vantage.v1") == rabbitmq.depth(SUBMIT_QUEUE) == 0


def test_an_ingress_that_dies_after_its_commit_gives_the_same_answer_later(
    database: psycopg.Connection[Any], database_url: str, amqp_url: str
) -> None:
    soon = bearer(lifetime=timedelta(seconds=-29))  # it expires while the request waits for the second process
    with Asker(amqp_url) as asker:
        asker.send(a_request(FIVE, 1500, token=bearer()))
        crashing = {"BATCHPAY_ENVIRONMENT": "dev", "BATCHPAY_CRASH_AT": "batch_committed"}
        with ingress(database_url, amqp_url, **crashing) as first:
            assert first.wait(20) == EXIT_CODE
        assert batches(database) == 1
        with ingress(database_url, amqp_url):
            assert asker.answer()[1]["type"] == "request.accepted"
            assert asker.ask(a_request(FIVE, 1500, token=soon))["type"] == "request.accepted"
            assert asker.ask(a_request(["oak-i6"], 600, key="new", token=soon))["code"] == "token_refused"
    assert batches(database) == 1


def test_the_ingress_goes_on_when_its_connections_were_cut(asker: Asker, rabbitmq: RabbitMQ, amqp_url: str) -> None:
    assert asker.ask(a_request(["oak-i1"], 100, key="before"))["type"] == "request.accepted"
    eventually(lambda: len(rabbitmq.connections()) == 2)
    rabbitmq.close_connections()
    with Asker(amqp_url) as other:
        assert other.ask(a_request(["oak-i2"], 200, key="after"))["type"] == "request.accepted"
