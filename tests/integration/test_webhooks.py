"""Stripe's webhooks, from the simulator's signature over the wire to what the janitor makes of them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, LiteralString

import aiohttp
import orjson
import pytest
from pydantic import SecretStr

from shared.settings import WebhookSettings
from tests.integration.janitor_ground import STRIPE, Ground, Lost, on_ground
from tests.submit_service import Caller, served
from workers.simulators.stripe.webhooks import signature
from workers.webhooks.receiving import MOST_BODY_BYTES, create_app

SECRET = "whsec_of_tests"
SETTLED_BY_ITS_LOOK = "reset_after_execute"
Story = Callable[[Ground, Caller], Awaitable[None]]


def with_webhooks(database_url: str, story: Story) -> None:
    async def run(ground: Ground) -> None:
        async with _received(ground) as caller:
            await story(ground, caller)

    on_ground(STRIPE, database_url, run)


@asynccontextmanager
async def _received(ground: Ground) -> AsyncIterator[Caller]:
    settings = WebhookSettings(database_url=ground.database_url, stripe_webhook_secret=SecretStr(SECRET))
    async with served(create_app(settings)) as url, aiohttp.ClientSession() as session:
        ground.bench.core.faults({"event": "webhooks", "url": f"{url}/webhooks/stripe", "secret": SECRET})
        yield Caller(session, url, ground.database_url).as_(None)
        ground.bench.core.faults({"event": "webhooks", "url": "", "secret": ""})


async def charged(ground: Ground) -> Lost:
    lost = await ground.unknown(SETTLED_BY_ITS_LOOK)
    await ground.sweep()
    assert lost.state == "settled"
    return lost


async def outside(ground: Ground, event: str, lost: Lost, **more: Any) -> Any:
    return ground.bench.core.faults(
        {"event": event, "account": lost.order.account, "reference": lost.order.reference, **more}
    )


async def kept(ground: Ground, count: int, *, of_type: str = "%") -> None:
    """Wait until so many events are kept."""
    for _ in range(1000):
        if number(ground, "SELECT count(*) AS n FROM webhook WHERE type LIKE %s", of_type) >= count:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"no {count} events of type {of_type} were kept")


async def handled(ground: Ground) -> None:
    ground.connection.execute("UPDATE webhook SET next_try_at = now()")
    await ground.go_round()


def number(ground: Ground, statement: LiteralString, *parameters: Any) -> int:
    row = ground.connection.execute(statement, parameters).fetchone()
    assert row
    return int(row["n"])


def lookups(ground: Ground) -> int:
    paths = [one.path for one in ground.bench.core.requests if one.method == "GET"]
    return sum(path.startswith("/v1/payment_intents") for path in paths)


@pytest.mark.parametrize(("behaviour", "state"), [("processing", "settled"), ("decline:no_account", "declined")])
def test_a_bank_debit_ends_when_its_webhook_comes_days_later(behaviour: str, state: str, database_url: str) -> None:
    async def story(ground: Ground, _caller: Caller) -> None:
        lost = await ground.unknown(behaviour, method_type="us_bank_account")
        await ground.sweep()
        assert lost.state == "processing"
        await ground.bench.advance(timedelta(days=5))
        await kept(ground, 2)
        await handled(ground)
        assert lost.state == state
        # Also nothing before its next look was due.
        assert number(ground, "SELECT count(*) AS n FROM webhook WHERE outcome = 'looked'") == 2

    with_webhooks(database_url, story)


def test_an_unknown_charge_is_found_by_our_reference_before_any_answer_told_its_name(database_url: str) -> None:
    async def story(ground: Ground, _caller: Caller) -> None:
        lost = await ground.unknown(SETTLED_BY_ITS_LOOK)
        await kept(ground, 1)
        await handled(ground)
        assert lost.state == "settled"

    with_webhooks(database_url, story)


def test_what_is_known_already_costs_no_look(database_url: str) -> None:
    async def story(ground: Ground, _caller: Caller) -> None:
        await charged(ground)
        await kept(ground, 1)
        before = lookups(ground)
        await handled(ground)
        assert lookups(ground) == before

    with_webhooks(database_url, story)


def test_a_refund_outside_is_seen_at_once_and_once(database_url: str) -> None:
    async def story(ground: Ground, _caller: Caller) -> None:
        lost = await charged(ground)
        await outside(ground, "refund", lost)
        await kept(ground, 3)
        await handled(ground)
        assert (lost.state, ground.findings()) == ("refunded", [("outside_refund", ground.findings()[0][1])])
        events = ground.bench.core.faults({"event": "redeliver"})["events"]
        assert events == 3
        await asyncio.sleep(0)
        await handled(ground)
        assert number(ground, "SELECT count(*) AS n FROM webhook") == 3
        assert len(ground.findings()) == 1

    with_webhooks(database_url, story)


def test_a_refund_that_the_bank_sends_back_leaves_the_money_with_the_practice(database_url: str) -> None:
    async def story(ground: Ground, _caller: Caller) -> None:
        lost = await charged(ground)
        refund = await outside(ground, "refund", lost)
        await kept(ground, 3)
        await handled(ground)
        ground.bench.core.faults({"event": "refund_failed", "account": lost.order.account, "refund": refund["id"]})
        await kept(ground, 1, of_type="refund.failed")
        await handled(ground)
        assert lost.state == "settled"
        assert "failed at the client's bank" in lost.payment()["review_reason"]
        assert [kind for kind, _ in ground.findings()] == ["outside_refund", "refund_failed"]

    with_webhooks(database_url, story)


@pytest.mark.parametrize("won", [True, False])
def test_a_dispute_opens_and_closes_on_its_payment(database_url: str, *, won: bool) -> None:
    async def story(ground: Ground, _caller: Caller) -> None:
        lost = await charged(ground)
        await outside(ground, "dispute", lost)
        await kept(ground, 1, of_type="charge.dispute.created")
        await handled(ground)
        assert (lost.state, lost.payment()["review_reason"] is None) == ("settled", False)
        await outside(ground, "dispute_closed", lost, won=won)
        await kept(ground, 1, of_type="charge.dispute.closed")
        await handled(ground)
        assert (lost.payment()["review_reason"] is None) == won
        [dispute] = ground.connection.execute("SELECT standing FROM dispute").fetchall()
        assert dispute["standing"] == ("won" if won else "lost")
        told = [name for name in ground.told() if "dispute" in name]
        assert told == ["payment.dispute_opened", f"payment.dispute_{'won' if won else 'lost'}"]
        # Nobody has to do anything about a dispute that was won.
        assert number(ground, "SELECT count(*) AS n FROM finding WHERE resolved_at IS NULL") == (not won)

    with_webhooks(database_url, story)


def test_a_dispute_whose_end_is_heard_of_first_is_what_the_processor_shows(database_url: str) -> None:
    async def story(ground: Ground, _caller: Caller) -> None:
        lost = await charged(ground)
        await outside(ground, "dispute", lost)
        await outside(ground, "dispute_closed", lost, won=False)
        await kept(ground, 2, of_type="charge.dispute.%")
        ground.connection.execute(
            "UPDATE webhook SET next_try_at = now() + interval '3 days' WHERE type = 'charge.dispute.created'"
        )
        await ground.go_round()
        [dispute] = ground.connection.execute("SELECT standing FROM dispute").fetchall()
        assert dispute["standing"] == "lost"
        await handled(ground)
        assert number(ground, "SELECT count(*) AS n FROM finding WHERE kind = 'chargeback'") == 1

    with_webhooks(database_url, story)


def test_a_dispute_that_is_won_before_it_is_heard_of_is_nobodys_work(database_url: str) -> None:
    async def story(ground: Ground, _caller: Caller) -> None:
        lost = await charged(ground)
        await outside(ground, "dispute", lost)
        await outside(ground, "dispute_closed", lost, won=True)
        await kept(ground, 2, of_type="charge.dispute.%")
        await handled(ground)
        assert (lost.payment()["review_reason"], ground.findings()) == (None, [])
        assert [name for name in ground.told() if "dispute" in name] == ["payment.dispute_won"]

    with_webhooks(database_url, story)


def test_events_of_strangers_are_kept_and_given_up(database_url: str) -> None:
    async def story(ground: Ground, _caller: Caller) -> None:
        ground.bench.core.faults({"event": "charge", "account": "acct_nobody", "amount_minor": 777})
        await kept(ground, 1)
        for _ in range(15):
            await handled(ground)
        [row] = ground.connection.execute("SELECT outcome FROM webhook").fetchall()
        assert row["outcome"] == "not_ours"

    with_webhooks(database_url, story)


def test_while_stripe_cannot_be_asked_an_event_waits(database_url: str) -> None:
    async def story(ground: Ground, _caller: Caller) -> None:
        lost = await charged(ground)
        await outside(ground, "refund", lost)
        await outside(ground, "dispute", lost)
        await kept(ground, 4)
        whole, ground.bench.processor = ground.bench.processor, ground.bench.aimed_at("http://127.0.0.1:9")
        await handled(ground)
        waiting = "SELECT count(*) AS n FROM webhook WHERE handled_at IS NULL AND type LIKE 'charge%%'"
        assert number(ground, waiting) == 2
        ground.bench.processor = whole
        await handled(ground)
        assert number(ground, waiting) == 0
        assert lost.state == "refunded"

    with_webhooks(database_url, story)


@pytest.mark.parametrize("header", [{}, {"Stripe-Signature": "t=1,v1=00"}])
def test_an_unsigned_event_is_refused_and_nothing_is_kept(header: dict[str, str], database_url: str) -> None:
    async def story(ground: Ground, caller: Caller) -> None:
        reply = await caller.send("POST", "/webhooks/stripe", headers=header, data=b"{}")
        assert (reply.status, reply.body["code"]) == (400, "signature_refused")
        assert number(ground, "SELECT count(*) AS n FROM webhook") == 0

    with_webhooks(database_url, story)


def test_a_body_that_no_event_has_is_not_read_to_its_end(database_url: str) -> None:
    async def story(ground: Ground, caller: Caller) -> None:
        reply = await caller.send("POST", "/webhooks/stripe", data=b"x" * (MOST_BODY_BYTES + 1))
        assert (reply.status, reply.body["code"]) == (413, "body_too_large")
        assert number(ground, "SELECT count(*) AS n FROM webhook") == 0

    with_webhooks(database_url, story)


def test_an_event_that_cannot_be_kept_now_is_asked_for_again(database_url: str) -> None:
    async def story(ground: Ground, caller: Caller) -> None:
        body = orjson.dumps(
            {"id": "evt_1", "type": "charge.refunded", "account": "acct_1", "data": {"object": {"object": "charge"}}}
        )
        signed = {"Stripe-Signature": signature(body, SECRET, int(datetime.now(UTC).timestamp()))}
        ground.connection.execute("ALTER TABLE webhook RENAME TO away")
        refused = await caller.send("POST", "/webhooks/stripe", headers=signed, data=body)
        ground.connection.execute("ALTER TABLE away RENAME TO webhook")
        kept_ = await caller.send("POST", "/webhooks/stripe", headers=signed, data=body)
        assert (refused.status, kept_.status) == (503, 204)
        assert number(ground, "SELECT count(*) AS n FROM webhook") == 1

    with_webhooks(database_url, story)


def test_nothing_of_a_person_is_kept_of_an_event(database_url: str) -> None:
    async def story(ground: Ground, _caller: Caller) -> None:
        await charged(ground)
        await kept(ground, 1)
        [row] = ground.connection.execute("SELECT * FROM webhook").fetchall()
        assert set(row) - {"received_at", "next_try_at", "tries", "handled_at", "outcome"} == {
            "processor", "event_id", "account", "type", "charge_ref", "reference",
        }  # fmt: skip

    with_webhooks(database_url, story)
