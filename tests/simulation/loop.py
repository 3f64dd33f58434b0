"""An asyncio loop without files and without waiting: its time is simulated, and when it is quiet it asks what is next.

Everything that can run has run when a loop looks for ready files. Here that look is a call of `on_quiet`.
"""

import asyncio
import selectors
from collections.abc import Callable, Mapping
from typing import Any

from tests.simulation.clock import Clock

# What asyncio waits at most. A timer that is so far away is nobody's.
_LONGEST_WAIT_S = 24 * 3600


class SimulatedLoop(asyncio.SelectorEventLoop):
    """`on_quiet` gets the seconds until the next timer, None without one, and makes something happen."""

    def __init__(self, clock: Clock, on_quiet: Callable[[float | None], None]) -> None:
        self._clock = clock
        super().__init__(_Quiet(on_quiet))

    def time(self) -> float:
        return self._clock.monotonic()


class _Quiet(selectors.BaseSelector):
    def __init__(self, on_quiet: Callable[[float | None], None]) -> None:
        self._on_quiet = on_quiet

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout > 0:
            self._on_quiet(None if timeout is None or timeout >= _LONGEST_WAIT_S else timeout)
        return []

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return selectors.SelectorKey(fileobj, 0, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return selectors.SelectorKey(fileobj, 0, 0, None)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return {}
