"""Waiting for what the processes of a sandbox do."""

import time
from collections.abc import Callable
from typing import Final

_POLL_S: Final = 0.2
# Many times what a demo needs: reaching it means that something hangs, and the demo says what.
_GIVE_UP_S: Final = 240.0


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for a condition. Raises TimeoutError that says what did not happen."""
    give_up = time.monotonic() + _GIVE_UP_S
    while not condition():
        if time.monotonic() > give_up:
            raise TimeoutError(f"not so after {_GIVE_UP_S:.0f} s: {what}. The logs of the processes say more")
        time.sleep(_POLL_S)
