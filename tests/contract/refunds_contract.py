"""What every adapter's refunds keep, played against its simulator by each adapter's own test file."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.domain.answers import Denial
from tests.contract.bench import AFTER_EXECUTING, BEFORE_EXECUTING, OpenBench, impatient, play
from workers.processors.port import (
    Approved,
    Blame,
    ChargeOrder,
    Found,
    NotExecuted,
    RefundConfirmed,
    RefundDenied,
    RefundRefused,
    ReturnOrder,
    Seen,
    Settled,
    Unknown,
)
from workers.simulators.behaviour import Behaviour
from workers.simulators.vault import Script

# Past the cut-off of Vantage's day and its dead zone, and less than a key of Stripe's lives.
SETTLED_AFTER = timedelta(hours=12)


class RefundContract:
    """`chargeback` is the simulator's word for the event that a bank takes a charge back."""

    chargeback: str

    async def _refundable(self, bench: Any) -> tuple[ChargeOrder, ReturnOrder]:
        order = bench.order("approve")
        charged = await bench.processor.charge(bench.processor.freeze_charge(order))
        assert isinstance(charged, Approved | Settled)
        await bench.advance(SETTLED_AFTER)
        return order, ReturnOrder(
            reference=f"{order.reference}0",
            account=order.account,
            charge_reference=order.reference,
            charge_processor_ref=charged.processor_ref,
            charge_history_ref=charged.history_ref,
            amount_minor=order.amount_minor,
            currency=order.currency,
        )

    async def _seen(self, bench: Any, order: ChargeOrder, refund: ReturnOrder) -> Seen:
        found = await bench.processor.lookup(bench.lookup_of(order, processor_ref=refund.charge_processor_ref))
        assert isinstance(found, Found), found
        return found.sighting.seen

    def test_a_refund_gives_all_of_the_money_back_and_has_a_number_of_its_own(self, open_bench: OpenBench) -> None:
        async def story(bench: Any) -> None:
            order, refund = await self._refundable(bench)
            answer = await bench.processor.refund(bench.processor.freeze_refund(refund))
            assert isinstance(answer, RefundConfirmed)
            assert answer.processor_ref != refund.charge_processor_ref
            facts = [fact for fact in bench.core.ledger.facts() if fact["processor_ref"] == answer.processor_ref]
            assert [(fact["kind"], fact["amount_minor"]) for fact in facts] == [("refund", order.amount_minor)]
            assert await self._seen(bench, order, refund) is Seen.REFUNDED

        play(open_bench, story)

    def test_a_second_refund_is_refused_and_proves_nothing(self, open_bench: OpenBench) -> None:
        async def story(bench: Any) -> None:
            _, refund = await self._refundable(bench)
            await bench.processor.refund(bench.processor.freeze_refund(refund))
            again = replace(refund, reference=f"{refund.reference}0")
            assert isinstance(await bench.processor.refund(bench.processor.freeze_refund(again)), RefundRefused)

        play(open_bench, story)

    @pytest.mark.parametrize("behaviour", AFTER_EXECUTING)
    def test_trouble_after_executing_is_unknown_and_a_look_at_the_charge_shows_the_refund(
        self, open_bench: OpenBench, behaviour: str
    ) -> None:
        async def story(bench: Any) -> None:
            order, refund = await self._refundable(bench)
            assert isinstance(await self._troubled(bench, refund, behaviour), Unknown)
            assert await self._seen(bench, order, refund) is Seen.REFUNDED

        play(open_bench, story)

    @pytest.mark.parametrize("behaviour", BEFORE_EXECUTING)
    def test_trouble_before_executing_never_becomes_an_outcome(self, open_bench: OpenBench, behaviour: str) -> None:
        async def story(bench: Any) -> None:
            order, refund = await self._refundable(bench)
            assert isinstance(await self._troubled(bench, refund, behaviour), Unknown)
            assert await self._seen(bench, order, refund) is Seen.SETTLED

        play(open_bench, story)

    async def _troubled(self, bench: Any, refund: ReturnOrder, behaviour: str) -> object:
        bench.core.vault.script(Script(Behaviour.parse(behaviour), operation="refund"))
        timing = impatient(bench.processor.timing) if behaviour.startswith("hang") else None
        processor = bench.aimed_at(bench.url, timing=timing)
        return await processor.refund(bench.processor.freeze_refund(refund))

    def test_a_refund_that_the_balance_does_not_cover_is_denied(self, open_bench: OpenBench) -> None:
        async def story(bench: Any) -> None:
            order, refund = await self._refundable(bench)
            bench.core.faults({"event": "funds", "account": order.account, "amount_minor": -1_000_000})
            answer = await bench.processor.refund(bench.processor.freeze_refund(refund))
            assert isinstance(answer, RefundDenied)
            assert answer.denial is Denial.FUNDS_SHORT
            assert await self._seen(bench, order, refund) is Seen.SETTLED

        play(open_bench, story)

    def test_a_refund_of_a_charge_that_the_bank_took_back_moves_nothing(self, open_bench: OpenBench) -> None:
        async def story(bench: Any) -> None:
            order, refund = await self._refundable(bench)
            bench.core.faults({"event": self.chargeback, "account": order.account, "reference": order.reference})
            answer = await bench.processor.refund(bench.processor.freeze_refund(refund))
            assert isinstance(answer, RefundDenied | RefundRefused)

        play(open_bench, story)

    def test_the_same_order_freezes_to_the_same_text_without_secrets(self, open_bench: OpenBench) -> None:
        async def story(bench: Any) -> None:
            _, refund = await self._refundable(bench)
            text = bench.processor.freeze_refund(refund)
            assert text == bench.processor.freeze_refund(replace(refund))
            assert text != bench.processor.freeze_refund(replace(refund, amount_minor=refund.amount_minor + 1))
            assert not [secret for secret in bench.secrets if secret in text]

        play(open_bench, story)

    @pytest.mark.parametrize("text", ["", "null", "[]", "{}", "not json"])
    def test_a_stored_text_that_is_no_refund_is_never_sent(self, open_bench: OpenBench, text: str) -> None:
        async def story(bench: Any) -> None:
            answer = await bench.processor.refund(text)
            assert isinstance(answer, NotExecuted)
            assert answer.blame is Blame.US

        play(open_bench, story)
