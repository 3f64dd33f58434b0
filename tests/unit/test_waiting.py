"""Waiting for an event never makes a process deaf to being stopped."""

import asyncio

import pytest

from shared.waiting import set_within


def test_an_event_is_waited_for_no_longer_than_wanted() -> None:
    assert not asyncio.run(set_within(asyncio.Event(), 0.001))


def test_an_event_that_is_set_ends_the_wait() -> None:
    async def wait() -> bool:
        event = asyncio.Event()
        waiting = asyncio.create_task(set_within(event, 60))
        event.set()
        return await waiting

    assert asyncio.run(wait())


@pytest.mark.parametrize("turns", range(5))
def test_a_cancellation_that_comes_so_many_turns_after_the_event_is_not_swallowed(turns: int) -> None:
    async def wait() -> tuple[bool, bool]:
        event = asyncio.Event()
        waiting = asyncio.create_task(set_within(event, 60))
        await asyncio.sleep(0)
        event.set()
        for _ in range(turns):
            await asyncio.sleep(0)
        taken = waiting.cancel()
        await asyncio.wait([waiting])
        return taken, waiting.cancelled()

    taken, cancelled = asyncio.run(wait())
    assert taken == cancelled
