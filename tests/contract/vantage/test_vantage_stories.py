"""Vantage against the contract of all processors, and what only Vantage does, on its simulator."""

from dataclasses import replace
from datetime import date, timedelta
from typing import Any, Literal

import pytest

from shared.domain.declines import NeutralCode
from tests.contract.bench import OpenBench, impatient, play
from tests.contract.processor_contract import ProcessorContract
from tests.contract.vantage.bench import ACCOUNT, CREDENTIALS, DAY, NOON, bench_with, return_order, settings
from workers.processors.port import (
    Blame,
    DayReport,
    LookupFailed,
    NotExecuted,
    NotFound,
    Seen,
    Unknown,
    VoidConfirmed,
    VoidRefused,
)
from workers.processors.vantage.adapter import VantageProcessor
from workers.simulators.behaviour import Behaviour
from workers.simulators.vantage.tables import Switches
from workers.simulators.vantage.xml import PAYER_NAME
from workers.simulators.vault import Script


@pytest.fixture
def open_bench() -> OpenBench:
    return bench_with(Switches())


@pytest.fixture(params=["mirrored", "split"])
def open_either_shape(request: pytest.FixtureRequest) -> OpenBench:
    return bench_with(Switches(decline_shape=request.param))


class TestVantage(ProcessorContract):
    @pytest.fixture(params=["mirrored", "split"])
    def open_bench(self, request: pytest.FixtureRequest) -> OpenBench:
        return bench_with(Switches(decline_shape=request.param))


@pytest.mark.parametrize(
    ("behaviour", "seen"), [("gateway:207_charged", Seen.APPROVED), ("gateway:207_not_charged", Seen.DECLINED)]
)
def test_207_is_unknown_and_only_a_lookup_tells(open_either_shape: OpenBench, behaviour: str, seen: Seen) -> None:
    async def story(bench: Any) -> None:
        order = bench.order(behaviour)
        answer = await bench.processor.charge(bench.processor.freeze_charge(order))
        assert answer == Unknown(code="result_207", detail="Gateway internal error")
        assert (await bench.seen(order)).seen is seen

    play(open_either_shape, story)


def test_a_pseudo_approval_is_unknown_and_a_lookup_shows_that_no_money_moved(open_either_shape: OpenBench) -> None:
    async def story(bench: Any) -> None:
        order = bench.order("pseudo_approval:08")
        answer = await bench.processor.charge(bench.processor.freeze_charge(order))
        assert isinstance(answer, Unknown)
        sighting = await bench.seen(order)
        assert sighting.seen is Seen.DECLINED
        assert sighting.decline.code is NeutralCode.NOT_FULLY_APPROVED

    play(open_either_shape, story)


def test_a_second_send_within_a_minute_is_unknown_and_a_lookup_shows_the_first(open_either_shape: OpenBench) -> None:
    async def story(bench: Any) -> None:
        order = bench.order("approve")
        first = await bench.charged(order)
        answer = await bench.processor.charge(bench.processor.freeze_charge(order))
        assert isinstance(answer, Unknown)
        assert answer.code == "duplicate_223"
        assert (await bench.seen(order)).processor_ref == first.processor_ref
        assert bench.book.core.ledger.executions(order.reference) == 1

    play(open_either_shape, story)


def test_a_double_charge_is_reported_by_the_lookup(open_bench: OpenBench) -> None:
    async def story(bench: Any) -> None:
        order = bench.order("approve")
        await bench.charged(order)
        await bench.advance(timedelta(seconds=61))
        second = await bench.charged(order)
        sighting = await bench.seen(order, processor_ref=second.processor_ref)
        assert sighting.processor_ref == second.processor_ref
        assert "several charges took money" in sighting.detail
        assert bench.book.core.ledger.executions(order.reference) == 2

    play(open_bench, story)


@pytest.mark.parametrize("executed", ["executed", "not_executed"])
def test_protectpays_own_timer_answers_303_which_is_unknown(executed: str) -> None:
    async def story(bench: Any) -> None:
        order = bench.order(f"internal_timeout:{executed}")
        answer = await bench.processor.charge(bench.processor.freeze_charge(order))
        assert isinstance(answer, Unknown)
        assert answer.code == "result_303"
        assert len(bench.ledger(order.reference)) == (executed == "executed")

    play(bench_with(Switches(internal_timeout_s=0.1)), story)


@pytest.mark.parametrize("status", [200, 401])
def test_wrong_credentials_stop_the_practice(status: Literal[200, 401]) -> None:
    async def story(bench: Any) -> None:
        wrong = replace(settings(bench.url), authentication_token="wrong", cert_string="wrong", report_key="wrong")
        processor = VantageProcessor(wrong)
        bench.others.append(processor)
        order = bench.order("approve")
        answer = await processor.charge(processor.freeze_charge(order))
        assert isinstance(answer, NotExecuted)
        assert answer.blame is Blame.MERCHANT
        assert isinstance(await processor.lookup(bench.lookup_of(order)), LookupFailed)
        report = await processor.day_report(ACCOUNT, DAY)
        assert report == LookupFailed(code="report_401", detail="the report was refused")

    play(bench_with(Switches(bad_credentials_status=status)), story)


@pytest.mark.parametrize("no_hit", ["status_77", "not_found"])
def test_both_forms_of_an_empty_search_are_not_found(no_hit: Literal["status_77", "not_found"]) -> None:
    async def story(bench: Any) -> None:
        answer = await bench.processor.lookup(bench.lookup_of(bench.order("approve")))
        assert isinstance(answer, NotFound)
        assert abs(answer.as_of - NOON) < timedelta(minutes=1)

    play(bench_with(Switches(no_hit=no_hit)), story)


@pytest.mark.parametrize("code", ["59", "65", "67", "00x"])
def test_a_refused_search_proves_nothing(open_bench: OpenBench, code: str) -> None:
    async def story(bench: Any) -> None:
        bench.book.core.vault.script(Script(Behaviour.parse(f"decline:{code}"), operation="lookup"))
        assert isinstance(await bench.processor.lookup(bench.lookup_of(bench.order("approve"))), LookupFailed)

    play(open_bench, story)


@pytest.mark.parametrize(
    "behaviour", ["hang_before_execute", "reset_before_execute", "http_500_before", "garbled_after_execute"]
)
def test_a_search_that_breaks_proves_nothing(open_bench: OpenBench, behaviour: str) -> None:
    async def story(bench: Any) -> None:
        bench.book.core.vault.script(Script(Behaviour.parse(behaviour), operation="lookup"))
        processor = bench.aimed_at(bench.url, timing=impatient(bench.processor.timing))
        assert isinstance(await processor.lookup(bench.lookup_of(bench.order("approve"))), LookupFailed)

    play(open_bench, story)


def test_a_void_works_until_the_cut_off_and_is_refused_after_it(open_either_shape: OpenBench) -> None:
    async def story(bench: Any) -> None:
        early, late = bench.order("approve"), bench.order("approve")
        first, second = await bench.charged(early), await bench.charged(late)
        await bench.advance(timedelta(hours=4, minutes=59))
        voided = await bench.processor.void(
            bench.processor.freeze_void(return_order(first.processor_ref, first.history_ref))
        )
        assert voided == VoidConfirmed(processor_ref=first.processor_ref)
        await bench.advance(timedelta(minutes=2))
        text = bench.processor.freeze_void(return_order(second.processor_ref, None))
        refused = await bench.processor.void(text)
        assert isinstance(refused, VoidRefused)
        assert refused.code == "551"
        assert (await bench.seen(early)).seen is Seen.VOIDED
        assert (await bench.seen(late)).seen is Seen.APPROVED, "the dead zone looks like a pending charge"
        await bench.advance(timedelta(hours=3))
        assert (await bench.seen(late)).seen is Seen.SETTLED

    play(open_either_shape, story)


def test_a_void_whose_answer_is_lost_is_unknown_and_the_second_one_is_refused(open_bench: OpenBench) -> None:
    async def story(bench: Any) -> None:
        order = bench.order("approve")
        charged = await bench.charged(order)
        bench.book.core.vault.script(Script(Behaviour.parse("reset_after_execute"), operation="void"))
        text = bench.processor.freeze_void(return_order(charged.processor_ref, charged.history_ref))
        assert isinstance(await bench.processor.void(text), Unknown)
        assert isinstance(await bench.processor.void(text), VoidRefused)
        assert (await bench.seen(order)).seen is Seen.VOIDED
        assert [fact["kind"] for fact in bench.ledger(order.reference)] == ["charge", "void"]

    play(open_bench, story)


def test_the_report_of_a_day_shows_how_its_charges_stand_and_no_payer(open_bench: OpenBench) -> None:
    async def story(bench: Any) -> None:
        settled, voided, lost, declined = (bench.order(word) for word in ["approve"] * 3 + ["decline:51"])
        numbers = [await bench.charged(order) for order in (settled, voided, lost)]
        await bench.processor.charge(bench.processor.freeze_charge(declined))
        bench.book.void(bench.book.find(ACCOUNT, numbers[1].history_ref, ""), bench.book.core.clock.now())
        bench.book.report_edits[lost.reference] = {"action": "drop"}
        early = await bench.processor.day_report(ACCOUNT, DAY)
        assert isinstance(early, DayReport)
        assert early.sightings == ()
        await bench.advance(timedelta(hours=9))
        report = await bench.processor.day_report(ACCOUNT, DAY)
        assert isinstance(report, DayReport)
        assert {(each.reference, each.seen, each.processor_ref) for each in report.sightings} == {
            (settled.reference, Seen.SETTLED, numbers[0].processor_ref),
            (voided.reference, Seen.VOIDED, numbers[1].processor_ref),
        }
        assert {each.amount_minor for each in report.sightings} == {12_500}
        assert report.as_of - early.as_of >= timedelta(hours=9) - timedelta(seconds=1)
        assert PAYER_NAME not in repr(report)
        assert CREDENTIALS.report_key not in repr(report)

    play(open_bench, story)


def test_money_back_is_in_the_report_of_the_day_on_which_it_happened(open_bench: OpenBench) -> None:
    async def story(bench: Any) -> None:
        refunded, charged_back = bench.order("approve"), bench.order("approve", amount_minor=700)
        first, second = await bench.charged(refunded), await bench.charged(charged_back)
        await bench.advance(timedelta(hours=20))
        now = bench.book.core.clock.now()
        bench.book.refund(bench.book.find(ACCOUNT, first.history_ref, ""), 0, now)
        bench.book.charge_back(bench.book.find(ACCOUNT, second.history_ref, ""), now)
        await bench.advance(timedelta(hours=24))
        report = await bench.processor.day_report(ACCOUNT, date(2026, 3, 5))
        assert {(each.processor_ref, each.seen, each.amount_minor) for each in report.sightings} == {
            (first.processor_ref, Seen.REFUNDED, 12_500),
            (second.processor_ref, Seen.OTHER, 700),
        }
        assert (await bench.seen(refunded)).seen is Seen.REFUNDED

    play(open_bench, story)
