"""Ten thousand answers that are almost right, to each adapter through its own connections: nothing escapes, and only
the exact success is money.

BATCHPAY_FUZZ_ANSWERS sets how many answers each adapter gets, BATCHPAY_FUZZ_SEED where they begin.
"""

import asyncio
import json
import os
import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from random import Random
from typing import Any, NamedTuple
from xml.etree import ElementTree as ET

import pytest

from tests.contract.bench import Call, OpenBench, play
from tests.contract.mutations import byte_mutation, mutations
from tests.contract.stripe import bench as stripe
from tests.contract.vantage import bench as vantage
from tests.contract.wire_server import After, Reply, http, wire_server
from workers.processors.port import (
    Approved,
    DayReport,
    Declined,
    Found,
    LookupFailed,
    NotExecuted,
    NotFound,
    Processing,
    Seen,
    Settled,
    Unknown,
    VoidConfirmed,
    VoidRefused,
)
from workers.simulators.vantage.tables import Switches

ANSWERS = int(os.environ.get("BATCHPAY_FUZZ_ANSWERS", "10000"))
SEED = int(os.environ.get("BATCHPAY_FUZZ_SEED", "1"))
_SIDE_BY_SIDE = 8
# A broken head costs a connection.
_HEADS_OF_ALL = 20

_CLOSED = (Approved, Settled, Processing, Declined, NotExecuted, Unknown, VoidConfirmed, VoidRefused)
_CLOSED_LOOKS = (Found, NotFound, DayReport, LookupFailed)


def is_money(given: object) -> bool:
    """Whether the engine would believe that the charge stands, or that the void happened."""
    match given:
        case Approved() | Settled() | VoidConfirmed():
            return True
        case Found():
            return given.sighting.seen in {Seen.APPROVED, Seen.SETTLED}
        case DayReport():
            return any(one.seen is Seen.SETTLED and one.reference == vantage.ORDER.reference for one in given.sightings)
        case _:
            return False


# --- The exact successes, told apart from everything else without the adapters' help ----------------------------------


def is_intent(value: Any) -> bool:
    return (
        value["object"] == "payment_intent"
        and isinstance(value["id"], str)
        and value["id"] != ""
        and value["status"] == "succeeded"
        and value["metadata"]["reference"] == stripe.ORDER.reference
    )


def is_paid_charge(body: bytes) -> bool:
    intent = json.loads(body.decode())
    amounts = (intent["amount"], intent["amount_received"])
    return is_intent(intent) and amounts == (12_345, 12_345) and intent["currency"] == "usd"


def is_paid_intent(body: bytes) -> bool:
    return _is_paid(json.loads(body.decode()))


def is_paid_list(body: bytes) -> bool:
    page = json.loads(body.decode())
    return page["has_more"] is False and any(_is_paid_safely(row) for row in page["data"])


def _is_paid(intent: Any) -> bool:
    charge = intent["latest_charge"]
    ours = intent["status"] == "succeeded" and intent["metadata"]["reference"] == stripe.ORDER.reference
    refunded, amount = charge["amount_refunded"], charge["amount"]
    return ours and type(refunded) is int and type(amount) is int and refunded < amount


def _is_paid_safely(intent: Any) -> bool:
    try:
        return _is_paid(intent)
    except (KeyError, TypeError):
        return False


def is_approval(body: bytes) -> bool:
    transaction = _success(body)
    history = transaction["TransactionHistoryId"]
    return (
        transaction["TransactionResult"] == "Success"
        and _is_number(transaction["TransactionId"])
        and _is_number(history)
        and transaction.get("GrossAmt") in {None, 12_500}
    )


def is_void(body: bytes) -> bool:
    transaction = _success(body)
    return bool(transaction["TransactionId"] == "528" and transaction["TransactionResult"] == "Success")


def _success(body: bytes) -> dict[str, Any]:
    answer = json.loads(body.decode())
    for result in (answer["RequestResult"], answer["Transaction"]["ResultCode"]):
        assert result["ResultValue"] == "SUCCESS"
        assert int(result["ResultCode"]) == 0
    transaction: dict[str, Any] = answer["Transaction"]
    return transaction


def _is_number(text: str) -> bool:
    return re.fullmatch("[0-9]{1,18}", text) is not None and int(text) > 0


def is_search_hit(body: bytes) -> bool:
    # Of two fields with one name the first one counts.
    rows = [
        {field.tag: (field.text or "").strip() for field in reversed(row)}
        for row in ET.fromstring(body).iter("XMLTrans")  # noqa: S314  # our own mutation
    ]
    return any(_is_taken(defaultdict(str, row)) for row in rows)


def _is_taken(row: Mapping[str, str]) -> bool:
    return (
        row["invNum"] == vantage.ORDER.reference
        and row["txnStatus"] in {"CCDebitPending", "CCDebitSettled", "CCDebitFunded"}
        and re.fullmatch("0+", row["returnCode"]) is not None
        and row["initialTransactionResult"].lower() == "success"
        and _is_number(row["transNum"])
        and _is_number(row["amount"])
    )


def is_settled_row(body: bytes) -> bool:
    report = json.loads(body.decode())
    return report["RequestResults"]["ResultCode"] == 200 and any(
        row["MerchantId"].strip() == vantage.ACCOUNT
        and row["InvoiceNumber"].strip() == vantage.ORDER.reference
        and row["TransactionDescription"].strip() == "+CC"
        and int(row["ReturnCode"]) == 0
        and re.fullmatch(r"-?\d+\.\d\d", row["GrossAmount"].strip())
        for row in report["Transactions"]
    )


class Share(NamedTuple):
    """What is exact for one call, and which part of a processor's answers the call gets: charges half of them."""

    exact: Callable[[bytes], bool]
    part: float


SHARES = {
    ("stripe", "charge"): Share(is_paid_charge, 1 / 2),
    ("stripe", "lookup"): Share(is_paid_list, 1 / 8),
    ("stripe", "retrieve"): Share(is_paid_intent, 3 / 8),
    ("vantage", "charge"): Share(is_approval, 1 / 2),
    ("vantage", "void"): Share(is_void, 1 / 6),
    ("vantage", "lookup"): Share(is_search_hit, 1 / 6),
    ("vantage", "report"): Share(is_settled_row, 1 / 6),
}


def is_exact(processor: str, name: str, body: bytes) -> bool:
    try:
        return SHARES[processor, name].exact(body)
    except (ValueError, KeyError, TypeError, AttributeError, AssertionError, ET.ParseError, RecursionError):
        return False


# --- The runs ---------------------------------------------------------------------------------------------------------

BENCHES: dict[str, OpenBench] = {"stripe": stripe.simulated, "vantage": vantage.bench_with(Switches())}


def _count(processor: str, name: str) -> int:
    return round(ANSWERS * SHARES[processor, name].part)


@pytest.mark.parametrize(("processor", "name"), SHARES)
def test_only_the_exact_success_is_money(processor: str, name: str) -> None:
    async def story(bench: Any) -> None:
        call = bench.calls[name]
        bodies = [call.answer, *mutations(call.answer, seed=SEED, count=_count(processor, name))]
        replies = [http(body, kind=call.kind) for body in bodies]
        # A list that promises more is asked for more.
        given = await (_each_cold if (processor, name) == ("stripe", "lookup") else _warm)(bench, call, replies)
        assert is_money(given[0]), "the genuine answer"
        for body, answer in zip(bodies, given, strict=True):
            _assert_closed(call, answer)
            assert not is_money(answer) or is_exact(processor, name, body), (body, answer)

    play(BENCHES[processor], story)


@pytest.mark.parametrize(("processor", "name"), SHARES)
def test_no_broken_head_or_framing_makes_money_of_what_is_not(processor: str, name: str) -> None:
    async def story(bench: Any) -> None:
        call, random = bench.calls[name], Random(SEED)
        whole = http(call.answer, kind=call.kind).data
        broken = [byte_mutation(whole, random) for _ in range(_count(processor, name) // _HEADS_OF_ALL)]
        given = await _each_cold(bench, call, [Reply(data, After.CLOSE) for data in broken])
        for data, answer in zip(broken, given, strict=True):
            _assert_closed(call, answer)
            body = re.split(rb"\r?\n\r?\n", data, maxsplit=1)[-1]
            # What follows the announced length is not the answer's.
            exact = is_exact(processor, name, body) or is_exact(processor, name, body[: len(call.answer)])
            assert not is_money(answer) or exact, (data, answer)

    play(BENCHES[processor], story)


async def _warm(bench: Any, call: Call, replies: list[Reply]) -> list[Any]:
    """What each reply becomes; several adapters work side by side, each with a server of its own."""
    shares = [replies[start::_SIDE_BY_SIDE] for start in range(_SIDE_BY_SIDE)]
    by_share = await asyncio.gather(*(_share(bench, call, share) for share in shares))
    return [by_share[number % _SIDE_BY_SIDE][number // _SIDE_BY_SIDE] for number in range(len(replies))]


async def _share(bench: Any, call: Call, replies: list[Reply]) -> list[Any]:
    async with wire_server(*replies) as wire:
        processor = bench.aimed_at(wire.url)
        given = [await call.make(processor) for _ in replies]
        assert len(wire.requests) == len(replies)
        return given


async def _each_cold(bench: Any, call: Call, replies: list[Reply]) -> list[Any]:
    """What each reply becomes, each on a connection of its own."""
    return [await _cold(bench, call, reply) for reply in replies]


async def _cold(bench: Any, call: Call, reply: Reply) -> Any:
    async with wire_server(reply) as wire:
        return await call.make(bench.aimed_at(wire.url))


def _assert_closed(call: Call, answer: object) -> None:
    assert isinstance(answer, _CLOSED_LOOKS if call.unclear is LookupFailed else _CLOSED), answer
