"""The aggregator's loop: which batches, how often, and never a lost group."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from uuid import UUID

import orjson
import psycopg
import pytest

from services.aggregator.aggregator import LONGEST_PAUSE_S, RETRY_S, aggregate, batches_of, pause_s

ONE, TWO = UUID(int=1), UUID(int=2)


def body(batch_id: object) -> bytes:
    return orjson.dumps({"batch_id": batch_id, "type": "payment.approved"})


async def given_groups(*groups: list[bytes], asked: list[int]) -> AsyncIterator[list[bytes]]:
    for n, group in enumerate(groups):
        asked.append(n)
        yield group


class Time:
    """A clock that only sleeping and working move."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        self.slept.append(round(seconds, 6))
        self.now_s += seconds


def run(groups: list[list[bytes]], recompute: Callable[[Iterable[UUID]], Awaitable[object]], time: Time) -> list[int]:
    asked: list[int] = []
    asyncio.run(aggregate(given_groups(*groups, asked=asked), recompute=recompute, clock=time.clock, sleep=time.sleep))
    return asked


def test_each_batch_of_a_group_is_recomputed_once() -> None:
    calls: list[list[UUID]] = []

    async def recompute(batches: Iterable[UUID]) -> None:
        calls.append(sorted(batches))

    run([[body(str(ONE))] * 50 + [body(str(TWO))], [body(str(TWO))]], recompute, Time())
    assert calls == [[ONE, TWO], [TWO]]


def test_a_round_that_cost_much_is_followed_by_a_long_pause() -> None:
    time = Time()

    async def recompute(_batches: Iterable[UUID]) -> None:
        time.now_s += 0.02

    run([[body(str(ONE))]] * 3, recompute, time)
    assert time.slept == [0.0, 0.38, 0.38]


def test_the_share_of_a_core_is_bounded_until_the_last_event_would_be_seen_too_late() -> None:
    assert 0.01 / (pause_s(0.01) + 0.01) == pytest.approx(0.05)
    assert pause_s(5.0) == LONGEST_PAUSE_S < 1.0


@pytest.mark.parametrize("error", [psycopg.OperationalError, psycopg.InterfaceError, psycopg.errors.DeadlockDetected])
def test_a_group_is_kept_and_tried_again_while_postgresql_is_away(error: type[Exception]) -> None:
    time, asked_when_done = Time(), []
    answers: list[type[Exception] | None] = [error, error, None, None]

    async def recompute(_batches: Iterable[UUID]) -> None:
        answer = answers.pop(0)
        asked_when_done.append(len(asked))
        if answer:
            raise answer

    asked: list[int] = []
    groups = given_groups([body(str(ONE))], [body(str(ONE))], asked=asked)
    asyncio.run(aggregate(groups, recompute=recompute, clock=time.clock, sleep=time.sleep))
    assert asked_when_done == [1, 1, 1, 2]
    assert time.slept.count(RETRY_S) == 2


def test_any_other_error_ends_the_loop_and_the_group_returns_to_the_queue() -> None:
    async def recompute(_batches: Iterable[UUID]) -> None:
        raise LookupError

    with pytest.raises(LookupError):
        run([[body(str(ONE))]], recompute, Time())


def test_bodies_that_name_no_batch_are_left_out() -> None:
    strange = [b"", b"no json", b"[]", b"{}", b"null", b'"x"', body(None), body("x"), body(7), body([1])]
    assert batches_of([*strange, body(str(ONE))]) == {ONE}
