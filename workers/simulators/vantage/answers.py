"""The JSON objects of ProtectPay answers, with exactly the types of the recorded ones (vantage-wire.md, section 2)."""

import json
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from workers.simulators.ledger import Entry
from workers.simulators.vantage.book import Outcome
from workers.simulators.vantage.tables import (
    DETAILED_REQUEST_CODES,
    PER_TRANSACTION_FEE_MINOR,
    RATE_PERCENT,
    SUCCESS_CODE,
    Switches,
    message,
)

_REQUEST_CODES = range(300, 400)
_NO_METHOD_CODES = frozenset({700})
_OK = {"ResultValue": "SUCCESS", "ResultCode": SUCCESS_CODE, "ResultMessage": ""}
_NOT_PRESENT = "NotPresent"


def result(code: int) -> dict[str, str]:
    if code == 0:
        return dict(_OK)
    return {"ResultValue": "FAILURE", "ResultCode": str(code), "ResultMessage": message(code)}


def charge_answer(outcome: Outcome, amount_minor: int, switches: Switches) -> bytes:
    if outcome.code == 0 and outcome.shown is not None:
        return encode({"Transaction": _sale(outcome.shown), "RequestResult": _OK})
    return refusal_answer("Transaction", outcome, amount_minor, switches)


def refusal_answer(key: str, outcome: Outcome, amount_minor: int, switches: Switches) -> bytes:
    """A refusal of a charge, void or refund in the shape that the switches choose."""
    code = outcome.code
    if code in _NO_METHOD_CODES or (code in _REQUEST_CODES and code not in DETAILED_REQUEST_CODES):
        return encode({key: None, "RequestResult": result(code)})
    mirrored = switches.decline_shape == "mirrored" or code in _REQUEST_CODES
    return encode(
        {
            key: _refused(outcome, amount_minor, result(code)),
            "RequestResult": result(code) if mirrored else _OK,
        }
    )


def pseudo_approval_answer(outcome: Outcome, amount_minor: int) -> bytes:
    """Listed as an approval, spelled as a success, and no money moves."""
    listed = {"ResultValue": "SUCCESS", "ResultCode": str(outcome.code), "ResultMessage": message(outcome.code)}
    transaction = _refused(outcome, amount_minor, listed)
    transaction["TransactionResult"] = "Success"
    return encode({"Transaction": transaction, "RequestResult": _OK})


def void_answer(charge: Entry) -> bytes:
    """The recorded form: history id 0, the original's number, no authorisation code, no fees."""
    transaction = _transaction(
        code=dict(_OK), history="0", number=charge.processor_ref, outcome="Success", converted_minor=0
    )
    return encode(
        {"Transaction": {**transaction, "CurrencyConvertedCurrencyCode": "Unsupported"}, "RequestResult": _OK}
    )


def refund_answer(entry: Entry) -> bytes:
    transaction = _transaction(
        code=dict(_OK),
        history=entry.history_ref,
        number=entry.processor_ref,
        outcome="Success",
        converted_minor=entry.amount_minor,
    )
    return encode({"TransactionDetail": transaction, "RequestResult": _OK})


def encode(answer: Any) -> bytes:
    return json.dumps(answer, separators=(",", ":")).encode()


def fee_minor(gross_minor: int) -> int:
    """Per-transaction fee plus the rate's share, rounded to the nearest cent."""
    share = (gross_minor * Decimal(RATE_PERCENT) / 100).quantize(Decimal(1), ROUND_HALF_UP)
    return PER_TRANSACTION_FEE_MINOR + int(share)


def _sale(entry: Entry) -> dict[str, Any]:
    fee = fee_minor(entry.amount_minor)
    transaction = _transaction(
        code=dict(_OK),
        history=entry.history_ref,
        number=entry.processor_ref,
        outcome="Success",
        converted_minor=entry.amount_minor,
    )
    transaction.update(
        AVSCode="T",
        AuthorizationCode="A11111",
        GrossAmt=entry.amount_minor,
        NetAmt=entry.amount_minor - fee,
        PerTransFee=PER_TRANSACTION_FEE_MINOR,
        Rate=float(RATE_PERCENT),
        GrossAmtLessNetAmt=fee,
    )
    return transaction


def _refused(outcome: Outcome, amount_minor: int, code: dict[str, str]) -> dict[str, Any]:
    shown = outcome.shown
    transaction = _transaction(
        code=code,
        history=outcome.history_ref,
        number=shown.processor_ref if shown is not None else "0",
        outcome="Declined",
        converted_minor=amount_minor,
    )
    transaction["AuthorizationCode"] = ""
    return transaction


def _transaction(
    *, code: dict[str, str], history: str, number: str, outcome: str, converted_minor: int
) -> dict[str, Any]:
    return {
        "AVSCode": _NOT_PRESENT,
        "AuthorizationCode": None,
        "CurrencyConversionRate": 1.0,
        "CurrencyConvertedAmount": converted_minor,
        "CurrencyConvertedCurrencyCode": "USD",
        "ResultCode": code,
        "TransactionHistoryId": history,
        "TransactionId": number,
        "TransactionResult": outcome,
        "CVVResponseCode": _NOT_PRESENT,
        "GrossAmt": None,
        "NetAmt": None,
        "PerTransFee": None,
        "Rate": None,
        "GrossAmtLessNetAmt": None,
    }
