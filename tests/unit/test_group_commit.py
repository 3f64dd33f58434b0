"""Natural batching: whatever gathers while one commit runs shares the next."""

import asyncio
from collections.abc import Sequence

import pytest

from shared.store.group_commit import GroupCommit
from shared.waiting import SLICE


def test_each_member_gets_its_own_result_whatever_the_groups() -> None:
    async def run(group: Sequence[int]) -> list[int]:
        await asyncio.sleep(0)
        return [item * 10 for item in group]

    async def all_of_them() -> list[int]:
        commits = GroupCommit(run, most=7, lanes=2)
        return await asyncio.gather(*(commits.submit(item) for item in range(100)))

    assert asyncio.run(all_of_them()) == [item * 10 for item in range(100)]


def test_what_gathers_while_a_group_runs_is_the_next_group_in_order() -> None:
    groups: list[list[int]] = []
    started, gate = asyncio.Event(), asyncio.Event()

    async def run(group: Sequence[int]) -> Sequence[int]:
        groups.append(list(group))
        started.set()
        await gate.wait()
        return group

    async def main() -> None:
        commits = GroupCommit(run, most=10)
        first = asyncio.create_task(commits.submit(0))
        await started.wait()
        rest = [asyncio.create_task(commits.submit(item)) for item in range(1, 4)]
        await asyncio.sleep(0)
        assert groups == [[0]]
        gate.set()
        await asyncio.gather(first, *rest)

    asyncio.run(main())
    assert groups == [[0], [1, 2, 3]]


def test_the_members_of_a_large_group_go_on_a_slice_at_a_time() -> None:
    woken = 0

    async def run(group: Sequence[int]) -> Sequence[int]:
        return group

    async def main() -> list[int]:
        nonlocal woken
        commits = GroupCommit(run, most=100)

        async def member(item: int) -> None:
            nonlocal woken
            assert await commits.submit(item) == item
            woken += 1

        members = [asyncio.create_task(member(item)) for item in range(2 * SLICE + 3)]
        seen = [0]
        while woken < len(members):
            await asyncio.sleep(0)
            if woken != seen[-1]:
                seen.append(woken)
        return seen

    assert asyncio.run(main()) == [0, SLICE, 2 * SLICE, 2 * SLICE + 3]


def test_a_group_is_never_larger_than_asked_for() -> None:
    sizes: list[int] = []

    async def run(group: Sequence[int]) -> Sequence[int]:
        sizes.append(len(group))
        return group

    async def main() -> None:
        commits = GroupCommit(run, most=4)
        await asyncio.gather(*(commits.submit(item) for item in range(10)))

    asyncio.run(main())
    assert sizes == [4, 4, 2]


def test_one_lane_runs_one_group_at_a_time_and_two_lanes_two() -> None:
    async def most_at_once(lanes: int) -> int:
        running = 0
        most = 0

        async def run(group: Sequence[int]) -> Sequence[int]:
            nonlocal running, most
            running += 1
            most = max(most, running)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            running -= 1
            return group

        commits = GroupCommit(run, most=1, lanes=lanes)
        await asyncio.gather(*(commits.submit(item) for item in range(10)))
        return most

    assert asyncio.run(most_at_once(1)) == 1
    assert asyncio.run(most_at_once(2)) == 2


def test_a_group_that_fails_tells_its_members_and_does_not_stall_the_next() -> None:
    async def run(group: Sequence[str]) -> Sequence[str]:
        if "bad" in group:
            raise ValueError("this group failed")
        return group

    async def main() -> list[str | BaseException]:
        commits = GroupCommit(run, most=2)
        items = ["good", "bad", "fine", "well"]
        return await asyncio.gather(*(commits.submit(item) for item in items), return_exceptions=True)

    first, second, *rest = asyncio.run(main())
    assert isinstance(first, ValueError)
    assert isinstance(second, ValueError)
    assert rest == ["fine", "well"]


def test_a_member_that_stopped_waiting_does_not_disturb_its_neighbours() -> None:
    gate = asyncio.Event()

    async def run(group: Sequence[int]) -> Sequence[int]:
        await gate.wait()
        return group

    async def main() -> int:
        commits = GroupCommit(run, most=10)
        leaver, stayer = (asyncio.create_task(commits.submit(item)) for item in (1, 2))
        await asyncio.sleep(0)
        leaver.cancel()
        gate.set()
        with pytest.raises(asyncio.CancelledError):
            await leaver
        return await stayer

    assert asyncio.run(main()) == 2


def test_an_item_that_comes_when_all_is_idle_is_committed_at_once() -> None:
    groups: list[list[int]] = []

    async def run(group: Sequence[int]) -> Sequence[int]:
        groups.append(list(group))
        return group

    async def main() -> None:
        commits = GroupCommit(run, most=10)
        for item in range(3):
            await commits.submit(item)

    asyncio.run(main())
    assert groups == [[0], [1], [2]]


def test_groups_follow_each_other_at_their_pace_unless_enough_wait() -> None:
    groups: list[tuple[float, list[int]]] = []

    async def run(group: Sequence[int]) -> Sequence[int]:
        groups.append((asyncio.get_running_loop().time(), list(group)))
        await asyncio.sleep(0.02)
        return group

    async def main() -> None:
        commits = GroupCommit(run, most=4, enough=3, pace_s=0.05)
        tasks = [asyncio.create_task(commits.submit(0))]
        await asyncio.sleep(0.01)
        tasks += [asyncio.create_task(commits.submit(item)) for item in range(1, 7)]
        await asyncio.gather(*tasks)

    asyncio.run(main())
    (first_s, first), (enough_s, enough), (rest_s, rest) = groups
    assert (first, enough, rest) == ([0], [1, 2, 3, 4], [5, 6])
    assert enough_s - first_s < 0.05 <= rest_s - enough_s + 0.001


def test_a_pause_ends_when_enough_have_come() -> None:
    groups: list[list[int]] = []
    started, gate = asyncio.Event(), asyncio.Event()

    async def run(group: Sequence[int]) -> Sequence[int]:
        groups.append(list(group))
        started.set()
        await gate.wait()
        return group

    async def main() -> None:
        commits = GroupCommit(run, most=10, enough=3, pace_s=3600.0)
        first = asyncio.create_task(commits.submit(0))
        await started.wait()
        waiting = asyncio.create_task(commits.submit(1))
        gate.set()
        await first
        rest = [asyncio.create_task(commits.submit(item)) for item in (2, 3)]
        async with asyncio.timeout(5):
            await asyncio.gather(waiting, *rest)

    asyncio.run(main())
    assert groups == [[0], [1, 2, 3]]
