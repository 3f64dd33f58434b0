"""Limits of what one address or practice may do in a minute, counted in this process."""

import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final

# Sign-ins from one address. A large practice shares one, and its day begins for all at once; more is someone guessing.
SIGN_INS: Final = 30
# Submits of one practice, the repeated ones included. People make some a day; more than this is a loop gone wrong.
SUBMITS: Final = 120
WINDOW_S: Final = 60.0
# Beyond this many names the one that tried longest ago is forgotten, so that memory has a bound.
_MOST_NAMES: Final = 10_000


class Limiter:
    """Counts tries in a sliding window."""

    def __init__(self, *, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._clock = most, clock
        self._tries: OrderedDict[str, deque[float]] = OrderedDict()

    def allows(self, name: str) -> bool:
        """Count a try; False if there were too many."""
        now = self._clock()
        tries = self._tries.setdefault(name, deque())
        self._tries.move_to_end(name)
        while tries and tries[0] <= now - WINDOW_S:
            tries.popleft()
        if len(tries) >= self._most:
            return False
        tries.append(now)
        if len(self._tries) > _MOST_NAMES:
            self._tries.popitem(last=False)
        return True
