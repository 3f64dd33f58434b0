"""OpenTelemetry spans from a submit over the queue to the processor's answer. Off unless an endpoint is set.

A batch is one trace, and its id is the trace's id: every process knows it without being told, no row and no message
has to carry it from the submit, and whoever has a batch id finds its trace. The relay hands the span of its hint on in
the message (`traceparent`, as W3C names it). Spans carry ids and our own words only.

`OTEL_EXPORTER_OTLP_ENDPOINT` turns spans on; the SDK reads its other variables (headers, timeouts, queue lengths)
itself. While it is unset nothing of OpenTelemetry is imported, and a place that could make a span asks one variable.
"""

import os
import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, Literal, NamedTuple
from uuid import UUID

Kind = Literal["server", "producer", "consumer", "client"]
Emit = Callable[["Span"], None]

_TRACEPARENT: Final = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")
_SPAN_ID_MASK: Final = (1 << 64) - 1


class Place(NamedTuple):
    """A span that others may be below: as integers, the trace and the span."""

    trace_id: int
    span_id: int

    @property
    def traceparent(self) -> str:
        return f"00-{self.trace_id:032x}-{self.span_id:016x}-01"


class Span(NamedTuple):
    """A span that is over; times are nanoseconds since 1970."""

    name: str
    kind: Kind
    place: Place
    parent: Place | None
    start_ns: int
    end_ns: int
    attributes: Mapping[str, str | int]
    failed: bool


_emit: Emit | None = None
_current: ContextVar[Place | None] = ContextVar("span", default=None)


@contextmanager
def tracing(process: str) -> Iterator[None]:
    """Send the spans of the block where `OTEL_EXPORTER_OTLP_ENDPOINT` says, if it says anything."""
    if not os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        yield
        return
    from shared.telemetry.otlp import exporter  # noqa: PLC0415  # half a second of imports, only for who wants it

    with exporter(process) as emit, emitting(emit):
        yield


@contextmanager
def emitting(emit: Emit) -> Iterator[None]:
    """Give the spans of the block, of all threads and tasks, to `emit`, which any thread may call."""
    global _emit  # noqa: PLW0603  # one process has one destination, and asking for it must cost nothing
    _emit, before = emit, _emit
    try:
        yield
    finally:
        _emit = before


def is_on() -> bool:
    return _emit is not None


def root_of(batch_id: UUID) -> Place:
    """The place of a batch's first span, its submit."""
    return Place(batch_id.int, batch_id.int & _SPAN_ID_MASK)


def below(parent: Place) -> Place:
    return Place(parent.trace_id, secrets.randbits(64) or 1)


def parse(traceparent: object) -> Place | None:
    """The place that a `traceparent` names; None for anything else."""
    match = _TRACEPARENT.fullmatch(traceparent) if isinstance(traceparent, str) else None
    return Place(int(match[1], 16), int(match[2], 16)) if match else None


def tell(
    name: str,
    kind: Kind,
    place: Place,
    *,
    parent: Place | None,
    start_ns: int,
    attributes: Mapping[str, str | int],
    failed: bool = False,
) -> None:
    """A span that ends now; nothing while spans are off."""
    if _emit is not None:
        _emit(Span(name, kind, place, parent, start_ns, time.time_ns(), attributes, failed))


@contextmanager
def span(name: str, kind: Kind, *, parent: Place, attributes: Mapping[str, str | int]) -> Iterator[Callable[[], None]]:
    """A span around the block, which is the current one of this task and of tasks that it starts.

    What it gives moves its start to the moment of the call, for a block that waits before it begins.
    """
    place, start_ns, failed = below(parent), time.time_ns(), True

    def begin() -> None:
        nonlocal start_ns
        start_ns = time.time_ns()

    token = _current.set(place)
    try:
        yield begin
        failed = False
    finally:
        _current.reset(token)
        tell(name, kind, place, parent=parent, start_ns=start_ns, attributes=attributes, failed=failed)


@contextmanager
def request(name: str) -> Iterator[Callable[[], None]]:
    """A span around a request that leaves this process, below the current span; none where there is no current one.

    What it gives is called when the request leaves: until then it waited.
    """
    above = current()
    if above is None:
        yield _nothing
        return
    with span(name, "client", parent=above, attributes={}) as begin:
        yield begin


def _nothing() -> None:
    """There is no span."""


def current() -> Place | None:
    """The span around this task, if spans are on and there is one."""
    return _current.get() if _emit is not None else None
