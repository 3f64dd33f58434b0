"""Judging ProtectPay's JSON answers: from an HTTP answer to the closed types of the port."""

from codecs import BOM_UTF8
from dataclasses import dataclass
from typing import Any

import orjson

from shared.domain.declines import Decline
from workers.processors.connection import Answer, Trouble
from workers.processors.port import (
    Approved,
    Blame,
    ChargeAnswer,
    Declined,
    NotExecuted,
    RefundAnswer,
    RefundConfirmed,
    RefundDenied,
    RefundRefused,
    Unknown,
    VoidAnswer,
    VoidConfirmed,
    VoidRefused,
)
from workers.processors.vantage.codes import (
    DECLINES,
    DUPLICATES,
    NOT_EXECUTED,
    PSEUDO_APPROVALS,
    REFUND_DENIALS,
    REFUND_REFUSALS,
    REJECTED_UNPROCESSED,
    SUCCESS,
    VOID_REFUSALS,
    whole_number,
)

_SUCCESS_WORD, _FAILURE_WORD = "SUCCESS", "FAILURE"
_DETAIL_MAX = 200


@dataclass(frozen=True, slots=True)
class _Verdict:
    """One code of an answer that is whole and does not contradict itself."""

    code: int
    raw_code: str
    detail: str
    transaction: dict[str, Any] | None


def judge_charge(answer: Answer | Trouble, amount_minor: int) -> ChargeAnswer:
    verdict = _read(answer)
    if not isinstance(verdict, _Verdict):
        return verdict
    if verdict.code == SUCCESS:
        return _approved(verdict.transaction, amount_minor)
    if verdict.code in DECLINES:
        decline = Decline(code=DECLINES[verdict.code], raw_code=verdict.raw_code)
        return Declined(decline=decline, processor_ref=_number(verdict.transaction, "TransactionId"))
    return _neither_money_nor_decline(verdict)


def judge_void(answer: Answer | Trouble, charge_number: str | None) -> VoidAnswer:
    """`charge_number` is the gateway's number of the charge if the request named it by that."""
    verdict = _read(answer)
    if not isinstance(verdict, _Verdict):
        return verdict
    if verdict.code == SUCCESS:
        if verdict.transaction is None or verdict.transaction.get("TransactionResult") != "Success":
            return Unknown(code="contradiction", detail="success codes around another TransactionResult")
        number = _number(verdict.transaction, "TransactionId")
        if number is None or charge_number not in {None, number}:
            return Unknown(code="shape", detail="a void's success without the number of the charge")
        return VoidConfirmed(processor_ref=number)
    if verdict.code in VOID_REFUSALS:
        return VoidRefused(code=verdict.raw_code, detail=verdict.detail)
    return _neither_money_nor_decline(verdict)


def judge_refund(answer: Answer | Trouble, amount_minor: int) -> RefundAnswer:
    verdict = _read(answer, "TransactionDetail")
    if not isinstance(verdict, _Verdict):
        return verdict
    if verdict.code == SUCCESS:
        return _refunded(verdict.transaction, amount_minor)
    if verdict.code in REFUND_DENIALS:
        return RefundDenied(code=verdict.raw_code, denial=REFUND_DENIALS[verdict.code], detail=verdict.detail)
    if verdict.code in REFUND_REFUSALS:
        return RefundRefused(code=verdict.raw_code, detail=verdict.detail)
    return _neither_money_nor_decline(verdict)


def _refunded(transaction: dict[str, Any] | None, amount_minor: int) -> RefundConfirmed | Unknown:
    """A success without numbers of its own may have been a void."""
    number = _number(transaction, "TransactionId")
    history = _number(transaction, "TransactionHistoryId")
    if transaction is None or number is None or history is None:
        return Unknown(code="shape", detail="a refund's success without numbers of its own")
    if transaction.get("TransactionResult") != "Success":
        return Unknown(code="contradiction", detail="success codes around another TransactionResult")
    if transaction.get("CurrencyConvertedAmount") not in (None, amount_minor):
        return Unknown(code="contradiction", detail="success for another amount")
    return RefundConfirmed(processor_ref=number, history_ref=history)


def _neither_money_nor_decline(verdict: _Verdict) -> NotExecuted | Unknown:
    if verdict.code in NOT_EXECUTED:
        return NotExecuted(code=verdict.raw_code, blame=NOT_EXECUTED[verdict.code], detail=verdict.detail)
    if verdict.code in DUPLICATES:
        return Unknown(code=f"duplicate_{verdict.raw_code}", detail="an earlier send of ours exists: look it up")
    if verdict.code in PSEUDO_APPROVALS:
        return Unknown(code=f"pseudo_approval_{verdict.raw_code}", detail="listed as an approval, not money")
    return Unknown(code=f"result_{verdict.raw_code}", detail=verdict.detail)


def _approved(transaction: dict[str, Any] | None, amount_minor: int) -> Approved | Unknown:
    number = _number(transaction, "TransactionId")
    history = _number(transaction, "TransactionHistoryId")
    if transaction is None or number is None or history is None:
        return Unknown(code="shape", detail="success without the transaction's numbers")
    if transaction.get("TransactionResult") != "Success":
        return Unknown(code="contradiction", detail="success codes around another TransactionResult")
    gross_minor = transaction.get("GrossAmt")
    if gross_minor is not None and gross_minor != amount_minor:
        return Unknown(code="contradiction", detail="success for another amount")
    authorization = transaction.get("AuthorizationCode")
    code = authorization if isinstance(authorization, str) and authorization else None
    return Approved(processor_ref=number, history_ref=history, approval_code=code)


def _read(answer: Answer | Trouble, key: str = "Transaction") -> _Verdict | NotExecuted | Unknown:
    if isinstance(answer, Trouble):
        if answer.sent:
            return Unknown(code=answer.code, detail=answer.detail)
        return NotExecuted(code=answer.code, blame=Blame.NOTHING, detail=answer.detail)
    try:
        content = orjson.loads(answer.body.removeprefix(BOM_UTF8))
    except ValueError:
        return _without_json(answer)
    request_result = content.get("RequestResult") if isinstance(content, dict) else None
    if not isinstance(request_result, dict):
        return _without_json(answer)
    transaction = content.get(key)
    return _weigh(request_result, transaction if isinstance(transaction, dict) else None)


def _without_json(answer: Answer) -> NotExecuted | Unknown:
    code = f"http_{answer.status}"
    if answer.status == 400 and answer.content_type == "text/html" and b"Request Error" in answer.body:
        return NotExecuted(code=code, blame=Blame.US, detail="rejected before processing: malformed request")
    if answer.status in REJECTED_UNPROCESSED:
        blame = REJECTED_UNPROCESSED[answer.status]
        return NotExecuted(code=code, blame=blame, detail="rejected before processing")
    return Unknown(code=code, detail="no result object in the answer")


def _weigh(request_result: dict[str, Any], transaction: dict[str, Any] | None) -> _Verdict | Unknown:
    """Two levels of success. A refusal speaks through Transaction.ResultCode if that is there.

    Levels that disagree about the refusal, or a word that belies its code, prove nothing.
    """
    outer = _result(request_result)
    inner_object = transaction.get("ResultCode") if transaction is not None else None
    inner = _result(inner_object)
    if outer is None or (inner is None and inner_object is not None):
        return Unknown(code="shape", detail="a result object without a readable code")
    if inner is None:
        return Unknown(code="shape", detail="success without a transaction") if outer.code == SUCCESS else outer
    if outer.code not in {SUCCESS, inner.code}:
        return Unknown(code="contradiction", detail=f"request says {outer.raw_code}, transaction {inner.raw_code}")
    claims_success = transaction is not None and transaction.get("TransactionResult") == "Success"
    if claims_success and inner.code != SUCCESS and inner.code not in PSEUDO_APPROVALS:
        return Unknown(code="contradiction", detail=f"TransactionResult Success with code {inner.raw_code}")
    return _Verdict(inner.code, inner.raw_code, inner.detail, transaction)


def _result(value: Any) -> _Verdict | None:
    """A Result object whose word fits its code; pseudo-approvals may be spelled either way."""
    if not isinstance(value, dict):
        return None
    raw_code, word = value.get("ResultCode"), value.get("ResultValue")
    code = whole_number(raw_code)
    if code is None:
        return None
    fits = word == (_SUCCESS_WORD if code == SUCCESS else _FAILURE_WORD)
    if not fits and not (code in PSEUDO_APPROVALS and word == _SUCCESS_WORD):
        return None
    return _Verdict(code, str(raw_code), str(value.get("ResultMessage") or "")[:_DETAIL_MAX], None)


def _number(transaction: dict[str, Any] | None, name: str) -> str | None:
    """An id of digits; 0 stands for "none"."""
    value = transaction.get(name) if transaction is not None else None
    return str(value) if whole_number(value) else None
