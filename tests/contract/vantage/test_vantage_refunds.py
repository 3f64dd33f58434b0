"""Vantage's refunds: the contract of all processors, every code of a refund, and the dead zone."""

from datetime import timedelta
from typing import Any, Literal

import pytest

from shared.domain.answers import Denial
from tests.contract.bench import OpenBench, play
from tests.contract.refunds_contract import RefundContract
from tests.contract.vantage.bench import REFUNDED, SUCCESS, answered, bench_with, failure, return_order
from workers.processors.port import NotExecuted, RefundConfirmed, RefundDenied, RefundRefused, Seen, Unknown
from workers.processors.vantage.codes import (
    DECLINES,
    DUPLICATES,
    NOT_EXECUTED,
    PSEUDO_APPROVALS,
    REFUND_DENIALS,
    REFUND_REFUSALS,
)
from workers.simulators.vantage.tables import Switches

Shape = Literal["mirrored", "split"]
SHAPES = pytest.mark.parametrize("shape", ["mirrored", "split"])


class TestVantageRefunds(RefundContract):
    chargeback = "chargeback"

    @pytest.fixture(params=["mirrored", "split"])
    def open_bench(self, request: pytest.FixtureRequest) -> OpenBench:
        return bench_with(Switches(decline_shape=request.param))


def refused(code: str, shape: Shape = "mirrored") -> dict[str, Any]:
    said = failure(code)
    detail = REFUNDED["TransactionDetail"] | {"ResultCode": said, "TransactionResult": "Declined"}
    return {"TransactionDetail": detail, "RequestResult": said if shape == "mirrored" else SUCCESS}


def test_a_refund_is_confirmed_by_numbers_of_its_own() -> None:
    assert answered("refund", REFUNDED) == RefundConfirmed(processor_ref="530", history_ref="7911899")


@pytest.mark.parametrize(
    ("changed", "whole"),
    [
        ({"TransactionId": "0"}, Unknown(code="shape", detail="a refund's success without numbers of its own")),
        (
            {"TransactionResult": "Declined"},
            Unknown(code="contradiction", detail="success codes around another TransactionResult"),
        ),
        ({"CurrencyConvertedAmount": 1}, Unknown(code="contradiction", detail="success for another amount")),
    ],
)
def test_what_people_read_of_a_success_that_is_none(changed: dict[str, Any], whole: Unknown) -> None:
    assert answered("refund", REFUNDED | {"TransactionDetail": REFUNDED["TransactionDetail"] | changed}) == whole


@pytest.mark.parametrize(
    "changes",
    [
        {"TransactionHistoryId": "0"},
        {"TransactionHistoryId": None},
        {"TransactionId": "0"},
        {"TransactionId": 530},
        {"TransactionResult": "Declined"},
        {"CurrencyConvertedAmount": 1},
        {"ResultCode": failure("551")},
    ],
    ids=str,
)
def test_a_success_that_contradicts_itself_or_lacks_a_number_is_unknown(changes: dict[str, Any]) -> None:
    answer = answered("refund", REFUNDED | {"TransactionDetail": REFUNDED["TransactionDetail"] | changes})
    assert isinstance(answer, Unknown)


def test_a_refunds_answer_under_a_charges_name_is_unknown() -> None:
    assert isinstance(
        answered("refund", {"Transaction": REFUNDED["TransactionDetail"], "RequestResult": SUCCESS}), Unknown
    )


@SHAPES
@pytest.mark.parametrize(("code", "denial"), REFUND_DENIALS.items())
def test_what_only_people_can_remove_denies_the_refund(code: int, denial: Denial, shape: Shape) -> None:
    answer = answered("refund", refused(str(code), shape))
    assert isinstance(answer, RefundDenied)
    assert (answer.code, answer.denial) == (str(code), denial)


@SHAPES
@pytest.mark.parametrize("code", sorted(REFUND_REFUSALS))
def test_a_refused_refund_proves_nothing_about_the_charge(code: int, shape: Shape) -> None:
    answer = answered("refund", refused(str(code), shape))
    assert isinstance(answer, RefundRefused)
    assert answer.code == str(code)


@pytest.mark.parametrize("code", NOT_EXECUTED)
def test_what_was_refused_before_an_issuer_was_asked_did_not_execute(code: int) -> None:
    assert isinstance(answered("refund", refused(str(code))), NotExecuted)


@SHAPES
@pytest.mark.parametrize("code", sorted({207, 303, 345, 999, 564} | DUPLICATES | PSEUDO_APPROVALS | DECLINES.keys()))
def test_every_other_code_is_unknown(code: int, shape: Shape) -> None:
    assert isinstance(answered("refund", refused(str(code), shape)), Unknown)


def test_no_code_of_a_refund_stands_in_two_tables() -> None:
    tables = [set(REFUND_DENIALS), set(REFUND_REFUSALS), set(NOT_EXECUTED), DUPLICATES, PSEUDO_APPROVALS]
    assert sum(len(table) for table in tables) == len(set().union(*tables))


@pytest.mark.parametrize(("hours", "seen"), [(1, Seen.APPROVED), (6, Seen.APPROVED)], ids=["pending", "dead zone"])
def test_a_refund_before_settlement_is_refused_and_a_look_says_why(hours: int, seen: Seen) -> None:
    async def story(bench: Any) -> None:
        order = bench.order("approve")
        charged = await bench.charged(order)
        await bench.advance(timedelta(hours=hours))
        text = bench.processor.freeze_refund(return_order(charged.processor_ref, charged.history_ref))
        assert isinstance(await bench.processor.refund(text), RefundRefused)
        assert (await bench.seen(order)).seen is seen

    play(bench_with(Switches()), story)


def test_a_pending_charge_that_a_refund_voids_is_unknown_and_a_look_shows_it_voided() -> None:
    async def story(bench: Any) -> None:
        order = bench.order("approve")
        charged = await bench.charged(order)
        text = bench.processor.freeze_refund(return_order(charged.processor_ref, charged.history_ref))
        assert isinstance(await bench.processor.refund(text), Unknown)
        assert (await bench.seen(order)).seen is Seen.VOIDED

    play(bench_with(Switches(refund_pending="void")), story)


def test_a_charge_is_named_by_the_gateways_number_where_its_history_id_is_not_known() -> None:
    async def story(bench: Any) -> None:
        charged = await bench.charged(bench.order("approve"))
        await bench.advance(timedelta(hours=12))
        text = bench.processor.freeze_refund(return_order(charged.processor_ref, None))
        assert isinstance(await bench.processor.refund(text), RefundConfirmed)

    play(bench_with(Switches()), story)
