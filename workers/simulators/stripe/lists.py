"""The simulated Stripe's lists over a whole account: refunds and disputes by their time of creation."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web

from workers.simulators.ledger import Entry, Move
from workers.simulators.stripe.errors import Answer, missing
from workers.simulators.stripe.objects import created_of, dispute_of, list_of, refund_of
from workers.simulators.stripe.wire import Caller, Wire
from workers.simulators.vault import Method

DEFAULT_ROWS = 10


async def list_disputes(wire: Wire, request: web.Request, caller: Caller) -> web.StreamResponse:
    behaviour = wire.core.vault.take("lookup", Method(caller.account, "", ""))

    def shown(dispute: Entry) -> dict[str, Any]:
        charge = wire.book.find(caller.account, dispute.parent_ref)
        assert charge is not None, "a dispute has its charge"
        return dispute_of(dispute, charge)

    return await wire.perform(
        request,
        caller,
        behaviour,
        lambda: _listed(wire, caller.account, caller.form, kind=Move.CHARGEBACK, shown=shown, url=request.path),
    )


def refunds_of_account(wire: Wire, account: str, query: Mapping[str, str], path: str) -> Answer:
    return _listed(wire, account, query, kind=Move.REFUND, shown=refund_of, url=path)


def within(query: Mapping[str, str], entry: Entry) -> bool:
    """Whether an entry was made in the span of time that a list asks for."""
    since = max(float(query.get("created[gte]", 0)), float(query.get("created[gt]", -1)) + 1)
    until = min(float(query.get("created[lte]", math.inf)), float(query.get("created[lt]", math.inf)) - 1)
    return since <= created_of(entry) <= until


def after(listed: list[Entry], query: Mapping[str, str]) -> list[Entry] | None:
    """What follows the entry that the page before ended with; None if that is not in the list."""
    last = query.get("starting_after")
    if last is None:
        return listed
    places = [place for place, entry in enumerate(listed) if entry.processor_ref == last]
    return listed[places[0] + 1 :] if places else None


def _listed(
    wire: Wire,
    account: str,
    query: Mapping[str, str],
    *,
    kind: Move,
    shown: Callable[[Entry], dict[str, Any]],
    url: str,
) -> Answer:
    """Newest first, as Stripe lists everything."""
    intent = query.get("payment_intent")
    listed = [
        entry
        for entry in list(wire.core.ledger)[::-1]
        if entry.kind is kind
        and entry.account == account
        and within(query, entry)
        and intent in {None, entry.parent_ref}
    ]
    found = after(listed, query)
    if found is None:
        return missing(kind.value, query["starting_after"], "starting_after")
    limit = int(query.get("limit", DEFAULT_ROWS))
    return Answer(200, list_of([shown(entry) for entry in found[:limit]], more=len(found) > limit, url=url))
