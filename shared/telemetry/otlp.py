"""Spans over OTLP. Imported only where they are on: it brings all of OpenTelemetry's SDK with it."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from shared.telemetry.traces import Emit, Kind, Place, Span

# How long a process that has drained waits for its last spans to leave.
_LAST_ONES_WITHIN_S: Final = 2.0
_KINDS: Final[Mapping[Kind, SpanKind]] = {
    "server": SpanKind.SERVER,
    "producer": SpanKind.PRODUCER,
    "consumer": SpanKind.CONSUMER,
    "client": SpanKind.CLIENT,
}


@contextmanager
def exporter(process: str) -> Iterator[Emit]:
    """Yield what takes spans; they leave in batches from a thread of their own, the last ones at the block's end."""
    resource = Resource.create({SERVICE_NAME: f"batchpay-{process}"})
    wire = OTLPSpanExporter()
    batches = BatchSpanProcessor(wire)
    try:
        yield lambda span: batches.on_end(_readable(span, resource))
    finally:
        # The SDK would go on trying a collector that is away, and the process would be killed in the middle of its end.
        enough = threading.Timer(_LAST_ONES_WITHIN_S, wire.shutdown)
        enough.start()
        batches.shutdown()  # type: ignore[no-untyped-call]
        enough.cancel()


def _readable(span: Span, resource: Resource) -> ReadableSpan:
    # Built by hand: the SDK's tracer makes its own ids, and ours are those of the batch.
    return ReadableSpan(
        name=span.name,
        kind=_KINDS[span.kind],
        context=_context(span.place),
        parent=_context(span.parent) if span.parent else None,
        resource=resource,
        attributes=dict(span.attributes),
        status=Status(StatusCode.ERROR) if span.failed else Status(),
        start_time=span.start_ns,
        end_time=span.end_ns,
    )


def _context(place: Place) -> SpanContext:
    return SpanContext(place.trace_id, place.span_id, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))
