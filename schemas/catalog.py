"""Every message that crosses a process boundary over RabbitMQ: who sends it, where to, and who takes it."""

from dataclasses import dataclass
from typing import Final, Literal

from pydantic import BaseModel

from schemas.commands import (
    AGGREGATOR_QUEUE,
    CHARGE_QUEUES,
    FIRST_CHARGE_QUEUES,
    REFUND_QUEUE,
    VOID_QUEUE,
    Command,
    Count,
)
from schemas.events import EVENTS_EXCHANGE, BatchEvent, FindingEvent, InvoiceEvent, PaymentEvent
from schemas.requests import REQUESTS_EXCHANGE, SUBMIT_KEY, BatchRequest, RequestAnswer

DIRECT: Final = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One message. `key` is its routing key; at the default exchange that is the queue's name.

    `{...}` in a key stands for one of several words. `ours` says whether we send it: then receivers outside rely on all
    that it promises; else we must go on taking what senders outside were promised.
    """

    name: str
    model: type[BaseModel]
    exchange: str
    key: str
    sender: str
    receiver: str
    summary: str
    version: int = 1
    ours: bool = True

    @property
    def file(self) -> str:
        return f"{self.name}.v{self.version}.json"

    @property
    def mode(self) -> Literal["serialization", "validation"]:
        """How pydantic describes it: as it leaves, or as it is taken."""
        return "serialization" if self.ours else "validation"


def _command(name: str, queue: str, receiver: str, summary: str, *, model: type[BaseModel] = Command) -> Entry:
    return Entry(
        name=name,
        model=model,
        exchange=DIRECT,
        key=queue,
        sender="services/relay",
        receiver=receiver,
        summary=f"{summary} Only a hint: the row in PostgreSQL says what is to be done.",
    )


def _event(name: str, model: type[BaseModel], key: str, sender: str, summary: str) -> Entry:
    return Entry(
        name=name,
        model=model,
        exchange=EVENTS_EXCHANGE,
        key=key,
        sender=sender,
        receiver="upstream apps",
        summary=summary,
    )


CATALOG: Final = (
    _command("charge_vantage", CHARGE_QUEUES["vantage"], "workers/charge", "Look at a payment of Vantage."),
    _command("charge_stripe", CHARGE_QUEUES["stripe"], "workers/charge", "Look at a payment of Stripe."),
    _command(
        "charge_vantage_first",
        FIRST_CHARGE_QUEUES["vantage"],
        "workers/charge",
        "Look at a payment of Vantage that is among the first of its batch.",
    ),
    _command(
        "charge_stripe_first",
        FIRST_CHARGE_QUEUES["stripe"],
        "workers/charge",
        "Look at a payment of Stripe that is among the first of its batch.",
    ),
    _command("void", VOID_QUEUE, "workers/voids", "Look at a payment whose void was asked for."),
    _command("refund", REFUND_QUEUE, "workers/voids", "Look at a payment whose refund was asked for."),
    _command("count", AGGREGATOR_QUEUE, "services/aggregator", "Count the payments of a batch anew.", model=Count),
    _event("payment_event", PaymentEvent, "payment.{step}", "workers/*", "A payment took a step."),
    _event("invoice_event", InvoiceEvent, "invoice.{step}", "workers/*", "An invoice was paid, or is owed again."),
    _event("batch_event", BatchEvent, "batch.{step}", "services/aggregator", "A batch's status or counts changed."),
    _event("finding_event", FindingEvent, "finding.opened", "workers/janitor", "Something is out of order."),
    _event("request_event", RequestAnswer, "request.{outcome}", "services/submit", "A batch request was answered."),
    Entry(
        name="batch_request",
        model=BatchRequest,
        exchange=REQUESTS_EXCHANGE,
        key=SUBMIT_KEY,
        sender="upstream apps",
        receiver="services/submit",
        summary="Submit a batch.",
        ours=False,
    ),
    Entry(
        name="batch_answer",
        model=RequestAnswer,
        exchange=DIRECT,
        key="{reply_to}",
        sender="services/submit",
        receiver="whoever sent the request",
        summary="The answer to a batch request, with its `correlation_id`.",
    ),
)
