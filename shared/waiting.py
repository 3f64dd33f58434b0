"""Waiting for an event for no longer than one wants to, and waking many so that others have their turn."""

import asyncio
from contextlib import suppress
from typing import Final

# How many tasks are begun or woken in one turn of an event loop. What a hundred do next at once holds the loop for
# milliseconds, in which answers of a processor wait to be read and the next requests to be sent.
SLICE: Final = 8


async def set_within(event: asyncio.Event, seconds: float) -> bool:
    """Wait until `event` is set or the time is over; whether it is set.

    Not by `asyncio.wait_for`: before Python 3.12 it may swallow a cancellation that comes just as the event is set, and
    the process that was told to stop goes on.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    return event.is_set()
