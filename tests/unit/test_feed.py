"""Whose hints come next."""

from uuid import UUID

from services.relay.feed import in_turns, shares
from shared.store.outbox import CommandRow, WaitingBatch

GREEDY, MODEST = UUID(int=1), UUID(int=2)


def batch(n: int, practice: UUID) -> WaitingBatch:
    return WaitingBatch(UUID(int=n), practice, "account")


def rows(of: WaitingBatch, count: int) -> list[CommandRow]:
    return [CommandRow(int(of.id) * 100 + n, of.id, UUID(int=n)) for n in range(count)]


def test_every_practice_gets_the_same_share_however_many_batches_it_has() -> None:
    batches = [batch(10, GREEDY), batch(11, GREEDY), batch(12, GREEDY), batch(20, MODEST)]
    assert shares(batches, 60) == {UUID(int=10): 10, UUID(int=11): 10, UUID(int=12): 10, UUID(int=20): 30}


def test_practices_take_turns_and_within_one_its_batches_do() -> None:
    batches = [batch(10, GREEDY), batch(11, GREEDY), batch(20, MODEST)]
    taken = [row for one in batches for row in rows(one, 2)]
    turns = [int(row.batch_id) for row in in_turns(taken, batches)]
    assert turns == [10, 20, 11, 20, 10, 11]


def test_a_single_batch_takes_every_turn_in_its_own_order() -> None:
    only = batch(10, GREEDY)
    assert in_turns(rows(only, 3), [only]) == rows(only, 3)
