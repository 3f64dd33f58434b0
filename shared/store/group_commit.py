"""Natural batching: whatever has gathered while the last transaction ran goes into the next one.

Alone, an item is committed at once; under load, one commit serves many. A pace makes groups larger where a transaction
costs more than its rows: groups follow each other no closer than that, unless enough has gathered.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from typing import Generic, TypeVar

from shared.waiting import SLICE, set_within

Item = TypeVar("Item")
Result = TypeVar("Result")


class GroupCommit(Generic[Item, Result]):
    """Collects items from many tasks and runs them in groups, at most `lanes` groups at a time.

    `run` gets a group and answers one result per item, in order; it returns after its commit. If it raises, every
    member of the group gets the exception. The groups of a lane begin at least `pace_s` apart, unless `enough`
    items wait (`most` unless said) or the lane was idle.
    """

    def __init__(
        self,
        run: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]],
        *,
        most: int,
        enough: int | None = None,
        lanes: int = 1,
        pace_s: float = 0.0,
    ) -> None:
        self._run = run
        self._most = most
        self._enough = enough or most
        self._pace_s = pace_s
        self._idle_lanes = lanes
        self._waiting: deque[tuple[Item, asyncio.Future[Result]]] = deque()
        self._due = asyncio.Event()
        self._running: set[asyncio.Task[None]] = set()

    async def submit(self, item: Item) -> Result:
        """Wait until `item` is committed and return its result."""
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if len(self._waiting) >= self._enough:
            self._due.set()
        if self._idle_lanes:
            self._idle_lanes -= 1
            # In a context of its own: what the first member bound for its log lines is not true of the others.
            task = asyncio.create_task(self._work(), context=Context())
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        return await future

    async def _work(self) -> None:
        # Let every task that is ready now join the first group.
        await asyncio.sleep(0)
        clock = asyncio.get_running_loop().time
        try:
            while self._waiting:
                next_s = clock() + self._pace_s
                group = [self._waiting.popleft() for _ in range(min(self._most, len(self._waiting)))]
                if len(self._waiting) < self._enough:
                    self._due.clear()
                await self._run_group(group)
                if self._waiting:
                    await set_within(self._due, next_s - clock())
        finally:
            self._idle_lanes += 1

    async def _run_group(self, group: Sequence[tuple[Item, asyncio.Future[Result]]]) -> None:
        try:
            results = await self._run([item for item, _ in group])
            assert len(results) == len(group), f"a group of {len(group)} was answered with {len(results)} results"
        except BaseException as error:
            for _, future in group:
                if not future.done():
                    future.set_exception(error if isinstance(error, Exception) else asyncio.CancelledError())
            if not isinstance(error, Exception):
                raise
            return
        self._answer(deque(zip((future for _, future in group), results, strict=True)))

    def _answer(self, answers: deque[tuple[asyncio.Future[Result], Result]]) -> None:
        """Wake the members, a slice in each turn of the loop: what all do next at once would hold it for long."""
        for _ in range(min(SLICE, len(answers))):
            future, result = answers.popleft()
            if not future.done():
                future.set_result(result)
        if answers:
            asyncio.get_running_loop().call_soon(self._answer, answers)
