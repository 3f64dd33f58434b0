"""Stripe against the contract of all processors, and what only Stripe does, on its simulator."""

import asyncio
from collections.abc import Iterator

import pytest
import stripe
from aiohttp import web

from shared.domain.declines import Decline, NeutralCode
from tests.contract.bench import OpenBench, impatient
from tests.contract.processor_contract import ProcessorContract
from tests.contract.stripe.bench import ORDER, adapter, look_for, order_of, simulated
from workers.processors.port import Blame, Found, NotExecuted, NotFound, Processing, Seen, Settled, Unknown
from workers.simulators.launch import serve


class TestStripe(ProcessorContract):
    @pytest.fixture
    def open_bench(self) -> OpenBench:
        return simulated


@pytest.mark.parametrize(
    ("behaviour", "executions"),
    [
        ("hang_before_execute", 0),
        ("hang_after_execute", 1),
        ("reset_before_execute", 0),
        ("reset_after_execute", 1),
        ("http_500_before", 0),
        ("http_500_after", 1),
        ("truncated_after_execute", 1),
        ("garbled_after_execute", 1),
        ("html_after_execute", 1),
    ],
)
def test_a_lost_answer_is_unknown_and_found_by_lookup_if_it_executed(behaviour: str, executions: int) -> None:
    async def scenario() -> None:
        async with simulated() as bench:
            await bench.script(behaviour)
            impatiently = bench.aimed_at(bench.url, timing=impatient(bench.processor.timing))
            processor = impatiently if behaviour.startswith("hang") else bench.processor
            assert isinstance(await processor.charge(processor.freeze_charge(ORDER)), Unknown)
            assert await bench.executions() == executions
            found = await bench.processor.lookup(look_for(ORDER))
            assert isinstance(found, Found if executions else NotFound)
            again = await bench.charge()
            # A 500 is what the key keeps; everything else is resolved by the same key.
            assert isinstance(again, Unknown if behaviour.startswith("http_500") else Settled)
            assert await bench.executions() == (0 if behaviour == "http_500_before" else 1)

    asyncio.run(scenario())


def test_a_late_execution_is_seen_after_not_found() -> None:
    async def scenario() -> None:
        async with simulated() as bench:
            await bench.script("execute_late:3600")
            assert isinstance(await bench.charge(), Unknown)
            assert isinstance(await bench.processor.lookup(look_for(ORDER)), NotFound)
            again = await bench.charge()
            assert isinstance(again, Unknown)
            assert again.code == "idempotency_key_in_use"
            await bench.control("POST", "clock", {"advance_s": 3601})
            found = await bench.processor.lookup(look_for(ORDER))
            assert isinstance(found, Found)
            assert found.sighting.seen is Seen.SETTLED
            assert await bench.executions() == 1

    asyncio.run(scenario())


def test_a_bank_debit_is_processing_until_its_day_comes() -> None:
    async def scenario() -> None:
        async with simulated() as bench:
            good = order_of(1, method_type="us_bank_account", token="pm_usBankAccount_success")
            bad = order_of(2, method_type="us_bank_account", token="pm_usBankAccount_accountClosed")
            refs = {}
            for order in (good, bad):
                given = await bench.charge(order)
                assert isinstance(given, Processing)
                refs[order] = given.processor_ref
            await bench.control("POST", "clock", {"advance_s": 5 * 86400})
            paid, refused = [await bench.processor.lookup(look_for(each, refs[each])) for each in (good, bad)]
            assert isinstance(paid, Found)
            assert paid.sighting.seen is Seen.SETTLED
            assert isinstance(refused, Found)
            assert refused.sighting.decline == Decline(code=NeutralCode.ACCOUNT_CLOSED, raw_code="account_closed")

    asyncio.run(scenario())


def test_refunds_disputes_and_cancels_outside_are_seen() -> None:
    async def scenario() -> None:
        async with simulated() as bench:
            seen = {}
            for number, (event, more) in enumerate([("refund", {}), ("refund", {"amount_minor": 45}), ("dispute", {})]):
                order = order_of(number)
                assert isinstance(await bench.charge(order), Settled)
                await bench.control(
                    "POST", "faults", {"event": event, "account": ORDER.account, "reference": order.reference, **more}
                )
                found = await bench.processor.lookup(look_for(order))
                assert isinstance(found, Found)
                seen[number] = (found.sighting.seen, found.sighting.detail)
            assert seen == {
                0: (Seen.REFUNDED, ""),
                1: (Seen.SETTLED, "refunded in part: 45 of 12345"),
                2: (Seen.SETTLED, "disputed"),
            }

    asyncio.run(scenario())


def test_a_lookup_reads_all_pages_of_a_busy_customer() -> None:
    async def scenario() -> None:
        async with simulated() as bench:
            first = order_of(0)
            await bench.charge(first)
            for number in range(1, 102):
                assert isinstance(await bench.charge(order_of(number)), Settled)
            found = await bench.processor.lookup(look_for(first))
            assert isinstance(found, Found)
            assert found.sighting.reference == first.reference

    asyncio.run(scenario())


def test_a_practice_that_revoked_our_access_stops_its_queue() -> None:
    async def scenario() -> None:
        async with simulated() as bench:
            await bench.control("POST", "faults", {"event": "deauthorize", "account": ORDER.account})
            given = await bench.charge()
            assert isinstance(given, NotExecuted)
            assert (given.code, given.blame) == ("account_invalid", Blame.MERCHANT)
            async with adapter(bench.url, api_key="pk_wrong") as stranger:
                refused = await stranger.charge(stranger.freeze_charge(ORDER))
            assert isinstance(refused, NotExecuted)
            assert refused.blame is Blame.MERCHANT

    asyncio.run(scenario())


def test_webhooks_carry_a_signature_that_the_sdk_accepts() -> None:
    async def scenario() -> None:
        received: asyncio.Queue[tuple[bytes, str]] = asyncio.Queue()
        answers: Iterator[int] = iter([500])

        async def receive(request: web.Request) -> web.Response:
            await received.put((await request.read(), request.headers["Stripe-Signature"]))
            return web.Response(status=next(answers, 200))

        app = web.Application()
        app.router.add_post("/hook", receive)
        receiver, receiver_url = await serve(app)
        async with simulated() as bench:
            await bench.control(
                "POST", "faults", {"event": "webhooks", "url": f"{receiver_url}/hook", "secret": "whsec_1"}
            )
            await bench.charge()
            events = []
            for _ in range(2):
                async with asyncio.timeout(5):
                    payload, signature = await received.get()
                events.append(stripe.Webhook.construct_event(payload, signature, "whsec_1"))
                with pytest.raises(stripe.SignatureVerificationError):
                    stripe.Webhook.construct_event(payload, signature, "whsec_2")
            assert events[0].id == events[1].id
            assert (events[1].type, events[1].account) == ("payment_intent.succeeded", ORDER.account)
            assert events[1].data.object["metadata"]["reference"] == ORDER.reference
        await receiver.cleanup()

    asyncio.run(scenario())
