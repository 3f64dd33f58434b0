"""Simulated time: one clock for SQL, for timers and for the processors. It moves only when it is told to."""

import heapq
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import count


class Clock:
    """`later` puts deeds on the clock: they happen when it passes their time, the clock showing exactly that time."""

    def __init__(self, start: datetime) -> None:
        self._start = start
        self._deeds: list[tuple[datetime, int, Callable[[], None]]] = []
        self._order = count()
        self.now = start

    def monotonic(self) -> float:
        """Seconds since the start."""
        return (self.now - self._start).total_seconds()

    def in_s(self, seconds: float) -> datetime:
        return self.now + timedelta(seconds=seconds)

    def later(self, at: datetime, deed: Callable[[], None]) -> None:
        heapq.heappush(self._deeds, (at, next(self._order), deed))

    @property
    def next_deed(self) -> datetime | None:
        return self._deeds[0][0] if self._deeds else None

    def advance(self, to: datetime) -> None:
        while self._deeds and self._deeds[0][0] <= to:
            at, _, deed = heapq.heappop(self._deeds)
            self.now = max(self.now, at)
            deed()
        self.now = max(self.now, to)
