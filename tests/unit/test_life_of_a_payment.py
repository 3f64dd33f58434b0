"""Any interleaving of charge, void, refund, settlement, sightings and lost answers of one payment.

It ends in a state that agrees with the processor, and money moves at most once each way.
"""

from collections.abc import Callable, Sequence
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from shared.domain.answers import Seen
from shared.domain.payment import NEVER_CHARGED, UNFINISHED, State
from shared.domain.words import ProcessorName
from tests.unit.life import LEASE, Bank, Life, Request

_AGREES = {
    None: {*NEVER_CHARGED, State.QUEUED},
    Seen.SETTLED: {State.SETTLED},
    Seen.VOIDED: {State.VOIDED},
    Seen.REFUNDED: {State.REFUNDED},
}
_ENOUGH_TURNS = 60
PLACES = st.integers(min_value=0, max_value=2)
CHARGED = (Life.work, lambda life: life.execute(life.wire[0]), lambda life: life.answer(life.wire[0]))
SETTLED = (lambda life: life.bank.settle(), Life.sight)


class PaymentLife(RuleBasedStateMachine):
    """`outsiders`: somebody also voids and refunds in the dashboard, at a processor that refunds once."""

    processor = ProcessorName.VANTAGE
    outsiders = False

    @initialize(smoothly=st.sampled_from([(), CHARGED, (*CHARGED, *SETTLED), (*CHARGED, *SETTLED, Life.ask_refund)]))
    def begin(self, smoothly: Sequence[Callable[[Life], None]]) -> None:
        """A payment to which this has happened without trouble."""
        self.life = Life(Bank(self.processor, enforces_single_refunds=self.outsiders))
        for happen in smoothly:
            happen(self.life)

    @rule(after_the_lease=st.booleans())
    def work(self, *, after_the_lease: bool) -> None:
        if after_the_lease:
            self.life.now += LEASE + timedelta(seconds=1)
        self.life.work()

    @rule()
    def sight(self) -> None:
        self.life.sight()

    @rule()
    def ask_void(self) -> None:
        self.life.ask_void()

    @rule()
    def ask_refund(self) -> None:
        self.life.ask_refund()

    @rule()
    def settle(self) -> None:
        self.life.bank.settle()

    @precondition(lambda self: self.outsiders and self.life.bank.charges)
    @rule(void=st.booleans())
    def give_back_outside(self, *, void: bool) -> None:
        for reference in self.life.bank.charges:
            (self.life.bank.void if void else self.life.bank.refund)(reference)

    @precondition(lambda self: self.life.wire)
    @rule(place=PLACES)
    def execute(self, place: int) -> None:
        self.life.execute(self.at(place))

    @precondition(lambda self: self.life.wire)
    @rule(place=PLACES)
    def answer(self, place: int) -> None:
        self.life.answer(self.at(place))

    @precondition(lambda self: self.life.wire)
    @rule(place=PLACES, how=st.sampled_from([Life.lose, Life.die]))
    def lose_the_answer(self, place: int, how: Callable[[Life, Request], None]) -> None:
        how(self.life, self.at(place))

    @precondition(lambda self: self.life.wire)
    @rule(place=PLACES)
    def vanish(self, place: int) -> None:
        self.life.vanish(self.at(place))

    def at(self, place: int) -> Request:
        return self.life.wire[place % len(self.life.wire)]

    @invariant()
    def money_moves_at_most_once_each_way(self) -> None:
        if hasattr(self, "life"):
            assert self.life.bank.taken <= 1
            assert self.life.bank.given_back <= 1

    def teardown(self) -> None:
        """No more trouble: everybody does their work until nothing is left to do.

        Alone we need no report or webhook to end right; what others do outside is seen in them.
        """
        if not hasattr(self, "life"):
            return
        life = self.life
        for _ in range(_ENOUGH_TURNS):
            for request in list(life.wire):
                life.answer(request) if request.owner else life.vanish(request)
            life.bank.settle()
            life.now += LEASE + timedelta(seconds=1)
            life.work()
            if self.outsiders:
                life.sight()
        stands = next(iter(life.bank.charges.values()), None)
        agrees = life.payment.state in _AGREES[stands]
        assert agrees or life.payment.review_reason, (life.payment.state, stands)
        assert life.payment.state not in UNFINISHED or life.payment.review_reason
        self.money_moves_at_most_once_each_way()


@pytest.mark.parametrize("outsiders", [False, True], ids=["alone", "with outsiders"])
@pytest.mark.parametrize("processor", list(ProcessorName))
def test_every_life_ends_as_the_processor_says(processor: ProcessorName, outsiders: bool) -> None:
    machine = type("Life", (PaymentLife,), {"processor": processor, "outsiders": outsiders})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=500, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
