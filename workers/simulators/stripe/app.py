"""A simulated Stripe: the wire is in wire.py, what it asks in routes.py, the money in book.py, keys in idempotency.py.

Out-of-band events (POST /_control/faults), each with `account`, and `payment_intent` or the charge's `reference`:

| event | more | effect |
|---|---|---|
| webhooks | url, secret | signed events go there from now on; an empty url stops them |
| redeliver | | every event again, newest first |
| deauthorize, authorize | | the practice revokes or gives back our access: 403 |
| charge | amount_minor, reference | somebody charges without us; it bears the reference, or none |
| funds | amount_minor | the account's balance, against which refunds are made from now on |
| refund | amount_minor | somebody refunds in the dashboard |
| refund_failed | refund | the bank sends the money back |
| dispute, dispute_closed | won | a chargeback comes, and ends |
| cancel | | somebody cancels an unfinished payment intent |
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from aiohttp import web

from shared.domain.words import ProcessorName
from workers.simulators import control
from workers.simulators.core import Core
from workers.simulators.ledger import Entry, Move
from workers.simulators.stripe.book import Book, Wanted
from workers.simulators.stripe.idempotency import LIFETIME, Keys
from workers.simulators.stripe.lists import list_disputes
from workers.simulators.stripe.objects import dispute_of, intent_of, refund_of
from workers.simulators.stripe.routes import (
    charged,
    create_intent,
    create_refund,
    get_charge,
    get_intent,
    get_method,
    get_refund,
    list_intents,
    list_refunds,
)
from workers.simulators.stripe.webhooks import Webhooks
from workers.simulators.stripe.wire import Caller, Wire

_Route = Callable[[Wire, web.Request, Caller], Awaitable[web.StreamResponse]]
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

# Tests reach clock, vault and ledger of an application in their own process through it.
CORE = web.AppKey("core", Core)

_ROUTES: tuple[tuple[str, str, _Route], ...] = (
    ("POST", "/v1/payment_intents", create_intent),
    ("GET", "/v1/payment_intents", list_intents),
    ("GET", "/v1/payment_intents/{ref}", get_intent),
    ("POST", "/v1/refunds", create_refund),
    ("GET", "/v1/refunds", list_refunds),
    ("GET", "/v1/refunds/{ref}", get_refund),
    ("GET", "/v1/charges/{ref}", get_charge),
    ("GET", "/v1/disputes", list_disputes),
    ("GET", "/v1/payment_methods/{ref}", get_method),
)


def build(*, vault: Path | None = None, state: Path | None = None) -> web.Application:
    """The whole simulator as one application, with what the state file remembers."""
    core = Core.with_state("stripe", state)
    if vault is not None:
        core.vault.load(vault, ProcessorName.STRIPE)
    keys = Keys(core.clock, core.journal)
    webhooks = Webhooks(core.clock)
    book = Book(core, webhooks.announce)
    wire = Wire(core, keys, book)

    def forget() -> None:
        keys.clear()
        book.clear()
        webhooks.clear()
        wire.refused_accounts.clear()

    core.on_reset = forget
    core.faults = lambda event: _happen(wire, webhooks, event)
    core.open({"kept": keys.restore})
    book.restore()
    _keep_forgotten(core, keys)
    return _application(wire, webhooks)


def _application(wire: Wire, webhooks: Webhooks) -> web.Application:
    app = web.Application()
    app[CORE] = wire.core
    control.mount(app, wire.core)
    for method, path, route in _ROUTES:
        app.router.add_route(method, path, _bind(wire, route))

    async def close(_app: web.Application) -> None:
        await webhooks.close()
        wire.core.journal.close()

    app.on_cleanup.append(close)
    return app


def _bind(wire: Wire, route: _Route) -> _Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        entered = await wire.enter(request)
        return entered if isinstance(entered, web.Response) else await route(wire, request, entered)

    return handler


def _keep_forgotten(core: Core, keys: Keys) -> None:
    """A kill between booking a charge and keeping its key must not free the key: that would charge again."""
    for entry in list(core.ledger):
        slot = (entry.account, entry.reference)
        young = entry.executed_at > core.clock.now() - LIFETIME
        if entry.kind is Move.CHARGE and entry.reference and young and keys.find(slot) is None:
            answer = charged(entry)
            body = json.dumps(answer.body).encode()
            keys.keep(slot, entry.details["fingerprint"], answer.status, body, since=entry.executed_at)


def _happen(wire: Wire, webhooks: Webhooks, event: Mapping[str, Any]) -> Mapping[str, Any]:
    match event["event"]:
        case "webhooks":
            webhooks.receiver(event["url"], event["secret"])
        case "redeliver":
            return {"events": webhooks.redeliver()}
        case "deauthorize":
            wire.refused_accounts.add(event["account"])
        case "authorize":
            wire.refused_accounts.discard(event["account"])
        case "charge":
            return intent_of(wire.book.charge(_outside(event)))
        case "funds":
            wire.book.funds_minor[event["account"]] = int(event["amount_minor"])
        case "refund_failed":
            refund = wire.book.find(event["account"], event["refund"])
            if refund is None:
                raise ValueError(f"no refund {event['refund']!r}")
            wire.book.fail_refund(refund)
        case _:
            return _happen_to_charge(wire.book, _charge(wire, event), event)
    return {"event": event["event"]}


def _outside(event: Mapping[str, Any]) -> Wanted:
    reference = str(event.get("reference", ""))
    return Wanted(
        account=event["account"],
        reference=reference,
        fingerprint="",
        customer="cus_outside",
        token="pm_card_visa",  # noqa: S106 - Stripe's public test card
        amount_minor=int(event["amount_minor"]),
        currency="usd",
        types=["card"],
        metadata={"reference": reference} if reference else {},
    )


def _happen_to_charge(book: Book, charge: Entry, event: Mapping[str, Any]) -> Mapping[str, Any]:
    match event["event"]:
        case "refund":
            amount_minor = int(event.get("amount_minor", book.refundable_minor(charge)))
            return refund_of(book.refund(charge, amount_minor, reference="", metadata={}))
        case "dispute":
            return dispute_of(book.dispute(charge), charge)
        case "dispute_closed":
            book.close_dispute(charge, won=bool(event["won"]))
        case "cancel":
            book.cancel(charge)
        case unknown:
            raise ValueError(f"no event {unknown!r} here; see the module's docstring")
    return intent_of(charge)


def _charge(wire: Wire, event: Mapping[str, Any]) -> Entry:
    account = event["account"]
    if "payment_intent" in event:
        found = wire.book.find(account, event["payment_intent"])
    else:
        charges = wire.core.ledger.by_reference(account, event["reference"])
        found = charges[-1] if charges else None
    if found is None:
        raise ValueError(f"no charge for {event!r}")
    return found
