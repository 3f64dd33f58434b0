"""How many payments a worker claims ahead of its requests."""

import asyncio

import pytest

from workers.charge.slots import Slots

COUNT = 8


async def turns_of_the_loop() -> None:
    """Let everybody go on who can."""
    for _ in range(5):
        await asyncio.sleep(0)


async def claimed_at_once(slots: Slots, *, first_after: int = 0) -> tuple[int, int]:
    """How many of many are claimed while none is answered, and how many of those that come first after them."""
    claimed, answer = {"others": 0, "first": 0}, asyncio.Event()

    async def other() -> None:
        async with slots.claimed:
            claimed["others"] += 1
            await answer.wait()

    async def first() -> None:
        async with slots.claimed.first():
            claimed["first"] += 1
            await answer.wait()

    tasks = [asyncio.create_task(other()) for _ in range(10 * COUNT)]
    await turns_of_the_loop()
    tasks += [asyncio.create_task(first()) for _ in range(first_after)]
    await turns_of_the_loop()
    found = claimed["others"], claimed["first"]
    answer.set()
    await asyncio.gather(*tasks)
    assert (claimed["others"], claimed["first"]) == (10 * COUNT, first_after)
    return found


def after_requests(request_s: float) -> Slots:
    slots = Slots(COUNT)
    for _ in range(200):
        slots.took(request_s)
    return slots


def test_as_many_again_are_claimed_ahead_as_there_are_slots() -> None:
    assert asyncio.run(claimed_at_once(Slots(COUNT))) == (2 * COUNT, 0)


@pytest.mark.parametrize(("request_s", "ahead"), [(0.05, 2 * COUNT), (0.25, COUNT), (0.5, COUNT // 2), (60.0, 0)])
def test_a_claim_waits_for_its_slot_a_quarter_of_a_second_whatever_a_request_takes(
    request_s: float, ahead: int
) -> None:
    assert asyncio.run(claimed_at_once(after_requests(request_s))) == (COUNT + ahead, 0)


@pytest.mark.parametrize(("request_s", "beyond"), [(0.05, COUNT), (0.5, COUNT // 2), (60.0, 0)])
def test_who_is_first_is_claimed_beside_those_ahead_unless_the_processor_is_slow(request_s: float, beyond: int) -> None:
    _, first = asyncio.run(claimed_at_once(after_requests(request_s), first_after=2 * COUNT))
    assert first == beyond
