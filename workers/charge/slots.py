"""How many payments a worker claims ahead of its requests."""

from typing import Final

from workers.turns import Turns

# A claim waits about this long for its slot: a slot that falls free should find one ready, and none may run into the
# send budget.
_AHEAD_S: Final = 0.25
# And no more than this many for each slot: enough for the pace at which groups of claims follow each other.
_AHEAD_MOST: Final = 2
# The share of the latest request in the average time that one takes.
_SMOOTHING: Final = 0.1


class Slots:
    """`count` requests at the processor, and as many payments claimed ahead of them as are sent within moments.

    With claims made ahead a slot is never empty while a claim commits, and claims come in larger groups. A processor
    that gets slow is claimed for only when a slot is free. `async with slots.claimed:` surrounds the claim and the
    request; the slots themselves are the adapter's connections. Who is first is claimed beside those ahead: of the two
    waits, for the claim and for the request, one is left.
    """

    def __init__(self, count: int) -> None:
        self.claimed = Turns(2 * count, beyond=count)
        self._count = count
        self._average_s = 0.0

    def took(self, seconds: float) -> None:
        """Learn from the duration of a request."""
        self._average_s += (seconds - self._average_s) * _SMOOTHING
        ahead = round(self._count * _AHEAD_S / self._average_s) if self._average_s else self._count
        self.claimed.most = self._count + min(_AHEAD_MOST * self._count, ahead)
        self.claimed.beyond = min(self._count, ahead)
