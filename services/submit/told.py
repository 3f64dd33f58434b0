"""What webhooks are sent, for the OpenAPI document: requests that we make, so none of these is ever called here."""

from typing import Annotated

from fastapi import APIRouter, Header

from schemas.events import BatchEvent, FindingEvent, InvoiceEvent, PaymentEvent, WebhookTest
from schemas.requests import RequestAnswer

requests = APIRouter(
    tags=["webhooks"],
    responses={
        "2XX": {"description": "You have it."},
        "4XX": {"description": "You do not have it, and it is sent again; 410 ends the subscription."},
    },
)

Id = Annotated[str, Header(alias="webhook-id", description="The same whenever this event is sent.")]
Sent = Annotated[int, Header(alias="webhook-timestamp", description="When it was sent, in seconds since 1970.")]
Signature = Annotated[str, Header(alias="webhook-signature", description="`v1,…`, one for each valid secret.")]


@requests.post("batch", status_code=204)
async def batch_event(body: BatchEvent, name: Id, sent: Sent, signature: Signature) -> None:
    """A batch's status or counts changed."""


@requests.post("finding", status_code=204)
async def finding_event(body: FindingEvent, name: Id, sent: Sent, signature: Signature) -> None:
    """Something is out of order between us and the processor."""


@requests.post("invoice", status_code=204)
async def invoice_event(body: InvoiceEvent, name: Id, sent: Sent, signature: Signature) -> None:
    """An invoice was paid, or is owed again."""


@requests.post("payment", status_code=204)
async def payment_event(body: PaymentEvent, name: Id, sent: Sent, signature: Signature) -> None:
    """A payment took a step."""


@requests.post("request", status_code=204)
async def request_event(body: RequestAnswer, name: Id, sent: Sent, signature: Signature) -> None:
    """A batch request that came over AMQP was answered."""


@requests.post("test", status_code=204)
async def test_event(body: WebhookTest, name: Id, sent: Sent, signature: Signature) -> None:
    """Somebody asked for a test."""
