"""Where Stripe posts its events. They are kept once and answered at once; the janitor looks at what they are about."""

from datetime import UTC, datetime
from typing import Annotated, Any, Final

import orjson
import structlog
from fastapi import APIRouter, Header, Request, Response

from services.submit.caller import Pool
from services.submit.problems import ProblemError
from services.submit.stripe_signature import is_signed
from shared.domain.words import ProcessorName
from shared.settings import SubmitSettings
from shared.store import webhooks
from shared.store.webhooks import Webhook

_log = structlog.get_logger()
# What an event may be about, with the field that names the payment intent.
_CHARGE_OF: Final = {
    "payment_intent": "id",
    "charge": "payment_intent",
    "refund": "payment_intent",
    "dispute": "payment_intent",
}


def router_of(settings: SubmitSettings) -> APIRouter:
    """The route, which refuses everything while no secret is set."""
    router = APIRouter(prefix="/webhooks", include_in_schema=False)
    secret = settings.stripe_webhook_secret.get_secret_value() if settings.stripe_webhook_secret else None

    @router.post("/stripe", status_code=204)
    async def take(
        request: Request, pool: Pool, signature: Annotated[str, Header(alias="Stripe-Signature", max_length=2000)] = ""
    ) -> Response:
        body = await request.body()
        if secret is None or not is_signed(body, signature, secret=secret, now=datetime.now(UTC)):
            raise ProblemError(400, "signature_refused", "The signature is missing, wrong or too old.")
        webhook = read_event(body)
        if webhook is None:
            raise ProblemError(400, "not_an_event", "The body is no event of a connected account.")
        async with pool.connection() as connection:
            is_new = await webhooks.keep(connection, webhook)
        _log.info("webhook_received", type=webhook.type, webhook=webhook.event_id, is_new=is_new)
        return Response(status_code=204)

    return router


def read_event(body: bytes) -> Webhook | None:
    """What is kept of an event: ids and our own reference. Nothing that it holds of people is."""
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
