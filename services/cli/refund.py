"""`batchpay refund BATCH|PAYMENT`: gives settled money back, in full."""

from typing import Annotated, Final

import typer

from services.cli.giving_back import Wait, Way, What, give_back
from services.cli.printing import Json, Yes

_WAY: Final = Way(
    name="refund",
    of_batch="Refund every settled payment of {batch} ({count} payments), each in full?",
    of_payment="Refund the payment of {amount} for {invoice} in full?",
)


Reason = Annotated[
    str, typer.Option("--reason", help="Why, in at most 200 characters, for the practice's own records.")
]


def refund(what: What, *, reason: Reason = "", yes: Yes = False, wait: Wait = False, as_json: Json = False) -> None:
    """Ask for a refund of every settled payment of a batch, or of one payment. The processor's answers come later.

    Above the practice's refund limit nothing is sent before a second person approves.
    """
    give_back(what, _WAY, yes=yes, wait=wait, as_json=as_json, said={"reason": reason} if reason else None)
