"""What people read of an answer of ProtectPay's that decides nothing, whole."""

import json
from typing import Any, Final

import pytest

from shared.domain.declines import Decline, NeutralCode
from workers.processors.connection import Answer, Trouble
from workers.processors.port import (
    Approved,
    Blame,
    Declined,
    Denial,
    NotExecuted,
    RefundConfirmed,
    RefundDenied,
    RefundRefused,
    Unknown,
    VoidConfirmed,
    VoidRefused,
)
from workers.processors.vantage.answers import judge_charge, judge_refund, judge_void
from workers.processors.vantage.codes import whole_number

AMOUNT_MINOR: Final = 2500
HTML: Final = "text/html; charset=utf-8"


def result(code: str, word: str | None = None, message: str = "why") -> dict[str, str]:
    spoken = word or ("SUCCESS" if int(code) == 0 else "FAILURE")
    return {"ResultCode": code, "ResultValue": spoken, "ResultMessage": message}


OK: Final = result("00")
DONE: Final = {
    "TransactionId": "528", "TransactionHistoryId": "9", "TransactionResult": "Success", "GrossAmt": AMOUNT_MINOR,
    "AuthorizationCode": "A1", "ResultCode": OK,
}  # fmt: skip


def json_answer(content: Any) -> Answer:
    return Answer(200, {"content-type": "application/json"}, json.dumps(content).encode())


def charged(request: Any = OK, **changes: Any) -> Answer:
    return json_answer({"RequestResult": request, "Transaction": {**DONE, **changes}})


ANOTHER_WORD: Final = Unknown(code="contradiction", detail="success codes around another TransactionResult")
UNREADABLE: Final = Unknown(code="shape", detail="a result object without a readable code")
NO_RESULT: Final = "no result object in the answer"
LATER: Final = "an earlier send of ours exists: look it up"
APPROVED: Final = Approved(processor_ref="528", history_ref="9", approval_code="A1")
FUNDS: Final = Decline(code=NeutralCode.INSUFFICIENT_FUNDS, raw_code="51")
SHORT: Final = Decline(code=NeutralCode.INSUFFICIENT_FUNDS, raw_code="051")
WITHOUT_CODE: Final = Approved(processor_ref="528", history_ref="9", approval_code=None)


@pytest.mark.parametrize(
    ("answer", "whole"),
    [
        (charged(), APPROVED),
        (charged(AuthorizationCode=""), WITHOUT_CODE),
        (charged(AuthorizationCode=None), WITHOUT_CODE),
        (charged(AuthorizationCode=7), WITHOUT_CODE),
        (charged(TransactionId="0"), Unknown(code="shape", detail="success without the transaction's numbers")),
        (charged(TransactionHistoryId=None), Unknown(code="shape", detail="success without the transaction's numbers")),
        (charged(TransactionResult="Declined"), ANOTHER_WORD),
        (charged(GrossAmt=None), APPROVED),
        (charged(GrossAmt=1), Unknown(code="contradiction", detail="success for another amount")),
        (charged(ResultCode="00"), UNREADABLE),
        (charged(ResultCode=result("00", "FAILURE")), UNREADABLE),
        (charged(ResultCode=result("7", "SUCCESS")), UNREADABLE),
        (charged(request={"ResultCode": "x", "ResultValue": "SUCCESS"}), UNREADABLE),
        (
            charged(request=result("300"), ResultCode=result("51")),
            Unknown(code="contradiction", detail="request says 300, transaction 51"),
        ),
        (
            charged(ResultCode=result("51")),
            Unknown(code="contradiction", detail="TransactionResult Success with code 51"),
        ),
        (
            charged(ResultCode=result("08", "SUCCESS")),
            Unknown(code="pseudo_approval_08", detail="listed as an approval, not money"),
        ),
        (charged(ResultCode=result("223"), TransactionResult=""), Unknown(code="duplicate_223", detail=LATER)),
        (
            charged(ResultCode=result("999", message="m" * 300), TransactionResult=""),
            Unknown(code="result_999", detail="m" * 200),
        ),
        (charged(ResultCode=result("999", message=""), TransactionResult=""), Unknown(code="result_999", detail="")),
        (json_answer({"RequestResult": OK}), Unknown(code="shape", detail="success without a transaction")),
        (
            json_answer({"RequestResult": OK, "Transaction": {}}),
            Unknown(code="shape", detail="success without a transaction"),
        ),
        (
            json_answer({"RequestResult": OK, "Transaction": [DONE]}),
            Unknown(code="shape", detail="success without a transaction"),
        ),
        (json_answer({"RequestResult": result("051")}), Declined(decline=SHORT)),
        (charged(ResultCode=result("51"), TransactionResult=""), Declined(decline=FUNDS, processor_ref="528")),
        (
            charged(request=result("51"), ResultCode=result("51"), TransactionResult="", TransactionId="0"),
            Declined(decline=FUNDS),
        ),
        (json_answer({"RequestResult": result("999")}), Unknown(code="result_999", detail="why")),
        (json_answer({"RequestResult": result("300")}), NotExecuted(code="300", blame=Blame.MERCHANT, detail="why")),
        (json_answer({"RequestResult": "00"}), Unknown(code="http_200", detail=NO_RESULT)),
        (json_answer(["RequestResult"]), Unknown(code="http_200", detail=NO_RESULT)),
        (Answer(502, {"content-type": HTML}, b"Request Error"), Unknown(code="http_502", detail=NO_RESULT)),
        (
            Answer(400, {"content-type": HTML}, b"<h1>Request Error</h1>"),
            NotExecuted(code="http_400", blame=Blame.US, detail="rejected before processing: malformed request"),
        ),
        (Answer(400, {"content-type": HTML}, b"another page"), Unknown(code="http_400", detail=NO_RESULT)),
        (Answer(400, {"content-type": "text/plain"}, b"Request Error"), Unknown(code="http_400", detail=NO_RESULT)),
        (
            Answer(401, {"content-type": HTML}, b"who?"),
            NotExecuted(code="http_401", blame=Blame.MERCHANT, detail="rejected before processing"),
        ),
        (Trouble(sent=True, code="timeout", detail="late"), Unknown(code="timeout", detail="late")),
        (
            Trouble(sent=False, code="not_connected", detail="OSError"),
            NotExecuted(code="not_connected", blame=Blame.NOTHING, detail="OSError"),
        ),
    ],
)
def test_an_answer_to_a_charge(answer: Answer | Trouble, whole: object) -> None:
    assert judge_charge(answer, AMOUNT_MINOR) == whole


NO_NUMBER: Final = Unknown(code="shape", detail="a void's success without the number of the charge")


@pytest.mark.parametrize(
    ("answer", "whole"),
    [
        (charged(), VoidConfirmed(processor_ref="528")),
        (json_answer({"RequestResult": result("999")}), Unknown(code="result_999", detail="why")),
        (charged(TransactionResult="Failed"), ANOTHER_WORD),
        (charged(TransactionId=0), NO_NUMBER),
        (charged(TransactionId="529"), NO_NUMBER),
        (charged(ResultCode=result("551"), TransactionResult=""), VoidRefused(code="551", detail="why")),
        (charged(ResultCode=result("999"), TransactionResult=""), Unknown(code="result_999", detail="why")),
    ],
)
def test_an_answer_to_a_void(answer: Answer, whole: object) -> None:
    assert judge_void(answer, "528") == whole


def test_a_void_of_a_charge_whose_number_is_not_known_tells_it() -> None:
    assert judge_void(charged(), None) == VoidConfirmed(processor_ref="528")


def refunded(**changes: Any) -> Answer:
    done = {"TransactionId": "530", "TransactionHistoryId": "10", "TransactionResult": "Success", "ResultCode": OK}
    return json_answer({"RequestResult": OK, "TransactionDetail": {**done, **changes}})


GIVEN_BACK: Final = RefundConfirmed(processor_ref="530", history_ref="10")
NO_OWN_NUMBERS: Final = Unknown(code="shape", detail="a refund's success without numbers of its own")


@pytest.mark.parametrize(
    ("answer", "whole"),
    [
        (refunded(), GIVEN_BACK),
        (refunded(CurrencyConvertedAmount=None), GIVEN_BACK),
        (refunded(CurrencyConvertedAmount=AMOUNT_MINOR), GIVEN_BACK),
        (refunded(TransactionId="0"), NO_OWN_NUMBERS),
        (refunded(TransactionHistoryId="0"), NO_OWN_NUMBERS),
        (json_answer({"RequestResult": OK}), Unknown(code="shape", detail="success without a transaction")),
        (refunded(TransactionResult=""), ANOTHER_WORD),
        (refunded(CurrencyConvertedAmount=1), Unknown(code="contradiction", detail="success for another amount")),
        (
            refunded(ResultCode=result("563"), TransactionResult=""),
            RefundDenied(code="563", denial=Denial.FUNDS_SHORT, detail="why"),
        ),
        (
            refunded(ResultCode=result("300"), TransactionResult=""),
            NotExecuted(code="300", blame=Blame.MERCHANT, detail="why"),
        ),
        (refunded(ResultCode=result("601"), TransactionResult=""), RefundRefused(code="601", detail="why")),
    ],
)
def test_an_answer_to_a_refund(answer: Answer, whole: object) -> None:
    assert judge_refund(answer, AMOUNT_MINOR) == whole


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("00", 0),
        ("9" * 18, 999_999_999_999_999_999),
        ("9" * 19, None),
        ("", None),
        ("-1", None),
        ("\u0661", None),
        (7, None),
        (None, None),
    ],
)
def test_a_number_is_a_string_of_at_most_eighteen_digits(text: object, number: int | None) -> None:
    assert whole_number(text) == number
