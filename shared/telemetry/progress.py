"""Whether a process makes progress, asked from another thread."""

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Final

# A probe gives up after a few seconds; a loop that does not come round in this time is stuck in something.
_TURNS_WITHIN_S: Final = 2.0


class Pulse:
    """The rounds of a thread, of which each begins with a beat. Longer than `within_s` without one is no progress."""

    def __init__(self, *, within_s: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._within_s = within_s
        self._monotonic = monotonic
        self._last_s = monotonic()

    def beat(self) -> None:
        self._last_s = self._monotonic()

    def is_alive(self) -> bool:
        return self._monotonic() - self._last_s <= self._within_s


class Turning:
    """The turns of an event loop. One that has not begun yet is not stuck; one that was closed is."""

    def __init__(self, *, within_s: float = _TURNS_WITHIN_S) -> None:
        self._within_s = within_s
        self._loop: asyncio.AbstractEventLoop | None = None

    def begin(self) -> None:
        """Watch the loop that this is called on."""
        self._loop = asyncio.get_running_loop()

    def is_alive(self) -> bool:
        if self._loop is None:
            return True
        turned = threading.Event()
        try:
            self._loop.call_soon_threadsafe(turned.set)
        except RuntimeError:  # it is closed
            return False
        return turned.wait(self._within_s)
