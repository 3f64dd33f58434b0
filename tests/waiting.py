"""Tests wait for a condition, never for a length of time."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(condition: Callable[[], T], *, within_s: float = 10.0, what: str = "the condition") -> T:
    """The first true answer of `condition`, asked again and again for `within_s` seconds.

    An AssertionError of `condition` counts as "not yet" and is the cause of the final failure. Any other exception is a
    fault of the test and passes through at once.
    """
    give_up_at = time.monotonic() + within_s
    pause_s = 0.005
    while True:
        cause: AssertionError | None = None
        try:
            answer = condition()
        except AssertionError as error:
            cause = error
        else:
            if answer:
                return answer
        if time.monotonic() > give_up_at:
            raise AssertionError(f"not within {within_s:g} s: {what}") from cause
        time.sleep(pause_s)
        pause_s = min(pause_s * 1.5, 0.1)
