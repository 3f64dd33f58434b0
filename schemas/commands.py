"""Commands: imperative, one receiver, ids only. On the wire each is a Dramatiq message with one argument list.

A command is only a hint to look at a row in PostgreSQL: lost, repeated and reordered commands change nothing.
"""

from typing import Final

# Queue names carry the message version; actor names never change, or a rolling deploy would dead-letter messages.
CHARGE_QUEUES: Final = {"vantage": "charge.vantage.v1", "stripe": "charge.stripe.v1"}
CHARGE_ACTORS: Final = {"vantage": "charge_vantage", "stripe": "charge_stripe"}
VOID_QUEUE: Final = "void.v1"
VOID_ACTOR: Final = "void"
REFUND_QUEUE: Final = "refund.v1"
REFUND_ACTOR: Final = "refund"
