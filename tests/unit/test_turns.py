"""Taking turns: in order, within the call that passes one on, and nobody's turn is lost."""

import asyncio
from collections.abc import Callable

from workers.turns import Turns


class Asked:
    """Who has begun, in order."""

    def __init__(self) -> None:
        self.begun: list[str] = []

    def by(self, name: str) -> Callable[[], None]:
        return lambda: self.begun.append(name)


def test_as_many_begin_at_once_as_may_and_the_others_in_their_order() -> None:
    turns, asked = Turns(2), Asked()
    for name in "abcd":
        turns.take(asked.by(name))
    assert asked.begun == ["a", "b"]
    turns.pass_on()
    assert asked.begun == ["a", "b", "c"]
    turns.pass_on()
    turns.pass_on()
    turns.take(asked.by("e"))
    assert asked.begun == ["a", "b", "c", "d", "e"]


def test_who_is_first_goes_before_all_who_wait_and_at_once_beyond_the_others() -> None:
    turns, asked = Turns(1, beyond=1), Asked()
    for name in "ab":
        turns.take(asked.by(name))
    turns.take(asked.by("first at once"), first=True)
    for name in ("first in line", "second in line"):
        turns.take(asked.by(name), first=True)
    assert asked.begun == ["a", "first at once"]
    turns.pass_on()
    turns.pass_on()
    assert asked.begun[2:] == ["first in line"]
    turns.pass_on()
    turns.pass_on()
    assert asked.begun[3:] == ["second in line", "b"]


def test_who_gives_up_waiting_takes_nobodys_place() -> None:
    turns, asked = Turns(1), Asked()
    turns.take(asked.by("a"))
    waiting = [turns.take(asked.by(name)) for name in "bcd"]
    for one in waiting[:2]:
        assert one
        one.give_up()
    turns.pass_on()
    assert asked.begun == ["a", "d"]


def test_more_begin_when_more_may() -> None:
    turns, asked = Turns(1), Asked()
    for name in "abcd":
        turns.take(asked.by(name))
    turns.most = 3
    turns.pass_on()
    assert asked.begun == ["a", "b", "c", "d"]


def test_who_is_cancelled_passes_the_turn_on_that_comes_in_the_same_moment() -> None:
    async def scenario() -> list[str]:
        turns, done = Turns(1), list[str]()

        async def one(name: str) -> None:
            async with turns.first() if name.startswith("first") else turns:
                done.append(name)

        names = ("first, just too late", "first, cancelled before", "first", "waits", "gives up", "last")
        turns.take(lambda: None)
        tasks = {name: asyncio.create_task(one(name)) for name in names}
        await asyncio.sleep(0)
        tasks["gives up"].cancel()
        tasks["first, cancelled before"].cancel()
        turns.pass_on()
        # Its turn has come, and it has not noticed yet.
        tasks["first, just too late"].cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)
        return done

    assert asyncio.run(scenario()) == ["first", "waits", "last"]


def test_a_turn_that_comes_to_somebody_cancelled_in_the_same_moment_goes_to_the_next() -> None:
    async def scenario() -> list[str]:
        turns, done = Turns(1), list[str]()

        async def one(name: str) -> None:
            async with turns:
                done.append(name)

        turns.take(lambda: None)
        tasks = [asyncio.create_task(one(name)) for name in ("cancelled", "next")]
        await asyncio.sleep(0)
        tasks[0].cancel()
        turns.pass_on()
        await asyncio.gather(*tasks, return_exceptions=True)
        return done

    assert asyncio.run(scenario()) == ["next"]
