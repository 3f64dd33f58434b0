"""Whose hints come next."""

from collections.abc import Iterable
from uuid import UUID

import pytest

from services.relay.feed import LOOK_AGAIN_S, QUEUED_AT_LEAST, TURN, TakenRate, shares
from services.relay.hints import hinted_up_to, in_turns
from shared.store.outbox import CommandRow, FirstHint, Hint, Taken, WaitingBatch

GREEDY, MODEST = UUID(int=1), UUID(int=2)


def batch(n: int, practice: UUID) -> WaitingBatch:
    return WaitingBatch(UUID(int=n), practice, "account")


def rows(of: WaitingBatch, count: int) -> list[Hint]:
    return [CommandRow(int(of.id) * 100 + n, of.id, UUID(int=n)) for n in range(count)]


def firsts(of: WaitingBatch, count: int) -> list[FirstHint]:
    return [FirstHint(of.id, UUID(int=int(of.id) * 100 + n)) for n in range(count)]


def test_every_practice_gets_the_same_share_however_many_batches_it_has() -> None:
    batches = [batch(10, GREEDY), batch(11, GREEDY), batch(12, GREEDY), batch(20, MODEST)]
    assert shares(batches, 60) == {UUID(int=10): 10, UUID(int=11): 10, UUID(int=12): 10, UUID(int=20): 30}


def test_of_many_batches_some_send_several_hints_together_and_each_has_its_turn() -> None:
    many = [batch(n, GREEDY) for n in range(1, 101)]
    modest = batch(200, MODEST)
    had = set()
    for start in range(len(many)):
        found = shares([*many, modest], 60, below=lambda count, start=start: start % count)
        assert found.pop(modest.id) == 30
        assert list(found.values()) == [TURN] * 3
        had |= set(found)
    assert had == {one.id for one in many}


def test_of_many_practices_some_send_several_hints_together_and_each_has_its_turn() -> None:
    many = [batch(n, UUID(int=n)) for n in range(1, 101)]
    had = set()
    for start in range(len(many)):
        found = shares(many, 60, below=lambda count, start=start: start % count)
        assert list(found.values()) == [TURN] * 6
        had |= set(found)
    assert had == {one.id for one in many}


@pytest.mark.parametrize("room", [1, 9, 10, 64, 1000])
@pytest.mark.parametrize("practices", [1, 3, 100])
def test_no_room_stays_unused(room: int, practices: int) -> None:
    batches = [batch(n, UUID(int=n % practices)) for n in range(1, 101)]
    assert sum(shares(batches, room).values()) >= room
    assert shares([], room) == {}


def test_practices_take_turns_and_within_one_its_batches_do() -> None:
    batches = [batch(10, GREEDY), batch(11, GREEDY), batch(20, MODEST)]
    taken = [row for one in batches for row in rows(one, 2)]
    turns = [int(row.batch_id) for row in in_turns(taken, batches)]
    assert turns == [10, 20, 11, 20, 10, 11]


def test_a_single_batch_takes_every_turn_in_its_own_order() -> None:
    only = batch(10, GREEDY)
    mixed = [*rows(only, 3), *firsts(only, 3)]
    assert in_turns(mixed, [only]) == mixed


def test_first_hints_take_the_same_turns_as_rows() -> None:
    new, old, modest = batch(10, GREEDY), batch(11, GREEDY), batch(20, MODEST)
    turns = in_turns([*rows(old, 2), *firsts(new, 2), *firsts(modest, 2)], [new, old, modest])
    assert [int(hint.batch_id) for hint in turns] == [10, 20, 11, 20, 10, 11]


def test_a_cursor_moves_up_to_the_first_hint_that_did_not_arrive() -> None:
    one, other, none = batch(10, GREEDY), batch(11, GREEDY), batch(12, GREEDY)
    taken = Taken(
        rows=[], firsts=[*firsts(one, 4), *firsts(other, 2), *firsts(none, 2)], held=[one.id, other.id, none.id]
    )
    arrived = {*firsts(one, 4), *firsts(other, 2), *firsts(none, 2)} - {firsts(one, 4)[2], firsts(none, 1)[0]}
    assert hinted_up_to(taken, arrived) == {one.id: UUID(int=1001), other.id: UUID(int=1101), none.id: None}


def test_of_a_batch_that_nothing_was_taken_for_nothing_was_hinted() -> None:
    assert hinted_up_to(Taken(rows=[], firsts=[], held=[GREEDY]), set()) == {GREEDY: None}


def rates_of(taken: Iterable[int], *, filled_to: int) -> list[float]:
    """What is learned at each look at a queue that is filled up again after so many were taken."""
    rate = TakenRate(at_most=100_000)
    found = []
    for look, count in enumerate(taken):
        found.append(rate.look(filled_to - count if look else 0, now_s=look * LOOK_AGAIN_S))
        rate.filled(filled_to)
    return found


def test_bursts_are_taken_for_their_mean() -> None:
    learned = rates_of((60 if look % 3 == 0 else 0 for look in range(200)), filled_to=200)
    mean = 20 / LOOK_AGAIN_S
    assert all(0.9 * mean < rate < 1.15 * mean for rate in learned[100:])


def test_workers_that_empty_the_queue_at_every_look_get_more_until_it_is_enough() -> None:
    learned = rates_of([QUEUED_AT_LEAST] * 100, filled_to=QUEUED_AT_LEAST)
    at_this_depth = QUEUED_AT_LEAST / LOOK_AGAIN_S
    assert learned[10] < at_this_depth < min(learned[20:])


def test_the_rate_of_workers_that_stopped_is_forgotten() -> None:
    learned = rates_of([60] * 50 + [0] * 100, filled_to=200)
    assert learned[-1] < learned[49] / 20
