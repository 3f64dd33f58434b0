"""One trace from the submit over the queue to the processor's answer, as a collector of OpenTelemetry gets it."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from typing import Any
from uuid import UUID

import psycopg
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from psycopg_pool import AsyncConnectionPool

from schemas.commands import CHARGE_ACTORS, CHARGE_QUEUES
from services.development.local import free_port
from services.relay.feed import Feed
from services.relay.relay import relay_hints
from shared.domain.answers import Approved, ChargeAnswer
from shared.domain.words import ProcessorName
from shared.messaging.broker import HintBroker
from shared.messaging.publish import Publisher
from shared.messaging.worker import AsyncWorker, add_actor
from shared.store.pool import open_pool
from shared.telemetry.traces import root_of, tell, tracing
from tests.integration.paper import Paper
from tests.submit_service import Caller, seed, with_service
from tests.waiting import eventually
from workers.charge.charging import charge
from workers.charge.claiming import Claimer, claim_group
from workers.charge.slots import Slots
from workers.evidence import Answered, record
from workers.processors.port import Departure
from workers.sending import Claimed

VANTAGE = ProcessorName.VANTAGE


class Approving(Paper):
    """A processor that approves everything."""

    async def charge(self, request_text: str, departure: Departure) -> ChargeAnswer:
        assert departure.may_go()
        return Approved(processor_ref=f"of {request_text}")


@contextmanager
def collector() -> Iterator[tuple[str, dict[str, Any]]]:
    """An OTLP receiver: its address, and the spans that came, by name."""
    spans: dict[str, Any] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            request = ExportTraceServiceRequest.FromString(self.rfile.read(int(self.headers["Content-Length"])))
            for resource in request.resource_spans:
                for scope in resource.scope_spans:
                    spans.update({span.name: span for span in scope.spans})
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", spans
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def submitted(database_url: str) -> UUID:
    found: list[UUID] = []

    async def story(caller: Caller) -> None:
        reply = await caller.submit(["oak-i1"], 100)
        assert reply.status == 201, reply
        # Answered from memory: no second submit, and no second span.
        assert (await caller.submit(["oak-i1"], 100)).status == 200
        found.append(UUID(reply.body["id"]))

    with_service(database_url, story)
    return found[0]


def relayed(database_url: str, amqp_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection, Publisher(amqp_url) as publisher:
        assert publisher.wait_connected(10)
        feed = Feed(f"charge.{VANTAGE}", queued_at_most=10)

        def all_hinted() -> bool:
            # In its first moments a batch is left to the line of first hints.
            relay_hints(connection, publisher, [feed])
            return connection.execute("SELECT FROM batch_hint").fetchone() is None

        eventually(all_hinted, what="the batch is hinted")


def charged(database_url: str, amqp_url: str) -> None:
    pool: AsyncConnectionPool = open_pool(database_url, process="test", most=2)
    claimer = Claimer(pool=pool, processor=Approving(), environment="test", actor="test")
    slots = Slots(1)

    async def claim(payment_id: UUID) -> Claimed | None:
        return (await claim_group([payment_id], claimer=claimer))[0]

    async def keep(answered: Answered) -> None:
        await record([answered], pool=pool, actor="test")

    async def run(payment_id: str) -> None:
        await charge(UUID(payment_id), claim=claim, record=keep, processor=claimer.processor, slots=slots)

    broker = HintBroker(amqp_url)
    add_actor(broker, run, actor_name=CHARGE_ACTORS[VANTAGE], queue_name=CHARGE_QUEUES[VANTAGE])
    worker = AsyncWorker(
        broker, queues={CHARGE_QUEUES[VANTAGE]}, in_flight=1, on_start=pool.open, on_stop=partial(pool.close, 5.0)
    )
    worker.start()
    try:
        eventually(partial(is_approved, database_url), what="the payment is approved")
    finally:
        worker.stop_within(5.0)
        broker.close()


def is_approved(database_url: str) -> bool:
    with psycopg.connect(database_url) as connection:
        return connection.execute("SELECT FROM payment WHERE state = 'approved'").fetchone() is not None


def test_a_batch_is_one_trace_from_its_submit_to_the_processors_answer(
    database_url: str, amqp_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seed(database_url)
    with collector() as (address, spans):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", address)
        with tracing("test"):
            batch_id = submitted(database_url)
            relayed(database_url, amqp_url)
            charged(database_url, amqp_url)
    order = ["submit", "hint charge.vantage", "charge_vantage", "vantage charge"]
    assert sorted(spans) == sorted(order)
    chain = [spans[name] for name in order]
    # The batch's id is the trace's: who has the one finds the other.
    assert {span.trace_id for span in chain} == {batch_id.bytes}
    assert [span.parent_span_id for span in chain] == [b"", *(span.span_id for span in chain[:-1])]
    for above, below in pairwise(chain[2:]):
        assert above.start_time_unix_nano <= below.start_time_unix_nano
        assert below.end_time_unix_nano <= above.end_time_unix_nano
    attributes = {item.key for span in chain for item in span.attributes}
    assert attributes <= {"batchpay.batch_id", "batchpay.batch", "batchpay.payment_id", "messaging.message.id"}


def test_a_collector_that_is_away_does_not_hold_up_the_end_of_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{free_port()}")
    with tracing("test"):
        tell("lost", "server", root_of(UUID(int=1)), parent=None, start_ns=1, attributes={})
        began_s = time.monotonic()
    # The SDK alone goes on for some ten seconds.
    assert time.monotonic() - began_s < 5.0
