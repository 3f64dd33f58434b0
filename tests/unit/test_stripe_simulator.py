"""The simulated Stripe through the real SDK: idempotency keys, accounts, refunds, state that survives a kill."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import stripe

from workers.simulators.launch import serve
from workers.simulators.stripe.app import build
from workers.simulators.stripe.idempotency import LIFETIME

VAULT = """processor,account,payer_id,token,behaviour
stripe,acct_one,cus_1,pm_1,approve
stripe,acct_one,cus_2,pm_2,rate_limited:2
stripe,acct_one,cus_3,pm_3,http_500_after
stripe,acct_two,cus_4,pm_4,slow:150
stripe,acct_two,cus_5,pm_5,decline:do_not_honor/do_not_try_again
"""
DAY_S = int(LIFETIME.total_seconds())


class Sdk:
    """The SDK as anybody would use it, and the control interface."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.http = stripe.AIOHTTPClient()
        self.client = stripe.StripeClient("sk_test_unit", base_addresses={"api": url}, http_client=self.http)

    async def charge(self, key: str, *, account: str = "acct_one", **changes: Any) -> Any:
        params: Any = {
            "amount": 5000,
            "currency": "usd",
            "customer": "cus_1",
            "payment_method": "pm_card_visa",
            "payment_method_types": ["card"],
            "confirm": True,
            "off_session": True,
            **changes,
        }
        options: stripe.RequestOptions = {"stripe_account": account, "idempotency_key": key}
        return await self.client.v1.payment_intents.create_async(params, options)

    async def refund(self, ref: str, key: str, *, account: str = "acct_one", **params: Any) -> Any:
        return await self.client.v1.refunds.create_async(
            {"payment_intent": ref, **params}, {"stripe_account": account, "idempotency_key": key}
        )

    async def control(self, method: str, name: str, body: Any = None) -> Any:
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, f"{self.url}/_control/{name}", json=body) as response,
        ):
            return await response.json()

    async def moved(self) -> list[tuple[str, str, int]]:
        entries = (await self.control("GET", "ledger"))["entries"]
        return [(entry["kind"], entry["reference"], entry["amount_minor"]) for entry in entries]


@contextlib.asynccontextmanager
async def simulated(vault: Path | None = None, state: Path | None = None) -> AsyncIterator[Sdk]:
    runner, url = await serve(build(vault=vault, state=state))
    sdk = Sdk(url)
    try:
        yield sdk
    finally:
        await sdk.http.close_async()
        await runner.cleanup()


def play(scenario: Callable[[Sdk], Awaitable[None]], **files: Path) -> None:
    async def scene() -> None:
        async with simulated(**files) as sdk:
            await scenario(sdk)

    asyncio.run(scene())


@pytest.fixture
def vault(tmp_path: Path) -> Path:
    path = tmp_path / "vault.csv"
    path.write_text(VAULT, encoding="utf-8")
    return path


def replayed(answer: Any) -> bool:
    headers = answer.headers if isinstance(answer, stripe.StripeError) else answer.last_response.headers
    return headers.get("Idempotent-Replayed") == "true"


def test_the_same_key_replays_the_first_result_and_charges_once() -> None:
    async def scenario(sdk: Sdk) -> None:
        first, second = await sdk.charge("k1"), await sdk.charge("k1")
        assert first.id == second.id
        assert (replayed(first), replayed(second)) == (False, True)
        assert await sdk.moved() == [("charge", "k1", 5000)]

    play(scenario)


def test_a_decline_is_kept_for_its_key() -> None:
    async def scenario(sdk: Sdk) -> None:
        errors = []
        for _ in range(2):
            with pytest.raises(stripe.CardError) as caught:
                await sdk.charge("k1", payment_method="pm_card_visa_chargeDeclinedInsufficientFunds")
            errors.append(caught.value)
        assert [replayed(each) for each in errors] == [False, True]
        error = errors[0].error
        assert (error.code, error.decline_code, error.advice_code) == (
            "card_declined",
            "insufficient_funds",
            "try_again_later",
        )
        assert error.payment_intent.status == "requires_payment_method"
        assert error.payment_intent.last_payment_error.decline_code == "insufficient_funds"
        assert await sdk.moved() == []

    play(scenario)


def test_a_500_is_kept_for_its_key_although_the_money_moved(vault: Path) -> None:
    async def scenario(sdk: Sdk) -> None:
        for expected in (False, True):
            with pytest.raises(stripe.APIError) as caught:
                await sdk.charge("k1", customer="cus_3", payment_method="pm_3")
            assert (caught.value.http_status, replayed(caught.value)) == (500, expected)
        assert await sdk.moved() == [("charge", "k1", 5000)]

    play(scenario, vault=vault)


def test_other_parameters_under_a_used_key_are_an_idempotency_error() -> None:
    async def scenario(sdk: Sdk) -> None:
        await sdk.charge("k1")
        with pytest.raises(stripe.IdempotencyError, match="same parameters"):
            await sdk.charge("k1", amount=5001)
        assert await sdk.moved() == [("charge", "k1", 5000)]

    play(scenario)


def test_a_key_that_is_being_worked_on_is_in_use(vault: Path) -> None:
    async def scenario(sdk: Sdk) -> None:
        changes: Any = {"account": "acct_two", "customer": "cus_4", "payment_method": "pm_4"}
        results = await asyncio.gather(*(sdk.charge("k1", **changes) for _ in range(2)), return_exceptions=True)
        refused = [each for each in results if isinstance(each, stripe.APIError)]
        assert [(each.http_status, each.error.code) for each in refused] == [(409, "idempotency_key_in_use")]
        assert await sdk.moved() == [("charge", "k1", 5000)]

    play(scenario, vault=vault)


def test_rate_limits_are_not_kept_and_end(vault: Path) -> None:
    async def scenario(sdk: Sdk) -> None:
        for _ in range(2):
            with pytest.raises(stripe.RateLimitError) as caught:
                await sdk.charge("k1", customer="cus_2", payment_method="pm_2")
            assert caught.value.headers["Retry-After"] == "1"
        assert (await sdk.charge("k1", customer="cus_2", payment_method="pm_2")).status == "succeeded"

    play(scenario, vault=vault)


@pytest.mark.parametrize(
    ("changes", "code", "param"),
    [
        ({"amount": 49}, "amount_too_small", "amount"),
        ({"amount": 100_000_000}, "amount_too_large", "amount"),
        ({"amount": "1.5"}, "parameter_invalid_integer", "amount"),
        ({"currency": "dollars"}, None, "currency"),
        ({"customer": "nobody"}, "resource_missing", "customer"),
        ({"payment_method": "pm_nothing"}, "resource_missing", "payment_method"),
        ({"payment_method": "pm_2"}, "resource_missing", "payment_method"),
        ({"payment_method_types": ["paper"]}, None, "payment_method_types"),
        ({"colour": "blue"}, "parameter_unknown", "colour"),
        ({"customer": None}, "parameter_missing", "customer"),
        ({"confirm": False}, None, None),
    ],
)
def test_a_request_that_is_not_valid_is_not_kept_for_its_key(
    vault: Path, changes: dict[str, Any], code: str | None, param: str | None
) -> None:
    async def scenario(sdk: Sdk) -> None:
        with pytest.raises(stripe.InvalidRequestError) as caught:
            await sdk.charge("k1", **changes)
        assert (caught.value.code, caught.value.param) == (code, param)
        assert not replayed(await sdk.charge("k1"))

    play(scenario, vault=vault)


def test_a_key_is_forgotten_after_a_day_and_then_charges_again() -> None:
    async def scenario(sdk: Sdk) -> None:
        await sdk.charge("k1")
        await sdk.control("POST", "clock", {"advance_s": DAY_S - 60})
        assert replayed(await sdk.charge("k1"))
        await sdk.control("POST", "clock", {"advance_s": 61})
        assert not replayed(await sdk.charge("k1"))
        assert (await sdk.control("GET", "ledger"))["executions"] == {"k1": 2}

    play(scenario)


def test_keys_and_objects_of_one_account_are_invisible_to_another() -> None:
    async def scenario(sdk: Sdk) -> None:
        one = await sdk.charge("k1")
        two = await sdk.charge("k1", account="acct_two")
        assert one.id != two.id
        intents = sdk.client.v1.payment_intents
        with pytest.raises(stripe.InvalidRequestError) as caught:
            await intents.retrieve_async(one.id, None, {"stripe_account": "acct_two"})
        assert (caught.value.http_status, caught.value.code) == (404, "resource_missing")
        listed = await intents.list_async({"customer": "cus_1"}, {"stripe_account": "acct_two"})
        assert [each.id for each in listed.data] == [two.id]

    play(scenario)


def test_a_list_is_paged_newest_first_within_its_range() -> None:
    async def scenario(sdk: Sdk) -> None:
        made = []
        for number in range(5):
            made.append((await sdk.charge(f"k{number}")).id)
            await sdk.control("POST", "clock", {"advance_s": 3600})
        options: stripe.RequestOptions = {"stripe_account": "acct_one"}
        page = await sdk.client.v1.payment_intents.list_async({"customer": "cus_1", "limit": 2}, options)
        assert [each.id async for each in page.auto_paging_iter()] == made[::-1]
        second = page.data[0].created - 3 * 3600 - 60
        some = await sdk.client.v1.payment_intents.list_async({"created": {"gte": second}, "limit": 100}, options)
        assert [each.id for each in some.data] == made[:0:-1]
        old = await sdk.client.v1.payment_intents.list_async({"created": {"lte": second}}, options)
        assert [each.id for each in old.data] == made[:1]

    play(scenario)


def test_an_unexpanded_charge_is_an_id_and_an_expanded_one_an_object() -> None:
    async def scenario(sdk: Sdk) -> None:
        made = await sdk.charge("k1", metadata={"reference": "k1"})
        assert made.latest_charge == f"ch_{made.id[3:]}"
        shown = await sdk.client.v1.payment_intents.retrieve_async(
            made.id, {"expand": ["latest_charge"]}, {"stripe_account": "acct_one"}
        )
        assert shown.latest_charge.paid
        assert shown.metadata["reference"] == "k1"

    play(scenario)


def test_refunds_return_no_more_than_was_taken() -> None:
    async def scenario(sdk: Sdk) -> None:
        made = await sdk.charge("k1")
        part = await sdk.refund(made.id, "r1", amount=2000)
        assert (part.status, part.amount) == ("succeeded", 2000)
        assert (await sdk.refund(made.id, "r1", amount=2000)).id == part.id
        with pytest.raises(stripe.InvalidRequestError, match="greater than unrefunded"):
            await sdk.refund(made.id, "r2", amount=3001)
        rest = await sdk.refund(made.id, "r2")
        assert rest.amount == 3000
        with pytest.raises(stripe.InvalidRequestError) as caught:
            await sdk.refund(made.id, "r3")
        assert caught.value.code == "charge_already_refunded"
        assert await sdk.moved() == [("charge", "k1", 5000), ("refund", "r1", 2000), ("refund", "r2", 3000)]
        await sdk.control("POST", "faults", {"event": "refund_failed", "account": "acct_one", "refund": rest.id})
        shown = await sdk.client.v1.charges.retrieve_async(made.latest_charge, None, {"stripe_account": "acct_one"})
        assert (shown.amount_refunded, shown.refunded) == (2000, False)

    play(scenario)


def test_an_advice_can_be_written_into_the_vault(vault: Path) -> None:
    async def scenario(sdk: Sdk) -> None:
        with pytest.raises(stripe.CardError) as caught:
            await sdk.charge("k1", account="acct_two", customer="cus_5", payment_method="pm_5")
        error = caught.value.error
        assert (error.decline_code, error.advice_code) == ("do_not_honor", "do_not_try_again")

    play(scenario, vault=vault)


def test_charges_keys_and_unfinished_debits_survive_a_restart(tmp_path: Path) -> None:
    state = tmp_path / "state"

    async def before(sdk: Sdk) -> None:
        await sdk.charge("k1")
        await sdk.charge("k2", payment_method="pm_usBankAccount", payment_method_types=["us_bank_account"])

    async def after(sdk: Sdk) -> None:
        assert replayed(await sdk.charge("k1"))
        await sdk.control("POST", "clock", {"advance_s": 5 * DAY_S})
        assert await sdk.moved() == [("charge", "k1", 5000), ("charge", "k2", 5000)]

    play(before, state=state)
    play(after, state=state)


def test_a_kill_between_the_charge_and_its_key_does_not_free_the_key(tmp_path: Path) -> None:
    state = tmp_path / "state"

    async def before(sdk: Sdk) -> None:
        await sdk.charge("k1")

    async def after(sdk: Sdk) -> None:
        assert replayed(await sdk.charge("k1"))
        assert await sdk.moved() == [("charge", "k1", 5000)]

    play(before, state=state)
    charge_only = [line for line in state.read_text().splitlines(keepends=True) if line.startswith('["entry"')]
    state.write_text("".join(charge_only))
    play(after, state=state)


def test_a_control_call_that_makes_no_sense_says_so() -> None:
    async def scenario(sdk: Sdk) -> None:
        answer = await sdk.control("POST", "faults", {"event": "earthquake", "account": "a", "reference": "b"})
        assert "no charge for" in answer["error"]
        await sdk.charge("k1")
        answer = await sdk.control("POST", "faults", {"event": "x", "account": "acct_one", "reference": "k1"})
        assert "no event 'x'" in answer["error"]

    play(scenario)
