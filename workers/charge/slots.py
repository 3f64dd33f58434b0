"""How many payments a worker claims and sends at once."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

# A claim waits about this long for its slot: a slot that falls free should find one ready, and none may run into the
# send budget.
_AHEAD_S: Final = 0.25
# And no more than this many for each slot: enough for the pace at which groups of claims follow each other.
_AHEAD_MOST: Final = 2
# The share of the latest request in the average time that one takes.
_SMOOTHING: Final = 0.1


class Turns:
    """At most `most` are inside of `async with turns:`, in the order in which they came.

    What `asyncio.Semaphore` does, at a fraction of its cost, and `most` may change. Who comes by `async with
    turns.first():` goes before all who wait, and in at once while no more than `beyond` above `most` are inside.
    """

    def __init__(self, most: int, *, beyond: int = 0) -> None:
        self.most = most
        self.beyond = beyond
        self._inside = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def __aenter__(self) -> None:
        await self._enter(self._waiting.append, at_once=self._inside < self.most and not self._waiting)

    @asynccontextmanager
    async def first(self) -> AsyncIterator[None]:
        """The same, but at once or the next turn that falls free."""
        await self._enter(self._waiting.appendleft, at_once=self._inside < self.most + self.beyond)
        try:
            yield
        finally:
            await self.__aexit__()

    async def _enter(self, wait: Callable[[asyncio.Future[None]], None], *, at_once: bool) -> None:
        if at_once:
            self._inside += 1
            return
        turn = asyncio.get_running_loop().create_future()
        wait(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():
                await self.__aexit__()
            raise

    async def __aexit__(self, *_: object) -> None:
        self._inside -= 1
        while self._waiting and self._inside < self.most:
            turn = self._waiting.popleft()
            if not turn.done():
                self._inside += 1
                turn.set_result(None)


class Slots:
    """`count` requests at the processor, and as many payments claimed ahead of them as are sent within moments.

    With claims made ahead a slot is never empty while a claim commits, and claims come in larger groups. A processor
    that gets slow is claimed for only when a slot is free. `async with slots.claimed:` surrounds the claim and the
    request, `async with slots.sending:` the request. Who is first is claimed beside those ahead: of the two waits, for
    the claim and for the request, one is left.
    """

    def __init__(self, count: int) -> None:
        self.claimed = Turns(2 * count, beyond=count)
        self.sending = Turns(count)
        self._count = count
        self._average_s = 0.0

    def took(self, seconds: float) -> None:
        """Learn from the duration of a request."""
        self._average_s += (seconds - self._average_s) * _SMOOTHING
        ahead = round(self._count * _AHEAD_S / self._average_s) if self._average_s else self._count
        self.claimed.most = self._count + min(_AHEAD_MOST * self._count, ahead)
        self.claimed.beyond = min(self._count, ahead)
