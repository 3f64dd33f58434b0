"""What Stripe's answers mean, as pure functions of their JSON. The table is in the design's page on processors.

Whatever is not recognised with certainty is `Unknown` (a charge) or `Seen.OTHER` (a lookup).
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TypeGuard

from shared.domain.declines import Decline, NeutralCode
from workers.processors.port import (
    Blame,
    ChargeAnswer,
    Declined,
    NotExecuted,
    Processing,
    RefundAnswer,
    RefundConfirmed,
    RefundDenied,
    RefundRefused,
    Seen,
    Settled,
    Sighting,
    Unknown,
)
from workers.processors.stripe.codes import (
    MERCHANT_CODES,
    METHOD_CODES,
    METHOD_PARAMETERS,
    REFUND_DENIALS,
    REFUND_REFUSALS,
    decline,
)

Json = Mapping[str, object]

# Details are for people and logs; Stripe's messages are one sentence.
MAX_DETAIL = 300
# Without a Retry-After header: the account rests this long, and its payments wait instead of being refused one by one.
RATE_LIMIT_PAUSE = timedelta(seconds=1)
# Stripe asks for seconds. Longer would hold a batch back because of one odd header.
MAX_RETRY_AFTER = timedelta(minutes=10)
# A bank account that must be verified with microdeposits is not refused: the payment goes on when the client does it.
GOES_ON_LATER = frozenset({"verify_with_microdeposits"})
MONEY_STATUSES = frozenset({"succeeded", "processing", "requires_capture"})


def of_intent(intent: object, request: Json) -> ChargeAnswer:
    """A 200 to the frozen request. It speaks for us only if it is our payment intent, with our amount."""
    params = request["params"]
    assert is_object(params)
    if not is_object(intent) or intent.get("object") != "payment_intent":
        return Unknown(code="not_a_payment_intent", detail=_short(repr(intent)))
    ref = _text(intent, "id")
    same = (intent.get("amount"), intent.get("currency")) == (params["amount"], params["currency"])
    if not ref or not same or reference_of(intent) != request["idempotency_key"]:
        return Unknown(code="answer_for_another_charge", detail=_short(f"{ref}: amount, currency or reference differ"))
    match _text(intent, "status"):
        case "succeeded" if intent.get("amount_received") == params["amount"]:
            return Settled(processor_ref=ref)
        case "processing":
            return Processing(processor_ref=ref)
        case "requires_action" if _next_action(intent) not in GOES_ON_LATER:
            return Declined(decline=_client_must_confirm(), processor_ref=ref)
        case status:
            return Unknown(code=f"status_{status}", detail=ref)


def of_refusal(status: int, body: object, headers: Mapping[str, str]) -> ChargeAnswer:
    """An HTTP error. Only Stripe's own error object makes it definite: a proxy's 404 page says nothing about Stripe."""
    error = body.get("error") if is_object(body) else None
    if not is_object(error):
        return Unknown(code=f"http_{status}", detail="no error object in the answer")
    code = _text(error, "code") or _text(error, "type") or f"http_{status}"
    detail = _short(f"{_text(error, 'message')} {headers.get('request-id', '')}")
    if _text(error, "type") == "idempotency_error":
        # A request of ours that differs from the first one under its key: a bug, and the first one may have charged.
        return Unknown(code=code, detail=detail, review=True)
    # Rate limits were 400 with this code once, and the SDK still reads them so.
    if status == 429 or (status == 400 and code == "rate_limit"):
        return NotExecuted(code=code, blame=Blame.NOTHING, detail=detail, retry_after=_retry_after(headers))
    return _by_status(status, error, code, detail)


def of_refund(refund: object, request: Json) -> RefundAnswer:
    """A 200 to the frozen refund. A pending one is on its way; should it fail, a webhook says so."""
    params = request["params"]
    assert is_object(params)
    if not is_object(refund) or refund.get("object") != "refund":
        return Unknown(code="not_a_refund", detail=_short(repr(refund)))
    ref = _text(refund, "id")
    same = (refund.get("amount"), refund.get("payment_intent")) == (params["amount"], params["payment_intent"])
    if not ref or not same or reference_of(refund) != request["idempotency_key"]:
        return Unknown(code="answer_for_another_refund", detail=_short(f"{ref}: amount, charge or reference differ"))
    match _text(refund, "status"):
        case "succeeded" | "pending":
            return RefundConfirmed(processor_ref=ref)
        case "failed" | "canceled" as status:
            return RefundRefused(code=f"status_{status}", detail=ref)
        case status:
            return Unknown(code=f"status_{status}", detail=ref)


def of_refund_refusal(status: int, body: object, headers: Mapping[str, str]) -> RefundAnswer:
    """An HTTP error to a refund: what is special to refunds, then what is true of any request."""
    refusal = of_refusal(status, body, headers)
    if isinstance(refusal, NotExecuted):
        if refusal.code in REFUND_DENIALS:
            return RefundDenied(code=refusal.code, denial=REFUND_DENIALS[refusal.code], detail=refusal.detail)
        if refusal.code in REFUND_REFUSALS:
            return RefundRefused(code=refusal.code, detail=refusal.detail)
        return refusal
    return refusal if isinstance(refusal, Unknown) else Unknown(code=f"http_{status}", detail="no answer to a refund")


def sighting_of(intent: Json, detail: str = "") -> Sighting:
    """A payment intent as it stands, with `latest_charge` expanded (a refund or dispute shows only there)."""
    seen, refused, note = _standing(intent)
    amount = intent.get("amount")
    return Sighting(
        seen=seen,
        reference=reference_of(intent),
        processor_ref=_text(intent, "id"),
        history_ref=None,
        amount_minor=amount if isinstance(amount, int) else 0,
        decline=refused,
        detail="; ".join(filter(None, (note, detail))),
    )


def reference_of(shown: Json) -> str:
    """Our reference in what Stripe shows."""
    metadata = shown.get("metadata")
    return _text(metadata, "reference") if is_object(metadata) else ""


def answered_at(headers: Mapping[str, str]) -> datetime | None:
    """Stripe's own clock when it answered."""
    try:
        moment = parsedate_to_datetime(headers.get("date", ""))
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def is_object(value: object) -> TypeGuard[Json]:
    return isinstance(value, Mapping)


def _by_status(status: int, error: Json, code: str, detail: str) -> ChargeAnswer:
    match status:
        case 402:
            return _of_card_error(error, detail)
        case 401 | 403:
            return NotExecuted(code=code, blame=Blame.MERCHANT, detail=detail)
        case 400 | 404:
            return NotExecuted(code=code, blame=_blame(error, code), detail=detail)
        # 409: the first send under this key is still being worked on.
        case _:
            return Unknown(code=code if status == 409 else f"http_{status}", detail=detail)


def _of_card_error(error: Json, detail: str) -> ChargeAnswer:
    """402 is definite for this key, unless it contradicts itself by showing money."""
    intent = error.get("payment_intent")
    status = _text(intent, "status") if is_object(intent) else ""
    if _text(error, "type") != "card_error" or status in MONEY_STATUSES:
        return Unknown(code="http_402", detail=detail)
    ref = _text(intent, "id") if is_object(intent) else ""
    return Declined(decline=decline(error), processor_ref=ref or None)


def _blame(error: Json, code: str) -> Blame:
    if code in METHOD_CODES or (code == "resource_missing" and error.get("param") in METHOD_PARAMETERS):
        return Blame.METHOD
    return Blame.MERCHANT if code in MERCHANT_CODES else Blame.US


def _standing(intent: Json) -> tuple[Seen, Decline | None, str]:
    error = intent.get("last_payment_error")
    match _text(intent, "status"):
        case "succeeded":
            return _of_charge(intent.get("latest_charge"))
        case "processing":
            return Seen.PROCESSING, None, ""
        case "requires_payment_method" if is_object(error):
            return Seen.DECLINED, decline(error), ""
        case "requires_action" if _next_action(intent) not in GOES_ON_LATER:
            return Seen.DECLINED, _client_must_confirm(), ""
        # Canceled is final: no money can move under it any more. We never cancel, so somebody did it outside, after
        # a refusal (that refusal is the reason then) or before any.
        case "canceled":
            return Seen.DECLINED, decline(error) if is_object(error) else _canceled(intent), "canceled at Stripe"
        case status:
            return Seen.OTHER, None, f"status {status or 'missing'}"


def _of_charge(charge: object) -> tuple[Seen, Decline | None, str]:
    if not is_object(charge):
        return Seen.OTHER, None, "succeeded without its charge"
    amount, refunded = charge.get("amount"), charge.get("amount_refunded")
    # Exactly: truth is a whole number to Python.
    if type(amount) is not int or type(refunded) is not int:
        return Seen.OTHER, None, "its charge shows no amounts"
    note = "disputed" if charge.get("disputed") is True else ""
    if refunded >= amount:
        return Seen.REFUNDED, None, note
    partly = f"refunded in part: {refunded} of {amount}" if refunded else ""
    return Seen.SETTLED, None, "; ".join(filter(None, (partly, note)))


def _canceled(intent: Json) -> Decline:
    reason = _text(intent, "cancellation_reason") or "unknown"
    return Decline(code=NeutralCode.DECLINED, raw_code=f"canceled:{reason}")


def _client_must_confirm() -> Decline:
    return Decline(code=NeutralCode.CLIENT_MUST_CONFIRM, raw_code="requires_action")


def _next_action(intent: Json) -> str:
    action = intent.get("next_action")
    return _text(action, "type") if is_object(action) else ""


def _retry_after(headers: Mapping[str, str]) -> timedelta:
    seconds = headers.get("retry-after", "")
    if not (seconds.isascii() and seconds.isdigit()):
        return RATE_LIMIT_PAUSE
    return min(timedelta(seconds=int(seconds[:9])), MAX_RETRY_AFTER)


def _short(text: str) -> str:
    return text.strip()[:MAX_DETAIL]


def _text(value: Json, name: str) -> str:
    found = value.get(name)
    return found if isinstance(found, str) else ""
