"""How many payments a worker claims and sends at once."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from workers.charge.slots import Slots

COUNT = 8


async def turns_of_the_loop() -> None:
    """Let everybody go on who can."""
    for _ in range(5):
        await asyncio.sleep(0)


class Crowd:
    """Many payments that stop where they are told to, and what they reached."""

    def __init__(self, slots: Slots) -> None:
        self.claimed = self.sending = self.done = 0
        self.answer = asyncio.Event()
        self._slots = slots

    async def one(self) -> None:
        async with self._slots.claimed:
            self.claimed += 1
            async with self._slots.sending:
                self.sending += 1
                await self.answer.wait()
        self.done += 1


def with_crowd(slots: Slots, check: Callable[[Crowd, list[asyncio.Task[None]]], Awaitable[None]]) -> None:
    async def scenario() -> None:
        crowd = Crowd(slots)
        tasks = [asyncio.create_task(crowd.one()) for _ in range(10 * COUNT)]
        await turns_of_the_loop()
        await check(crowd, tasks)
        crowd.answer.set()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert crowd.done == sum(not task.cancelled() for task in tasks)

    asyncio.run(scenario())


def test_as_many_are_sent_as_there_are_slots_and_as_many_again_are_claimed_ahead() -> None:
    async def check(crowd: Crowd, _: list[asyncio.Task[None]]) -> None:
        assert (crowd.claimed, crowd.sending) == (2 * COUNT, COUNT)

    with_crowd(Slots(COUNT), check)


@pytest.mark.parametrize(("request_s", "ahead"), [(0.05, 2 * COUNT), (0.25, COUNT), (0.5, COUNT // 2), (60.0, 0)])
def test_a_claim_waits_for_its_slot_a_quarter_of_a_second_whatever_a_request_takes(
    request_s: float, ahead: int
) -> None:
    slots = Slots(COUNT)
    for _ in range(200):
        slots.took(request_s)

    async def check(crowd: Crowd, _: list[asyncio.Task[None]]) -> None:
        assert (crowd.claimed, crowd.sending) == (COUNT + ahead, COUNT)

    with_crowd(slots, check)


def test_who_is_first_passes_all_who_wait_and_no_bound() -> None:
    async def check(crowd: Crowd, tasks: list[asyncio.Task[None]]) -> None:
        order: list[str] = []

        async def come(name: str) -> None:
            async with slots.sending.first() if name == "first" else slots.sending:
                order.append(name)

        slots.claimed.most = 10 * COUNT
        late = [asyncio.create_task(come(name)) for name in ("other", "first")]
        await turns_of_the_loop()
        assert order == []
        crowd.answer.set()
        await asyncio.gather(*late, *tasks)
        assert order == ["first", "other"]

    slots = Slots(COUNT)
    with_crowd(slots, check)


@pytest.mark.parametrize(("request_s", "beyond"), [(0.05, COUNT), (0.5, COUNT // 2), (60.0, 0)])
def test_who_is_first_is_claimed_beside_those_ahead_unless_the_processor_is_slow(request_s: float, beyond: int) -> None:
    slots = Slots(COUNT)
    for _ in range(200):
        slots.took(request_s)

    async def check(crowd: Crowd, tasks: list[asyncio.Task[None]]) -> None:
        before, firsts = crowd.claimed, 0

        async def come_first() -> None:
            nonlocal firsts
            async with slots.claimed.first():
                firsts += 1
                async with slots.sending.first():
                    pass

        late = [asyncio.create_task(come_first()) for _ in range(2 * COUNT)]
        await turns_of_the_loop()
        assert (crowd.claimed, firsts) == (before, beyond)
        crowd.answer.set()
        await asyncio.gather(*late, *tasks)
        assert firsts == 2 * COUNT

    with_crowd(slots, check)


def test_who_gives_up_waiting_takes_nobodys_place() -> None:
    async def check(crowd: Crowd, tasks: list[asyncio.Task[None]]) -> None:
        for task in tasks[2 * COUNT : 5 * COUNT]:
            task.cancel()
        crowd.answer.set()
        await turns_of_the_loop()

    with_crowd(Slots(COUNT), check)


def test_a_place_that_was_given_in_the_moment_of_giving_up_is_passed_on() -> None:
    async def check(crowd: Crowd, tasks: list[asyncio.Task[None]]) -> None:
        crowd.answer.set()
        tasks[0].cancel()
        await asyncio.sleep(0)
        tasks[2 * COUNT].cancel()
        await turns_of_the_loop()
        assert crowd.claimed > 2 * COUNT

    with_crowd(Slots(COUNT), check)
