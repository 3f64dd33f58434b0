"""The simulated Vantage: ProtectPay over REST, ProPay over XML and the reports, on one port.

Out-of-band events (POST /_control/faults):

| event | more | effect |
|---|---|---|
| charge | account, amount_minor, reference | somebody charges without us, under this reference or none |
| void, chargeback | account, reference | somebody does it to this charge |
| refund | account, reference, amount_minor | somebody refunds this charge, all of it where no amount is told |
| submit_early | account, reference | this charge is submitted for settlement before the cut-off |
| funds | account, amount_minor | the account's balance, against which refunds are made from now on |
| report_row | reference, action | `drop`, `double`, `amount` (with `amount_minor`) or `none` in the reports |
| switch | name, value | sets a field of `Switches` |
"""

from collections.abc import Callable, Mapping
from dataclasses import fields
from email.utils import format_datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

from aiohttp import web

from shared.domain.words import ProcessorName
from workers.simulators import control
from workers.simulators.core import Core
from workers.simulators.ledger import Entry, Move
from workers.simulators.vantage.book import Book, Order
from workers.simulators.vantage.report import Report
from workers.simulators.vantage.rest import Rest
from workers.simulators.vantage.tables import Credentials, Switches
from workers.simulators.vantage.xml import Xml
from workers.simulators.vault import Method

# Room for the control call that stores 50,000 methods; no request of the wire comes near it.
_MAX_BODY = 16 * 1024 * 1024
_ACTIONS = ("drop", "double", "amount", "none")


def build_app(
    *,
    vault: Path | None = None,
    state: Path | None = None,
    switches: Switches | None = None,
    credentials: Credentials | None = None,
) -> tuple[web.Application, Book]:
    """The application and its book, for tests that look at the truth directly."""
    core = Core.with_state("vantage", state)
    if vault is not None:
        core.vault.load(vault, ProcessorName.VANTAGE)
    book = Book(core, switches or Switches())
    core.open({"card": book.restore_card})
    book.rebuild()
    core.on_reset = book.reset
    core.faults = lambda event: _happen(book, event)
    return _application(book, credentials or Credentials()), book


def _application(book: Book, credentials: Credentials) -> web.Application:
    core = book.core
    rest, xml, report = Rest(book, credentials), Xml(book, credentials), Report(book, credentials)
    app = web.Application(client_max_size=_MAX_BODY)
    control.mount(app, core)

    async def handle(request: web.Request) -> web.StreamResponse:
        body = await core.receive(request)
        path = request.path.lower().lstrip("/")
        if path.startswith("protectpay/"):
            return await rest.handle(request, body)
        if path == "api/propayapi.aspx":
            return await xml.handle(request, body)
        if path.startswith("api/txreports/v1/"):
            return await report.handle(request, body)
        return web.Response(status=404, text="<html></html>", content_type="text/html")

    async def date_header(_request: web.Request, response: web.StreamResponse) -> None:
        response.headers["Date"] = format_datetime(core.clock.now(), usegmt=True)

    async def close(_app: web.Application) -> None:
        core.journal.close()

    app.router.add_route("*", "/{path:.*}", handle)
    app.on_response_prepare.append(date_header)
    app.on_cleanup.append(close)
    return app


# --- out-of-band events -----------------------------------------------------------------------------------------------


def _happen(book: Book, event: Mapping[str, Any]) -> Mapping[str, Any]:
    word = str(event.get("event"))
    if word not in _EVENTS:
        raise ValueError(f"event {word!r} is unknown; allowed: {', '.join(_EVENTS)}")
    _EVENTS[word](book, event)
    return {"happened": word}


def _charge_of(book: Book, event: Mapping[str, Any]) -> Entry:
    for entry in book.core.ledger.by_reference(event["account"], event["reference"]):
        if entry.kind is Move.CHARGE and entry.moved:
            return entry
    raise ValueError(f"no charge took money under {event['reference']!r} in account {event['account']!r}")


def _charge(book: Book, event: Mapping[str, Any]) -> None:
    account = str(event["account"])
    order = Order(
        method=Method(account, "outside", "outside"),
        account=account,
        amount_minor=int(event["amount_minor"]),
        currency="USD",
        invoice=str(event.get("reference", "")),
    )
    outcome = book.charge(order, book.core.clock.now())
    if outcome.code:
        raise ValueError(f"the charge was refused with {outcome.code}")


def _void(book: Book, event: Mapping[str, Any]) -> None:
    code = book.void(_charge_of(book, event), book.core.clock.now())
    if code:
        raise ValueError(f"the void was refused with {code}")


def _refund(book: Book, event: Mapping[str, Any]) -> None:
    code, _ = book.refund(_charge_of(book, event), int(event.get("amount_minor", 0)), book.core.clock.now())
    if code:
        raise ValueError(f"the refund was refused with {code}")


def _chargeback(book: Book, event: Mapping[str, Any]) -> None:
    book.charge_back(_charge_of(book, event), book.core.clock.now())


def _submit_early(book: Book, event: Mapping[str, Any]) -> None:
    charge = _charge_of(book, event)
    book.core.ledger.restate(charge, charge.state, submitted_at=book.core.clock.now().isoformat())


def _funds(book: Book, event: Mapping[str, Any]) -> None:
    book.funds_minor[event["account"]] = int(event["amount_minor"])


def _report_row(book: Book, event: Mapping[str, Any]) -> None:
    if event["action"] not in _ACTIONS:
        raise ValueError(f"action {event['action']!r} is unknown; allowed: {', '.join(_ACTIONS)}")
    book.report_edits[event["reference"]] = dict(event)


def _switch(book: Book, event: Mapping[str, Any]) -> None:
    names = [each.name for each in fields(Switches)]
    if event["name"] not in names:
        raise ValueError(f"switch {event['name']!r} is unknown; allowed: {', '.join(names)}")
    setattr(book.switches, event["name"], event["value"])


_EVENTS: Mapping[str, Callable[[Book, Mapping[str, Any]], None]] = MappingProxyType(
    {
        "charge": _charge,
        "void": _void,
        "refund": _refund,
        "chargeback": _chargeback,
        "submit_early": _submit_early,
        "funds": _funds,
        "report_row": _report_row,
        "switch": _switch,
    }
)
