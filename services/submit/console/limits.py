"""A limit of tries per address and minute, in this process: many wrong tokens are someone guessing."""

import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final

# A large practice shares one address, and its day begins for all at once.
_MOST_A_MINUTE: Final = 30
_WINDOW_S: Final = 60.0
# Beyond this many addresses the one that tried longest ago is forgotten, so that memory has a bound.
_MOST_ADDRESSES: Final = 10_000


class Limiter:
    """Counts tries in a sliding window."""

    def __init__(self, *, most: int = _MOST_A_MINUTE, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._clock = most, clock
        self._tries: OrderedDict[str, deque[float]] = OrderedDict()

    def allows(self, address: str) -> bool:
        """Count a try; False if there were too many."""
        now = self._clock()
        tries = self._tries.setdefault(address, deque())
        self._tries.move_to_end(address)
        while tries and tries[0] <= now - _WINDOW_S:
            tries.popleft()
        if len(tries) >= self._most:
            return False
        tries.append(now)
        if len(self._tries) > _MOST_ADDRESSES:
            self._tries.popitem(last=False)
        return True
