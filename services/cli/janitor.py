"""Waiting at a terminal for what only a janitor can answer."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Protocol, TypeVar

_ASK_AGAIN_S: Final = 0.2


class Answered(Protocol):
    @property
    def answered(self) -> bool: ...


T = TypeVar("T", bound=Answered)


async def answer_within(seconds: float, look: Callable[[], Awaitable[T]]) -> T:
    """What `look` finds as soon as it is answered; unanswered when the time is over."""
    try:
        async with asyncio.timeout(seconds):
            while True:
                found = await look()
                if found.answered:
                    return found
                await asyncio.sleep(_ASK_AGAIN_S)
    except TimeoutError:
        return await look()
