"""What happened in a simulation, line by line, the same for the same seed: ids are named in the order they appear."""

import hashlib
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog
from structlog.typing import EventDict

from tests.simulation.clock import Clock
from workers.evidence import TRY_AGAIN

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
# The fields of a log line that tell what was decided; the others repeat what the line's ids say.
_TELLING = ("before", "state", "code", "error", "fact", "status", "events", "payments", "answers")


class Trace:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._names: dict[str, str] = {}
        self.lines: list[str] = []
        self.errors: list[str] = []

    def add(self, line: str) -> None:
        self.lines.append(f"{self._clock.monotonic():>13.3f} {_UUID.sub(self._name, line)}")

    def _name(self, found: re.Match[str]) -> str:
        return self._names.setdefault(found[0], f"#{len(self._names) + 1}")

    @property
    def sha256(self) -> str:
        return hashlib.sha256("\n".join(self.lines).encode()).hexdigest()

    @contextmanager
    def of_log(self) -> Iterator[None]:
        """Take in what our code logs. An exception that it logs and no fault of ours explains is an error."""
        processors = structlog.get_config()["processors"]
        before = list(processors)
        processors[:] = [self._take]
        try:
            yield
        finally:
            processors[:] = before

    def _take(self, _logger: Any, _level: str, event: EventDict) -> EventDict:
        told = " ".join(f"{name}={event[name]}" for name in _TELLING if event.get(name) is not None)
        self.add(f"  {event['event']} {event.get('payment_id', '')} {told}")
        if event.get("exc_info") and not isinstance(error := sys.exc_info()[1], TRY_AGAIN):
            self.errors.append(f"{event['event']}: {error!r}")
        raise structlog.DropEvent
