"""The simulators' clock: real time plus an offset that a control call moves, and deeds that fall due on it."""

import heapq
from collections.abc import Callable
from datetime import UTC, datetime, timedelta


class Clock:
    def __init__(self) -> None:
        self._offset = timedelta()
        self._still: datetime | None = None
        self._due: list[tuple[datetime, int, Callable[[datetime], None]]] = []
        self._sequence = 0

    @property
    def offset(self) -> timedelta:
        return self._offset

    def now(self) -> datetime:
        return self._still or datetime.now(UTC) + self._offset

    def advance(self, by: timedelta) -> None:
        """Move the clock on; one that stood still runs again."""
        if self._still:
            return self.set(self._still + by)
        self._offset += by
        return self.run_due()

    def set(self, moment: datetime) -> None:
        """Move the clock to an aware moment; it runs on from there."""
        if moment.tzinfo is None:
            raise ValueError("a moment needs its offset from UTC, for example 2026-03-06T21:59:00+00:00")
        self._offset = moment - datetime.now(UTC)
        self._still = None
        self.run_due()

    def stop(self, moment: datetime) -> None:
        """Let the clock show this moment until it is moved: what must happen in a certain second may take longer."""
        self.set(moment)
        self._still = moment

    def reset(self) -> None:
        self._offset, self._still = timedelta(), None
        self._due.clear()

    def later(self, delay: timedelta, deed: Callable[[datetime], None]) -> None:
        """Run `deed` with its due time once this clock has passed it (noticed by the next request)."""
        self._sequence += 1
        heapq.heappush(self._due, (self.now() + delay, self._sequence, deed))

    def run_due(self) -> None:
        while self._due and self._due[0][0] <= self.now():
            due, _, deed = heapq.heappop(self._due)
            deed(due)
