"""Every process tells its operators what it does, and support gets its answers in time."""

import json
import time
from collections.abc import Callable
from typing import Final
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

from services.development.processes import MODULES
from services.development.sandbox import Sandbox
from shared.domain.words import ProcessorName
from tests.command_line import batchpay
from tests.journeys.journey import Journey
from tests.waiting import eventually

Start = Callable[[ProcessorName], Journey]
VANTAGE, STRIPE = ProcessorName.VANTAGE, ProcessorName.STRIPE
# The processors are not ours.
OURS: Final = [name for name, (module, _) in MODULES.items() if not module.startswith("workers.simulators")]
# What each process has moved after a few charges, a decline, a void and a refund: sample, labels.
MOVED: Final[dict[str, list[tuple[str, dict[str, str]]]]] = {
    "submit": [("batchpay_http_request_seconds_count", {"method": "POST", "status": "201"})],
    "relay": [
        ("batchpay_published_total", {"confirmed": "yes"}),
        ("batchpay_publish_confirm_seconds_count", {}),
        ("batchpay_queue_messages", {"queue": "charge.vantage.v1"}),
        ("batchpay_queue_messages", {"queue": "void.v1.XQ"}),
    ],
    "aggregator": [("batchpay_aggregation_seconds_count", {})],
    "charge-vantage": [
        ("batchpay_payment_steps_total", {"processor": "vantage", "event": "claim", "state": "sending"}),
        ("batchpay_payment_steps_total", {"processor": "vantage", "event": "approve", "state": "approved"}),
        ("batchpay_payment_steps_total", {"processor": "vantage", "event": "decline", "state": "declined"}),
        ("batchpay_charge_request_seconds_count", {"processor": "vantage"}),
    ],
    "charge-stripe": [("batchpay_payment_steps_total", {"processor": "stripe", "event": "settle", "state": "settled"})],
    "voids": [
        ("batchpay_payment_steps_total", {"processor": "vantage", "event": "confirm_void", "state": "voided"}),
        ("batchpay_payment_steps_total", {"processor": "stripe", "event": "confirm_refund", "state": "refunded"}),
    ],
    "janitor": [
        ("batchpay_payments", {"processor": "vantage", "state": "approved"}),
        ("batchpay_payments_oldest_seconds", {"processor": "vantage", "state": "approved"}),
        ("batchpay_outbox_rows", {"lane": "event"}),
        ("batchpay_backlog_read_timestamp_seconds", {}),
    ],
}
# Gauges that are there and may well be nought.
MAY_BE_NOUGHT: Final = {"batchpay_queue_messages", "batchpay_outbox_rows"}
TRACED_WITHIN_S: Final = 1.0


def asked(box: Sandbox, process: str, path: str) -> str:
    with urlopen(f"{box.operators_url(process)}{path}", timeout=10) as answer:  # noqa: S310  # a process of ours
        text: str = answer.read().decode()
        return text


def samples(box: Sandbox, process: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    families = text_string_to_metric_families(asked(box, process, "/metrics"))
    return {(one.name, frozenset(one.labels.items())): one.value for family in families for one in family.samples}


def test_every_process_answers_probes_and_moves_its_metrics(journey: Start, box: Sandbox) -> None:
    paid, back = journey(VANTAGE), journey(STRIPE)
    for behaviour in ("approve", "decline:51"):
        paid.export.client(behaviour)
    back.export.client()
    voided = paid.export.client()
    for practice in (paid, back):
        practice.push()
    batch, other = paid.submit(), back.submit()
    paid.until(batch, {"approved": 2, "declined": 1})
    back.until(other, {"settled": 1})
    paid.void_payment(paid.report(batch)[voided.invoices[0]])
    back.refund(other)
    paid.some(batch, "voided")
    back.some(other, "refunded")
    for process in OURS:
        assert asked(box, process, "/healthz") == '{"progress":"ok"}'
        assert set(json.loads(asked(box, process, "/readyz")).values()) == {"ok"}
        eventually(lambda process=process: moved(box, process), within_s=30, what=f"the metrics of {process}")


def moved(box: Sandbox, process: str) -> bool:
    found = samples(box, process)
    for name, labels in MOVED.get(process, []):
        value = found.get((name, frozenset(labels.items())))
        assert value is not None, (process, name, labels)
        assert value > 0 or name in MAY_BE_NOUGHT, (process, name, labels)
    return True


def test_a_trace_is_told_within_a_second(journey: Start, box: Sandbox) -> None:
    practice = journey(STRIPE)
    practice.export.client()
    practice.push()
    batch = practice.submit()
    practice.until(batch, {"settled": 1})
    (payment,) = practice.report(batch).values()
    for subject in (payment["id"], batch["id"]):
        # The best of three: the other two may have waited for a core.
        assert min(seconds_of_trace(box, subject) for _ in range(3)) < TRACED_WITHIN_S


def seconds_of_trace(box: Sandbox, subject: str) -> float:
    began_s = time.monotonic()
    told = batchpay("trace", subject, **box.environment)
    assert (told.code, told.err) == (0, "")
    return time.monotonic() - began_s
