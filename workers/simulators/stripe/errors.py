"""Stripe's error bodies, to the letter where a client looks at them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from workers.simulators.stripe.tables import ADVICE, DECLINED_MESSAGE, MESSAGES, OWN_CODES


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer before it becomes bytes. `stored` says whether the idempotency key keeps it."""

    status: int
    body: Mapping[str, Any]
    stored: bool = True


def error(status: int, error_type: str, message: str, *, stored: bool = False, **fields: Any) -> Answer:
    """Refusals before the endpoint began to execute are not kept for the key: the same key may be used again."""
    return Answer(status, {"error": {**fields, "message": message, "type": error_type}}, stored)


def invalid(message: str, *, status: int = 400, **fields: Any) -> Answer:
    return error(status, "invalid_request_error", message, **fields)


def missing(what: str, ref: str, param: str, *, status: int = 400) -> Answer:
    """`No such ...`: 400 for a parameter, 404 for the object of the address."""
    return invalid(f"No such {what}: '{ref}'", status=status, code="resource_missing", param=param)


def unauthorized(key: str) -> Answer:
    if not key:
        return invalid("You did not provide an API key.", status=401)
    return invalid(f"Invalid API Key provided: {key[:3]}***{key[-4:]}", status=401)


def no_access(account: str) -> Answer:
    return invalid(
        f"The provided key 'sk_test_***' does not have access to account '{account}' (or that account does not "
        "exist). Application access may have been revoked.",
        status=403,
        code="account_invalid",
    )


def rate_limited() -> Answer:
    return invalid("Request rate limit exceeded.", status=429, code="rate_limit")


def internal(message: str = "Sorry! There was an error while talking to one of our backends.") -> Answer:
    """Stripe keeps a 500 for the key and replays it: the endpoint had begun to execute."""
    return error(500, "api_error", message, stored=True)


def key_in_use(key: str) -> Answer:
    return invalid(
        "There is currently another in-progress request using this Idempotent Key (that probably means you submitted "
        f"twice, and the other request is still going through): {key}. Please try again later.",
        status=409,
        code="idempotency_key_in_use",
    )


def key_mismatch(key: str) -> Answer:
    return error(
        400,
        "idempotency_error",
        "Keys for idempotent requests can only be used with the same parameters they were first used with. Try using "
        f"a key other than '{key}' if you meant to execute a different request.",
    )


def card_error(decline: str) -> dict[str, Any]:
    """The error of a refusal, also the intent's `last_payment_error`. `decline` is CODE or CODE/ADVICE."""
    code, _, advice = decline.partition("/")
    fields: dict[str, Any] = {
        "code": code if code in OWN_CODES else "card_declined",
        "decline_code": code,
        "doc_url": "https://docs.stripe.com/error-codes/card-declined",
        "message": MESSAGES.get(code, DECLINED_MESSAGE),
        "type": "card_error",
    }
    advice = advice or ADVICE.get(code, "")
    return {**fields, "advice_code": advice} if advice else fields


def debit_error(code: str) -> dict[str, Any]:
    """A bank's refusal days after the debit was accepted: the reason is the code itself."""
    return {"code": code, "message": "The customer's bank returned the debit.", "type": "invalid_request_error"}
