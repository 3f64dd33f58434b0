"""At most so many at a time, in the order in which they came."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager


class Waiting:
    """Somebody whose turn has not come yet."""

    __slots__ = ("begin",)

    def __init__(self, begin: Callable[[], None]) -> None:
        self.begin: Callable[[], None] | None = begin

    def give_up(self) -> None:
        self.begin = None


class Turns:
    """At most `most` have a turn at a time, in the order in which they came; `most` may change.

    Who comes as `first` goes before all others who wait, and at once while fewer than `beyond` above `most` have one.
    Who `take`s a turn is called as soon as it comes, within the call by which somebody else passes theirs on, and not a
    few turns of the event loop later. `async with turns:` is for whom that does not matter, at a fraction of what
    `asyncio.Semaphore` costs.
    """

    def __init__(self, most: int, *, beyond: int = 0) -> None:
        self.most = most
        self.beyond = beyond
        self._taken = 0
        self._first: deque[Waiting] = deque()
        self._others: deque[Waiting] = deque()

    def take(self, begin: Callable[[], None], *, first: bool = False) -> Waiting | None:
        """Call `begin` now and return None, or when a turn falls free. It must not raise, and leads to a `pass_on`."""
        if self._is_free(first=first):
            self._taken += 1
            begin()
            return None
        waiting = Waiting(begin)
        (self._first if first else self._others).append(waiting)
        return waiting

    def pass_on(self) -> None:
        """End one's own turn, which begins that of the next."""
        self._taken -= 1
        while self._taken < self.most and (waiting := self._first or self._others):
            begin = waiting.popleft().begin
            if begin is not None:
                self._taken += 1
                begin()

    def _is_free(self, *, first: bool) -> bool:
        if first:
            return self._taken < self.most + self.beyond and not self._first
        return self._taken < self.most and not (self._first or self._others)

    async def __aenter__(self) -> None:
        if self._is_free(first=False):
            self._taken += 1
        else:
            await self._wait(first=False)

    async def __aexit__(self, *_: object) -> None:
        self.pass_on()

    @asynccontextmanager
    async def first(self) -> AsyncIterator[None]:
        """The same as the first of all who wait."""
        await self._wait(first=True)
        try:
            yield
        finally:
            self.pass_on()

    async def _wait(self, *, first: bool) -> None:
        come = asyncio.get_running_loop().create_future()

        def begin() -> None:
            if come.cancelled():
                # Whoever was cancelled in this moment does not know it yet.
                self.pass_on()
            else:
                come.set_result(None)

        waiting = self.take(begin, first=first)
        try:
            await come
        except asyncio.CancelledError:
            if not come.cancelled():
                self.pass_on()
            elif waiting:
                waiting.give_up()
            raise
