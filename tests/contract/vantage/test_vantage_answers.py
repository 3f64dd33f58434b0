"""Every row of ProtectPay's code tables, and answers that contradict themselves, replayed on a raw wire."""

import json
from typing import Any, Literal

import pytest

from shared.domain.declines import Category, NeutralCode
from tests.contract.vantage.bench import SUCCESS, VOIDED, answered, approval, failure, refused
from workers.processors.port import Approved, Blame, Declined, NotExecuted, Unknown, VoidConfirmed, VoidRefused
from workers.processors.vantage.codes import DECLINES, DUPLICATES, NOT_EXECUTED, PSEUDO_APPROVALS, VOID_REFUSALS

Shape = Literal["mirrored", "split"]
SHAPES = pytest.mark.parametrize("shape", ["mirrored", "split"])


@SHAPES
@pytest.mark.parametrize(("code", "neutral"), DECLINES.items())
def test_a_listed_decline_is_a_decline(code: int, neutral: NeutralCode, shape: Shape) -> None:
    answer = answered("charge", refused(f"{code:02d}", shape, TransactionId="528"))
    assert isinstance(answer, Declined)
    assert answer.decline.code is neutral
    assert answer.decline.raw_code == f"{code:02d}"
    assert answer.processor_ref == "528"


@pytest.mark.parametrize(
    ("category", "codes"),
    [
        (Category.HARD, [4, 6, 7, 12, 14, 15, 41, 43, 46, 52, 57, 59, 62, 63, 78, 93]),
        (Category.SOFT, [5, 17, 19, 20, 22, 29, 51, 61, 65, 96, 99, 100, 199]),
        (Category.DATA, [24, 54, 80, 82, 101]),
        (Category.MERCHANT, [561, 562]),
    ],
)
def test_codes_have_the_category_that_the_rules_of_the_networks_give_them(category: Category, codes: list[int]) -> None:
    for code in codes:
        answer = answered("charge", refused(str(code)))
        assert isinstance(answer, Declined)
        assert answer.decline.category is category, code


@SHAPES
@pytest.mark.parametrize(("code", "blame"), NOT_EXECUTED.items())
def test_a_listed_refusal_is_not_executed(code: int, blame: Blame, shape: Shape) -> None:
    for call in ("charge", "void"):
        answer = answered(call, refused(str(code), shape))
        assert isinstance(answer, NotExecuted)
        assert (answer.code, answer.blame) == (str(code), blame)


@pytest.mark.parametrize("code", [200, 204, 230, 300])
def test_authentication_and_account_errors_stop_the_practice(code: int) -> None:
    assert NOT_EXECUTED[code] is Blame.MERCHANT


LOOKED_UP = sorted({207, 303, 306, 307, 316, 345, 348, 349, 28, 542, 551, 563, 999} | DUPLICATES | PSEUDO_APPROVALS)


@SHAPES
@pytest.mark.parametrize("code", LOOKED_UP)
def test_every_other_code_is_unknown(code: int, shape: Shape) -> None:
    assert isinstance(answered("charge", refused(str(code), shape)), Unknown)


@pytest.mark.parametrize("code", PSEUDO_APPROVALS)
def test_a_pseudo_approval_is_unknown_however_it_is_worded(code: int) -> None:
    listed = SUCCESS | {"ResultCode": str(code)}
    for outer in (SUCCESS, listed):
        answer = answered("charge", approval(transaction={"ResultCode": listed}, RequestResult=outer))
        assert isinstance(answer, Unknown)


def test_no_code_stands_in_two_tables() -> None:
    tables = [set(DECLINES), set(NOT_EXECUTED), DUPLICATES, PSEUDO_APPROVALS]
    assert sum(len(table) for table in tables) == len(set().union(*tables))


def test_two_zeros_and_a_whole_transaction_are_money() -> None:
    expected = Approved(processor_ref="528", history_ref="7911897", approval_code="A11111")
    assert answered("charge", approval()) == expected
    assert answered("charge", approval(transaction={"GrossAmt": None})) == expected


@pytest.mark.parametrize(
    "changes",
    [
        {"Transaction": None},
        {"Transaction": []},
        {"RequestResult": failure("51")},
        {"RequestResult": {"ResultValue": "SUCCESS", "ResultCode": "51"}},
        {"RequestResult": {"ResultValue": "FAILURE", "ResultCode": "00"}},
        {"RequestResult": {"ResultValue": "SUCCESS", "ResultCode": 0}},
        {"RequestResult": {"ResultValue": ["SUCCESS"], "ResultCode": "00"}},
        {"RequestResult": {"ResultValue": "SUCCESS", "ResultCode": "9" * 5_000}},
        {"transaction": {"ResultCode": failure("51")}},
        {"transaction": {"ResultCode": None, "TransactionId": None}},
        {"transaction": {"ResultCode": "00"}},
        {"transaction": {"TransactionId": "0"}},
        {"transaction": {"TransactionId": 528}},
        {"transaction": {"TransactionHistoryId": "0"}},
        {"transaction": {"TransactionHistoryId": "x"}},
        {"transaction": {"TransactionResult": "Declined"}},
        {"transaction": {"GrossAmt": 1}},
        {"transaction": {"GrossAmt": [12_500]}},
    ],
    ids=lambda changes: str(changes)[:80],
)
def test_an_answer_that_contradicts_itself_or_lacks_a_part_is_unknown(changes: dict[str, Any]) -> None:
    assert isinstance(answered("charge", approval(**changes)), Unknown)


def test_an_approval_is_read_as_utf_8_with_its_mark_or_without_and_as_nothing_else() -> None:
    text = json.dumps(approval())
    for encoding in ("utf-8", "utf-8-sig"):
        assert isinstance(answered("charge", text.encode(encoding)), Approved)
    not_text = text.replace('"SUCCESS"', r'"\ud800"')
    for body in (text.encode("utf-16"), not_text.encode(), text.replace("12500", "NaN").encode()):
        assert isinstance(answered("charge", body), Unknown)


@pytest.mark.parametrize(
    ("status", "kind", "body", "blame"),
    [
        ("400 Bad Request", "text/html", b"\xef\xbb\xbf<title>Request Error</title>", Blame.US),
        ("401 Unauthorized", "text/html", b"", Blame.MERCHANT),
        ("403 Forbidden", "text/html", b"<html>", Blame.MERCHANT),
        ("404 Not Found", "text/html", b"<html>", Blame.US),
        ("405 Method Not Allowed", "text/html", b"<html>", Blame.US),
        ("400 Bad Request", "application/json", b"Request Error", None),
        ("400 Bad Request", "text/html", b"<html>", None),
        ("409 Conflict", "application/json", b'{"AccountNumber":1,"Status":"79"}', None),
        ("429 Too Many Requests", "text/html", b"", None),
        ("500 Internal Server Error", "text/html", b"<html>", None),
        ("503 Service Unavailable", "text/html", b"<html>", None),
    ],
)
def test_only_listed_rejections_without_a_result_object_are_not_executed(
    status: str, kind: str, body: bytes, blame: Blame | None
) -> None:
    for call in ("charge", "void"):
        answer = answered(call, body, status=status, kind=kind)
        assert isinstance(answer, Unknown if blame is None else NotExecuted)
        assert not isinstance(answer, NotExecuted) or answer.blame is blame


@pytest.mark.parametrize("status", ["200 OK", "201 Created", "400 Bad", "401 No", "409 Conflict", "500 Error"])
def test_a_result_object_is_judged_by_its_codes_at_any_http_status(status: str) -> None:
    assert isinstance(answered("charge", refused("51"), status=status), Declined)


@pytest.mark.parametrize("code", VOID_REFUSALS)
def test_a_refused_void_proves_nothing_about_the_charge(code: int) -> None:
    answer = answered("void", refused(str(code)))
    assert isinstance(answer, VoidRefused)
    assert answer.code == str(code)


def test_a_void_is_confirmed_by_the_number_of_the_charge_only() -> None:
    assert answered("void", VOIDED) == VoidConfirmed(processor_ref="528")
    assert isinstance(answered("void", approval(transaction={"TransactionId": "529"})), Unknown)
    assert isinstance(answered("void", approval(transaction={"TransactionId": "0"})), Unknown)


@pytest.mark.parametrize("code", [207, 223, 303, 345, 8, 51, 999])
def test_every_other_answer_to_a_void_is_unknown(code: int) -> None:
    assert isinstance(answered("void", refused(str(code))), Unknown)


@pytest.mark.parametrize("word", ["Declined", "", None])
def test_a_void_whose_codes_and_word_contradict_each_other_is_unknown(word: str | None) -> None:
    contradiction = VOIDED | {"Transaction": VOIDED["Transaction"] | {"TransactionResult": word}}
    assert isinstance(answered("void", contradiction), Unknown)
