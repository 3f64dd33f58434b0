"""One claim, one request: whatever an adapter does, it does not leave twice, and what left is not taken for unsent."""

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest

from shared.domain.answers import Approved, Blame, ChargeAnswer, NotExecuted, Unknown
from shared.store.payments import Owned
from workers.processors.port import Departure
from workers.sending import Claimed, send

KEPT_BACK = NotExecuted(code="kept_back", blame=Blame.NOTHING, detail="it may not be sent any more")
BUDGET = timedelta(seconds=5)


class Wire:
    """An adapter that sends as often as it is told to, if it may, and what it was asked."""

    def __init__(self, *, requests: int) -> None:
        self._requests = requests
        self.left = 0

    async def charge(self, _request_text: str, departure: Departure) -> ChargeAnswer:
        answer: ChargeAnswer = KEPT_BACK
        for _ in range(self._requests):
            answer = Approved(processor_ref="1") if departure.may_go() else KEPT_BACK
            self.left += isinstance(answer, Approved)
        return answer


def sent(wire: Wire, *, after_s: float = 0.0) -> tuple[ChargeAnswer, list[float]]:
    """The answer to a claim whose request leaves so late, and what it took."""
    clock = iter([100.0 + after_s, 100.0 + after_s + 0.5])
    owned = Owned(UUID(int=1), UUID(int=2), UUID(int=3), "the request")
    took: list[float] = []

    async def run() -> ChargeAnswer:
        claimed = Claimed(owned, 100.0, lambda: next(clock))
        return await send(claimed, wire.charge, what="test", budget=BUDGET, took=took.append)

    return asyncio.run(run()), took


@pytest.mark.parametrize("after_s", [0.0, 5.0])
def test_within_the_budget_it_leaves_and_tells_what_it_took(after_s: float) -> None:
    wire = Wire(requests=1)
    assert sent(wire, after_s=after_s) == (Approved(processor_ref="1"), [0.5])
    assert wire.left == 1


def test_past_the_budget_nothing_leaves() -> None:
    wire = Wire(requests=1)
    answer, took = sent(wire, after_s=5.1)
    assert isinstance(answer, NotExecuted)
    assert (answer.code, answer.blame, took, wire.left) == ("send_budget", Blame.NOTHING, [], 0)


def test_a_second_request_of_one_claim_does_not_leave_and_the_first_is_not_taken_for_unsent() -> None:
    wire = Wire(requests=2)
    answer, _ = sent(wire)
    assert isinstance(answer, Unknown)
    assert wire.left == 1


def test_what_never_wanted_to_leave_is_what_the_adapter_says() -> None:
    assert sent(Wire(requests=0)) == (KEPT_BACK, [])
