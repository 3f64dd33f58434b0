"""The one contract of every processor adapter, run by each adapter's own test file against its simulator.

An adapter's file subclasses `ProcessorContract` under a name that pytest collects and offers a fixture `open_bench`:
a function without arguments that returns an asynchronous context manager of a `Bench`. Each test opens a bench of its
own inside its own event loop (`asyncio.run`), so nothing is shared between tests.

    class TestVantage(ProcessorContract):
        @pytest.fixture
        def open_bench(self) -> OpenBench: ...
"""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.contract.bench import AFTER_EXECUTING, BEFORE_EXECUTING, Bench, OpenBench, impatient, play
from workers.processors.port import (
    Approved,
    Blame,
    Declined,
    Found,
    NotExecuted,
    NotFound,
    Processor,
    ReturnOrder,
    Seen,
    Settled,
    Unknown,
    VoidConfirmed,
)


class ProcessorContract:
    # --- answers -----------------------------------------------------------------------------------------------------

    def test_an_approved_charge_moves_its_amount_once(self, open_bench: OpenBench) -> None:
        async def story(bench: Bench) -> None:
            order = bench.order("approve", amount_minor=4_321)
            answer = await bench.processor.charge(bench.processor.freeze_charge(order))
            assert isinstance(answer, Approved | Settled)
            assert answer.processor_ref
            (fact,) = bench.ledger(order.reference)
            assert (fact["kind"], fact["amount_minor"], fact["currency"]) == ("charge", 4_321, order.currency)
            assert (fact["account"], fact["token"]) == (order.account, order.token)

        play(open_bench, story)

    def test_a_decline_moves_nothing_and_keeps_the_raw_code(self, open_bench: OpenBench) -> None:
        async def story(bench: Bench) -> None:
            behaviour, code = bench.decline
            order = bench.order(behaviour)
            answer = await bench.processor.charge(bench.processor.freeze_charge(order))
            assert isinstance(answer, Declined)
            assert answer.decline.code is code
            assert answer.decline.raw_code == behaviour.partition(":")[2]
            assert bench.ledger(order.reference) == []

        play(open_bench, story)

    def test_a_slow_answer_is_waited_for(self, open_bench: OpenBench) -> None:
        async def story(bench: Bench) -> None:
            order = bench.order("slow:150")
            answer = await bench.processor.charge(bench.processor.freeze_charge(order))
            assert isinstance(answer, Approved | Settled)

        play(open_bench, story)

    def test_a_method_that_the_processor_does_not_know_is_not_executed(self, open_bench: OpenBench) -> None:
        async def story(bench: Bench) -> None:
            answer = await bench.processor.charge(bench.processor.freeze_charge(bench.unstored()))
            assert isinstance(answer, NotExecuted)
            assert answer.blame in {Blame.METHOD, Blame.US}

        play(open_bench, story)

    @pytest.mark.parametrize("behaviour", AFTER_EXECUTING)
    def test_trouble_after_executing_is_unknown_and_a_lookup_finds_the_money(
        self, open_bench: OpenBench, behaviour: str
    ) -> None:
        async def story(bench: Bench) -> None:
            order = bench.order(behaviour)
            processor = _waiting(bench, behaviour)
            answer = await processor.charge(bench.processor.freeze_charge(order))
            assert isinstance(answer, Unknown), answer
            (fact,) = bench.ledger(order.reference)
            found = await bench.processor.lookup(bench.lookup_of(order))
            assert isinstance(found, Found), found
            sighting = found.sighting
            assert sighting.seen in {Seen.APPROVED, Seen.SETTLED}
            assert (sighting.reference, sighting.amount_minor) == (order.reference, order.amount_minor)
            assert sighting.processor_ref == fact["processor_ref"]

        play(open_bench, story)

    @pytest.mark.parametrize("behaviour", BEFORE_EXECUTING)
    def test_trouble_before_executing_never_becomes_an_outcome(self, open_bench: OpenBench, behaviour: str) -> None:
        async def story(bench: Bench) -> None:
            order = bench.order(behaviour)
            processor = _waiting(bench, behaviour)
            answer = await processor.charge(bench.processor.freeze_charge(order))
            assert isinstance(answer, Unknown), answer
            assert bench.ledger(order.reference) == []
            assert isinstance(await bench.processor.lookup(bench.lookup_of(order)), NotFound)

        play(open_bench, story)

    def test_a_late_execution_is_found_after_a_lookup_found_nothing(self, open_bench: OpenBench) -> None:
        async def story(bench: Bench) -> None:
            order = bench.order("execute_late:30")
            assert isinstance(await bench.processor.charge(bench.processor.freeze_charge(order)), Unknown)
            nothing = await bench.processor.lookup(bench.lookup_of(order))
            assert isinstance(nothing, NotFound)
            await bench.advance(timedelta(seconds=31))
            found = await bench.processor.lookup(bench.lookup_of(order))
            assert isinstance(found, Found)
            assert found.sighting.amount_minor == order.amount_minor

        play(open_bench, story)

    def test_an_absence_carries_the_processors_own_time(self, open_bench: OpenBench) -> None:
        async def story(bench: Bench) -> None:
            before = await bench.processor.lookup(bench.lookup_of(bench.order("approve")))
            await bench.advance(timedelta(hours=3))
            after = await bench.processor.lookup(bench.lookup_of(bench.order("approve")))
            assert isinstance(before, NotFound)
            assert isinstance(after, NotFound)
            assert after.as_of - before.as_of >= timedelta(hours=3) - timedelta(seconds=1)

        play(open_bench, story)

    # --- the frozen request ------------------------------------------------------------------------------------------

    def test_the_same_order_freezes_to_the_same_text_without_secrets(self, open_bench: OpenBench) -> None:
        async def story(bench: Bench) -> None:
            order = bench.order("approve")
            text = bench.processor.freeze_charge(order)
            assert text == bench.processor.freeze_charge(replace(order))
            assert text != bench.processor.freeze_charge(replace(order, reference=order.reference + "0"))
            assert text != bench.processor.freeze_charge(replace(order, amount_minor=order.amount_minor + 1))
            assert order.reference in text
            for secret in bench.secrets:
                assert secret not in text
                assert secret not in repr(bench.processor)

        play(open_bench, story)

    def test_a_stored_request_that_is_not_ours_is_never_sent(self, open_bench: OpenBench) -> None:
        async def story(bench: Bench) -> None:
            for text in ("", "null", "[]", "{}", "not json"):
                answer = await bench.processor.charge(text)
                assert isinstance(answer, NotExecuted)
                assert answer.blame is Blame.US

        play(open_bench, story)

    def test_many_charges_at_once_are_each_executed_once(self, open_bench: OpenBench) -> None:
        async def story(bench: Bench) -> None:
            orders = [bench.order("approve") for _ in range(30)]
            texts = [bench.processor.freeze_charge(order) for order in orders]
            answers = await asyncio.gather(*(bench.processor.charge(text) for text in texts))
            assert all(isinstance(answer, Approved | Settled) for answer in answers)
            assert [len(bench.ledger(order.reference)) for order in orders] == [1] * len(orders)

        play(open_bench, story)

    # --- voids -------------------------------------------------------------------------------------------------------

    def test_a_void_gives_the_money_back_or_is_not_executed_where_there_is_none(self, open_bench: OpenBench) -> None:
        async def story(bench: Bench) -> None:
            order = bench.order("approve")
            charged = await bench.processor.charge(bench.processor.freeze_charge(order))
            assert isinstance(charged, Approved | Settled)
            void = ReturnOrder(
                reference=f"{order.reference}-v",
                account=order.account,
                charge_reference=order.reference,
                charge_processor_ref=charged.processor_ref,
                charge_history_ref=charged.history_ref,
                amount_minor=order.amount_minor,
                currency=order.currency,
            )
            answer = await bench.processor.void(bench.processor.freeze_void(void))
            if not bench.voids:
                assert isinstance(answer, NotExecuted)
                assert answer.blame is Blame.US
                return
            assert isinstance(answer, VoidConfirmed)
            found = await bench.processor.lookup(bench.lookup_of(order, processor_ref=charged.processor_ref))
            assert isinstance(found, Found)
            assert found.sighting.seen is Seen.VOIDED

        play(open_bench, story)


def _waiting(bench: Bench, behaviour: str) -> Processor:
    """An adapter that does not wait long for what hangs."""
    if behaviour.startswith("hang"):
        return bench.aimed_at(bench.url, timing=impatient(bench.processor.timing))
    return bench.processor
