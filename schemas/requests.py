"""Batch requests over AMQP, and their answers.

An upstream app publishes a request to the exchange `batchpay.requests`. The answer goes to the queue in `reply_to` with
the request's `correlation_id`, and to everybody who listens to the practice's events. Neither holds a client's name or
a typed payment number: a fault quotes what was sent only where that is an id or a figure.
"""

from typing import Annotated, Final, Literal
from uuid import UUID

from pydantic import AwareDatetime, Field

from schemas.events import AmountMinor, Message
from schemas.http.base import Fault, Text
from schemas.http.batches import SubmitRequest

REQUESTS_EXCHANGE: Final = "batchpay.requests"
# The version is in the name: a second version has a queue of its own, and both are served for a while.
SUBMIT_QUEUE: Final = "submit.v1"
SUBMIT_KEY: Final = "submit.v1"
# 50,000 invoice ids of 60 characters are 3 MB.
MOST_REQUEST_BYTES: Final = 4 * 1024 * 1024
# Every fault of 50,000 invoices would be a message that no broker likes; a thousand show what is wrong.
MOST_FAULTS: Final = 1_000

IdempotencyKey = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[\x21-\x7e]+$")]


class BatchRequest(SubmitRequest):
    """A batch request: a submit of the HTTP interface with what HTTP has in its headers.

    The same `idempotency_key` with the same request is the same batch, whichever door it comes through.
    """

    schema_version: Literal[1] = 1
    practice: Annotated[Text, Field(min_length=1, max_length=200, description="Must be the token's practice.")]
    idempotency_key: IdempotencyKey
    token: Annotated[str, Field(max_length=8_192)] | None = Field(
        default=None, description="A JWT as for HTTP. May be in the message header `authorization` instead."
    )

    def submit_request(self) -> SubmitRequest:
        """What HTTP would have in its body."""
        return SubmitRequest(**{name: getattr(self, name) for name in SubmitRequest.model_fields})


class RequestAnswer(Message):
    """What became of a batch request. `batch_id` is set unless it was rejected; nothing was saved if it was."""

    schema_version: Literal[1] = 1
    event_id: str
    type: Literal["request.accepted", "request.rejected"]
    occurred_at: AwareDatetime
    practice_id: str | None = Field(description="Null if no token told it.")
    idempotency_key: str | None
    correlation_id: str | None
    outcome: Literal["submitted", "waiting_for_approval", "rejected"] = Field(
        description="`waiting_for_approval`: above the practice's ceiling; nothing is charged until a second person"
        " approves."
    )
    batch_id: UUID | None = None
    batch_number: str | None = None
    count: int | None = None
    total_minor: AmountMinor | None = None
    currency: str | None = None
    code: str | None = Field(default=None, description="Why it was rejected, as a stable word.")
    detail: str | None = None
    faults: int = Field(default=0, description="How many faults there are; `errors` lists the first thousand.")
    errors: list[Fault] = Field(default_factory=list)
