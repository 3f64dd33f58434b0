"""How a request leaves."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Departure:
    """`may_go` is asked right before the first byte, after every wait; who is `first` waits behind nobody else.

    Where the answer is no, nothing is sent. It is asked once and must not raise.
    """

    may_go: Callable[[], bool]
    first: bool = False


AT_ONCE: Final = Departure(lambda: True)
