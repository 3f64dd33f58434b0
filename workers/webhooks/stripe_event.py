"""What is kept of an event of Stripe: ids and our own reference. Nothing that it holds of people is."""

from typing import Any, Final

import orjson

from shared.domain.words import ProcessorName
from shared.store.webhooks import Webhook

# What an event may be about, with the field that names the payment intent.
_CHARGE_OF: Final = {
    "payment_intent": "id",
    "charge": "payment_intent",
    "refund": "payment_intent",
    "dispute": "payment_intent",
}


def read_event(body: bytes) -> Webhook | None:
    """None if the body is no event of a connected account."""
    try:
        event = orjson.loads(body)
    except ValueError:
        return None
    data = _object(event, "data")
    about = _object(data, "object")
    if about is None or not all(_text(event, name) for name in ("id", "type", "account")):
        return None
    metadata = _object(about, "metadata") or {}
    return Webhook(
        processor=ProcessorName.STRIPE,
        event_id=event["id"],
        account=event["account"],
        type=event["type"],
        charge_ref=_text(about, _CHARGE_OF.get(_text(about, "object") or "", "")),
        reference=_text(metadata, "reference"),
    )


def _object(holder: Any, name: str) -> dict[str, Any] | None:
    found = holder.get(name) if isinstance(holder, dict) else None
    return found if isinstance(found, dict) else None


def _text(holder: dict[str, Any], name: str) -> str | None:
    found = holder.get(name)
    return found if isinstance(found, str) and found else None
