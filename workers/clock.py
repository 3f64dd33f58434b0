"""The clock of send budgets: what was claimed long ago must not be sent, whatever stood still in between."""

import time
from typing import Final

# CLOCK_MONOTONIC stands still while the machine sleeps or hibernates, and who wakes must not send either. Only Linux
# has a clock that goes on.
_CLOCK: Final[int] = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def elapsed_s() -> float:
    """Seconds since some moment in the past; never goes back."""
    return time.clock_gettime(_CLOCK)
