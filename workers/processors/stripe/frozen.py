"""Stripe's frozen requests, and what each answer to them means."""

from collections.abc import Mapping
from typing import Any

import orjson

from workers.processors.connection import Answer, Trouble
from workers.processors.port import Blame, ChargeAnswer, NotExecuted, RefundAnswer, Unknown
from workers.processors.stripe.answers import Json, of_intent, of_refund, of_refund_refusal, of_refusal

CHARGED = frozenset({"amount", "currency", "customer", "payment_method"})
REFUNDED = frozenset({"amount", "payment_intent"})


def canonical(request: Mapping[str, object]) -> str:
    return orjson.dumps(request, option=orjson.OPT_SORT_KEYS).decode()


def thaw(request_text: str, needed: frozenset[str]) -> dict[str, Any] | None:
    """The frozen request, or None: without its key or account it must not leave."""
    try:
        request = orjson.loads(request_text)
    except ValueError:
        return None
    if not isinstance(request, dict) or not isinstance(request.get("params"), dict):
        return None
    whole = request.get("account") and request.get("idempotency_key") and request["params"].keys() >= needed
    return request if whole else None


def judge_charge(answer: Answer | Trouble, request: Json) -> ChargeAnswer:
    match answer:
        case Trouble():
            return _no_answer(answer)
        case Answer() if 200 <= answer.status < 300 and (intent := _json(answer.body)) is not None:
            return of_intent(intent, request)
        case Answer():
            return of_refusal(answer.status, _json(answer.body), answer.headers)


def judge_refund(answer: Answer | Trouble, request: Json) -> RefundAnswer:
    match answer:
        case Trouble():
            return _no_answer(answer)
        case Answer() if 200 <= answer.status < 300 and (refund := _json(answer.body)) is not None:
            return of_refund(refund, request)
        case Answer():
            return of_refund_refusal(answer.status, _json(answer.body), answer.headers)


def _no_answer(trouble: Trouble) -> NotExecuted | Unknown:
    if trouble.sent:
        return Unknown(code=trouble.code, detail=trouble.detail)
    return NotExecuted(code=trouble.code, blame=Blame.NOTHING, detail=trouble.detail)


def not_ours(what: str) -> NotExecuted:
    return NotExecuted(code="not_our_request", blame=Blame.US, detail=f"the stored text is no frozen {what}")


def _json(body: bytes) -> object:
    """None for what is no JSON: no table knows it, so it stays unknown."""
    try:
        return orjson.loads(body)
    except ValueError:
        return None
