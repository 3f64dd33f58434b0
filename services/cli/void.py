"""`batchpay void BATCH|PAYMENT`: gives back what can still be given back before it settles."""

from typing import Final

from services.cli.giving_back import Wait, Way, What, give_back
from services.cli.printing import Json, Yes

_WAY: Final = Way(
    name="void",
    of_batch="Void all that can still be voided of {batch} ({count} payments)?",
    of_payment="Void the payment of {amount} for {invoice}?",
)


def void(what: What, *, yes: Yes = False, wait: Wait = False, as_json: Json = False) -> None:
    """Ask for a void of a whole batch or of one payment. The processor's own answers come later: see the report."""
    give_back(what, _WAY, yes=yes, wait=wait, as_json=as_json)
