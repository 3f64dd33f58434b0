"""One event per fact, as a JSON line for machines or in colour for people, with nobody's data in it.

    configure("charge-stripe", level="info", format="json")
    log = structlog.get_logger()
    with working_on(batch_id=..., payment_id=...):
        log.info("payment_claimed", reference=...)

What libraries write with `logging` comes out the same way, as the event `library_logged`. uvicorn sets `logging` up by
itself unless it is given `log_config=None`.
"""

import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO, Final, Literal
from uuid import UUID

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from shared.redaction import redact

Level = Literal["debug", "info", "warning", "error"]
Format = Literal["json", "pretty", "auto"]

# Libraries whose "info" is a running commentary: one line per connection, request or statement.
_CHATTY: Final = ("pika", "aiohttp.access", "asyncio", "urllib3", "stripe", "uvicorn.access", "alembic")


def configure(
    process: str,
    *,
    level: Level = "info",
    format: Format = "auto",  # noqa: A002  # named as its setting is
    stream: BinaryIO | None = None,
) -> None:
    """Set logging up for this process, which is named in every event. `auto` is pretty on a terminal.

    Lines go to `stream`, standard error unless given, so that what a command prints stays apart.
    """
    out = stream or sys.stderr.buffer
    pretty = format == "pretty" or (format == "auto" and sys.stderr.isatty())
    number = logging.getLevelNamesMapping()[level.upper()]
    chain = _chain(process, pretty=pretty)
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, *chain],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.BytesLoggerFactory(out),
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    root.handlers[:] = [_LibraryHandler(chain, structlog.BytesLogger(out))]
    root.setLevel(number)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(max(number, logging.WARNING))


@contextmanager
def working_on(
    *,
    batch_id: UUID | str | None = None,
    payment_id: UUID | str | None = None,
    practice_id: str | None = None,
    attempt: int | None = None,
) -> Iterator[None]:
    """Everything logged inside, in this task and in tasks that it starts, carries these ids."""
    ids = {"batch_id": batch_id, "payment_id": payment_id, "practice_id": practice_id, "attempt": attempt}
    known = {key: str(value) if isinstance(value, UUID) else value for key, value in ids.items() if value is not None}
    # Not `bound_contextvars`, which reads every variable of the context first.
    tokens = structlog.contextvars.bind_contextvars(**known)
    try:
        yield
    finally:
        structlog.contextvars.reset_contextvars(**tokens)


def _chain(process: str, *, pretty: bool) -> Sequence[Processor]:
    def name_process(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event["process"] = process
        return event

    return [
        structlog.processors.format_exc_info,
        redact,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        name_process,
        _pretty() if pretty else _json,
    ]


def _json(_logger: WrappedLogger, _method: str, event: EventDict) -> bytes:
    return orjson.dumps(event, default=str, option=orjson.OPT_NON_STR_KEYS)


def _pretty() -> Processor:
    """Made only where people read: its libraries take a third of a worker's start."""
    console = structlog.dev.ConsoleRenderer()

    def render(logger: WrappedLogger, method: str, event: EventDict) -> bytes:
        return console(logger, method, event).encode()

    return render


class _LibraryHandler(logging.Handler):
    """Sends records of the standard library's loggers through the same processors."""

    def __init__(self, chain: Sequence[Processor], sink: structlog.BytesLogger) -> None:
        super().__init__()
        self._chain = chain
        self._sink = sink

    def emit(self, record: logging.LogRecord) -> None:
        try:
            event: Any = {"event": "library_logged", "logger": record.name, "message": record.getMessage()}
            if record.exc_info:
                event["exc_info"] = record.exc_info
            event |= structlog.contextvars.get_contextvars()
            for step in self._chain:
                event = step(None, record.levelname.lower(), event)
            self._sink.msg(event)
        except Exception:  # noqa: BLE001  # a log line that cannot be written must not stop a payment
            self.handleError(record)
