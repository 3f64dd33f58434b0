"""The one contract of every processor adapter, run by each adapter's own test file against its simulator.

An adapter's file subclasses `ProcessorContract` under a name that pytest collects and offers a fixture `open_bench`:
a function without arguments that returns an asynchronous context manager of a `Bench`. Each test opens a bench of its
own inside its own event loop (`asyncio.run`), so nothing is shared between tests.

    class TestVantage(ProcessorContract):
        @pytest.fixture
        def open_bench(self) -> OpenBench: ...
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import timedelta
from typing import Any, Protocol

import pytest

from shared.domain.declines import NeutralCode
from tests.contract.wire_server import CLOSE, SILENCE, Reply, http, wire_server
from workers.processors.port import (
    Approved,
    Blame,
    ChargeOrder,
    Declined,
    Found,
    LookupFailed,
    LookupOrder,
    NotExecuted,
    NotFound,
    Processor,
    Seen,
    Settled,
    Unknown,
    VoidConfirmed,
    VoidOrder,
)

# For tests that wait the deadline out.
SHORT_DEADLINE = timedelta(seconds=0.6)
# For tests that expect an honest answer, also from a busy machine.
PATIENT_DEADLINE = timedelta(seconds=15)
_SLACK_S = 2.0


class Bench(Protocol):
    """One adapter with its simulator, both in this event loop.

    - `processor` speaks to the simulator at `url`, with `PATIENT_DEADLINE` as total deadline.
    - `order(behaviour)` stores a fresh method that behaves so (words of workers/simulators/behaviour.py) and returns
      an order with a fresh reference.
    - `unstored()` is an order whose method the processor does not know.
    - `ledger(reference)` are the money facts of the truth ledger (`Ledger.facts`) under a reference.
    - `lookup_of(order)` is what the engine would ask after a lost answer.
    - `advance(by)` moves the simulator's clock.
    - `aimed_at(url)` is another adapter of the same kind, with `SHORT_DEADLINE`, whose every base URL is `url`; the
      bench closes it.
    - `decline` is a behaviour that declines, with the neutral code that must come out of it.
    - `secrets` are texts that must never be seen in a frozen request, an answer or a repr.
    - `voids` tells whether the processor knows voids of captured charges.
    """

    processor: Processor
    url: str
    decline: tuple[str, NeutralCode]
    secrets: tuple[str, ...]
    voids: bool

    def order(self, behaviour: str, *, amount_minor: int = 12_500) -> ChargeOrder: ...

    def unstored(self) -> ChargeOrder: ...

    def ledger(self, reference: str) -> list[dict[str, Any]]: ...

    def lookup_of(self, order: ChargeOrder, *, processor_ref: str | None = None) -> LookupOrder: ...

    async def advance(self, by: timedelta) -> None: ...

    def aimed_at(self, url: str) -> Processor: ...


OpenBench = Callable[[], AbstractAsyncContextManager[Bench]]
Story = Callable[[Bench], Awaitable[None]]


def play(open_bench: OpenBench, story: Story) -> None:
    """Run a story on a fresh bench in a fresh event loop."""

    async def run() -> None:
        async with open_bench() as bench:
            await story(bench)

    asyncio.run(run())


AFTER_EXECUTING = (
    "hang_after_execute",
    "reset_after_execute",
    "http_500_after",
    "truncated_after_execute",
    "garbled_after_execute",
    "html_after_execute",
)
BEFORE_EXECUTING = ("hang_before_execute", "reset_before_execute", "http_500_before")
NONSENSE = {
    "an HTML page with status 200": http(b"<html>Service Unavailable</html>", kind="text/html"),
    "an empty body": http(b""),
    "an empty object": http(b"{}"),
    "a list": http(b"[]"),
    "half a JSON object": http(b'{"id": "x'),
    "bytes that are not HTTP": Reply(b"\x00\x01\x02 nonsense\r\n\r\n", close=True),
    "a body shorter than announced": Reply(
        b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{"id":', close=True
    ),
    "a redirect": Reply(
        b"HTTP/1.1 307 Temporary Redirect\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n", close=False
    ),
    "a gateway's 502": http(b"<html>Bad Gateway</html>", status="502 Bad Gateway", kind="text/html"),
    "a body beyond all bounds": http(b" " * 3_000_000 + b"{}"),
}


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
            processor = bench.aimed_at(bench.url) if behaviour.startswith("hang") else bench.processor
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
            processor = bench.aimed_at(bench.url) if behaviour.startswith("hang") else bench.processor
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

    # --- the wire ----------------------------------------------------------------------------------------------------

    def test_a_cold_connection_that_closes_unanswered_got_exactly_one_request(self, open_bench: OpenBench) -> None:
        async def story(bench: Bench) -> None:
            text = bench.processor.freeze_charge(bench.order("approve"))
            async with wire_server(CLOSE) as wire:
                answer = await bench.aimed_at(wire.url).charge(text)
                await asyncio.sleep(0.1)
            assert isinstance(answer, Unknown)
            assert len(wire.requests) == 1

        play(open_bench, story)

    def test_a_warm_connection_that_closes_unanswered_got_exactly_one_request(self, open_bench: OpenBench) -> None:
        async def story(bench: Bench) -> None:
            text = bench.processor.freeze_charge(bench.order("approve"))
            async with wire_server(http(b"{}"), CLOSE) as wire:
                processor = bench.aimed_at(wire.url)
                await processor.charge(text)
                answer = await processor.charge(text)
                await asyncio.sleep(0.1)
            assert isinstance(answer, Unknown)
            assert len(wire.requests) == 2, "one for each call"
            assert wire.connections == 1, "the second call must have met a warm connection"

        play(open_bench, story)

    def test_two_sends_of_one_frozen_request_are_byte_identical(self, open_bench: OpenBench) -> None:
        async def story(bench: Bench) -> None:
            text = bench.processor.freeze_charge(bench.order("approve"))
            async with wire_server(http(b"{}")) as wire:
                processor = bench.aimed_at(wire.url)
                await processor.charge(text)
                await processor.charge(text)
            assert wire.requests[0] == wire.requests[1]

        play(open_bench, story)

    @pytest.mark.parametrize("what", NONSENSE)
    def test_nonsense_is_unknown_and_is_asked_for_only_once(self, open_bench: OpenBench, what: str) -> None:
        async def story(bench: Bench) -> None:
            order = bench.order("approve")
            async with wire_server(NONSENSE[what]) as wire:
                processor = bench.aimed_at(wire.url)
                assert isinstance(await processor.charge(processor.freeze_charge(order)), Unknown)
                assert len(wire.requests) == 1
                assert isinstance(await processor.lookup(bench.lookup_of(order)), LookupFailed)

        play(open_bench, story)

    def test_silence_ends_at_the_total_deadline(self, open_bench: OpenBench) -> None:
        async def story(bench: Bench) -> None:
            text = bench.processor.freeze_charge(bench.order("approve"))
            async with wire_server(SILENCE) as wire:
                await _assert_bounded(bench.aimed_at(wire.url), text)

        play(open_bench, story)

    def test_an_answer_that_drips_byte_by_byte_ends_at_the_total_deadline(self, open_bench: OpenBench) -> None:
        async def story(bench: Bench) -> None:
            text = bench.processor.freeze_charge(bench.order("approve"))
            drip = replace(http(b"{" + b" " * 500 + b"}"), drip_s=0.05)
            async with wire_server(drip) as wire:
                await _assert_bounded(bench.aimed_at(wire.url), text)

        play(open_bench, story)

    def test_a_refused_connection_is_not_executed_and_nobodys_fault(self, open_bench: OpenBench) -> None:
        async def story(bench: Bench) -> None:
            async with wire_server(CLOSE) as wire:
                url = wire.url
            order = bench.order("approve")
            processor = bench.aimed_at(url)
            answer = await processor.charge(processor.freeze_charge(order))
            assert isinstance(answer, NotExecuted)
            assert answer.blame is Blame.NOTHING
            assert isinstance(await processor.lookup(bench.lookup_of(order)), LookupFailed)

        play(open_bench, story)

    def test_a_cancelled_charge_is_cancelled(self, open_bench: OpenBench) -> None:
        async def story(bench: Bench) -> None:
            order = bench.order("hang_before_execute")
            task = asyncio.create_task(bench.processor.charge(bench.processor.freeze_charge(order)))
            await asyncio.sleep(0.1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

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
            void = VoidOrder(
                reference=f"{order.reference}-v",
                account=order.account,
                charge_reference=order.reference,
                charge_processor_ref=charged.processor_ref,
                charge_history_ref=charged.history_ref,
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


async def _assert_bounded(processor: Processor, text: str) -> None:
    started = time.monotonic()
    answer = await processor.charge(text)
    assert isinstance(answer, Unknown)
    assert time.monotonic() - started < processor.timing.total_deadline.total_seconds() + _SLACK_S
