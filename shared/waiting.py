"""Waiting for an event for no longer than one wants to, and letting others go on while one works on a group."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from typing import Final, TypeVar

Item = TypeVar("Item")

# Of a group's items in one piece. Work on all of a hundred holds an event loop for milliseconds, in which answers of a
# processor wait to be read and the next requests to be sent.
SLICE: Final = 8


async def in_slices(items: Iterable[Item]) -> AsyncIterator[Item]:
    """Go through `items`, and give the rest of the event loop a turn after every few of them."""
    for number, item in enumerate(items, 1):
        yield item
        if number % SLICE == 0:
            await asyncio.sleep(0)


async def set_within(event: asyncio.Event, seconds: float) -> bool:
    """Wait until `event` is set or the time is over; whether it is set.

    Not by `asyncio.wait_for`: before Python 3.12 it may swallow a cancellation that comes just as the event is set, and
    the process that was told to stop goes on.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    return event.is_set()
