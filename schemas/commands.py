"""Commands: imperative, one receiver, ids only. Those for workers are Dramatiq messages with one argument list.

A command is only a hint to look at rows in PostgreSQL: lost, repeated and reordered commands change nothing.
"""

from typing import Annotated, Any, Final
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

# Queue names carry the message version; actor names never change, or a rolling deploy would dead-letter messages.
CHARGE_QUEUES: Final = {"vantage": "charge.vantage.v1", "stripe": "charge.stripe.v1"}
CHARGE_ACTORS: Final = {"vantage": "charge_vantage", "stripe": "charge_stripe"}
# The first few hints of a batch, which workers put before the others: a small batch is all first hints.
FIRST_CHARGE_QUEUES: Final = {"vantage": "charge.vantage.first.v1", "stripe": "charge.stripe.first.v1"}
FIRST_CHARGE_ACTORS: Final = {"vantage": "charge_vantage_first", "stripe": "charge_stripe_first"}
VOID_QUEUE: Final = "void.v1"
VOID_ACTOR: Final = "void"
REFUND_QUEUE: Final = "refund.v1"
REFUND_ACTOR: Final = "refund"
AGGREGATOR_QUEUE: Final = "aggregator.v1"


class Command(BaseModel):
    """A command as it is on the wire: Dramatiq's envelope around one argument, the id of the payment to look at."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    queue_name: str
    actor_name: str
    args: tuple[Annotated[UUID, Field(description="The payment.")]]
    kwargs: Annotated[dict[str, Any], Field(max_length=0)]
    options: dict[str, Any]
    message_id: str
    message_timestamp: Annotated[int, Field(description="Milliseconds since 1970.")]


class Count(BaseModel):
    """Count the payments of a batch anew: one for all that took a step since the last one.

    The aggregator reads no more of a message than `batch_id`, which every event of a payment has as well.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    batch_id: UUID
