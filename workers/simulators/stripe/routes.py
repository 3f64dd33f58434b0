"""The simulated Stripe's routes but those of lists.py: what is asked, and the answer to it."""

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from workers.simulators.behaviour import APPROVE, Behaviour, Kind
from workers.simulators.core import Core
from workers.simulators.ledger import Entry, Move
from workers.simulators.stripe.book import Book, Wanted
from workers.simulators.stripe.errors import Answer, invalid, missing
from workers.simulators.stripe.lists import DEFAULT_ROWS, after, refunds_of_account, within
from workers.simulators.stripe.objects import charge_of, charge_ref, intent_of, list_of, refund_of
from workers.simulators.stripe.requests import metadata_of, read_charge
from workers.simulators.stripe.tables import TEST_METHODS
from workers.simulators.stripe.wire import Caller, Wire
from workers.simulators.vault import Method

MOST_ROWS = 100


async def create_intent(wire: Wire, request: web.Request, caller: Caller) -> web.StreamResponse:
    wanted = read_charge(wire.core.vault, caller.account, caller.key, caller.form, caller.mark)
    if isinstance(wanted, Answer):
        return wire.respond(wanted)
    behaviour = _behaviour_of(wire.core, wanted)
    return await wire.perform(request, caller, behaviour, lambda: _charge(wire.book, wanted, behaviour))


def charged(entry: Entry) -> Answer:
    """The answer to a charge that was executed; also what its key keeps."""
    intent: dict[str, Any] = intent_of(entry)
    if entry.state == "declined":
        error = {**entry.details["error"], "charge": charge_ref(entry), "payment_intent": intent}
        return Answer(402, {"error": error})
    return Answer(200, intent)


async def get_intent(wire: Wire, request: web.Request, caller: Caller) -> web.StreamResponse:
    ref = request.match_info["ref"]
    behaviour = wire.core.vault.take("lookup", Method(caller.account, "", ""))
    return await wire.perform(request, caller, behaviour, lambda: _intent(wire, caller.account, ref, caller.form))


async def list_intents(wire: Wire, request: web.Request, caller: Caller) -> web.StreamResponse:
    behaviour = wire.core.vault.take("lookup", Method(caller.account, caller.form.get("customer", ""), ""))
    return await wire.perform(request, caller, behaviour, lambda: _intents(wire, caller.account, caller.form))


async def create_refund(wire: Wire, request: web.Request, caller: Caller) -> web.StreamResponse:
    checked = _refundable(wire, caller.account, caller.form)
    if isinstance(checked, Answer):
        return wire.respond(checked)
    entry, amount_minor = checked
    behaviour = wire.core.vault.take("refund", Method(entry.account, entry.payer, entry.token))

    def execute() -> Answer:
        # Checked again: a late execution finds what happened meanwhile.
        again = _refundable(wire, caller.account, caller.form)
        if isinstance(again, Answer):
            return again
        refund = wire.book.refund(entry, amount_minor, reference=caller.key, metadata=metadata_of(caller.form))
        return Answer(200, refund_of(refund))

    return await wire.perform(request, caller, behaviour, execute)


async def get_refund(wire: Wire, request: web.Request, caller: Caller) -> web.StreamResponse:
    ref = request.match_info["ref"]
    entry = wire.book.find(caller.account, ref)
    if entry is None or entry.kind is not Move.REFUND:
        return wire.respond(missing("refund", ref, "id", status=404))
    return wire.respond(Answer(200, refund_of(entry)))


async def list_refunds(wire: Wire, request: web.Request, caller: Caller) -> web.StreamResponse:
    ref = caller.form.get("payment_intent") or caller.form.get("charge") or ""
    if not ref:
        return wire.respond(refunds_of_account(wire, caller.account, caller.form, request.path))
    charge = wire.book.find(caller.account, ref)
    if charge is None:
        return wire.respond(missing("payment_intent", ref, "payment_intent"))
    refunds = [each for each in wire.core.ledger.children(charge) if each.kind is Move.REFUND]
    return wire.respond(Answer(200, list_of([refund_of(each) for each in refunds[::-1]], more=False, url=request.path)))


async def get_charge(wire: Wire, request: web.Request, caller: Caller) -> web.StreamResponse:
    ref = request.match_info["ref"]
    entry = wire.book.find(caller.account, ref)
    if entry is None:
        return wire.respond(missing("charge", ref, "id", status=404))
    return wire.respond(Answer(200, charge_of(entry)))


async def get_method(wire: Wire, request: web.Request, caller: Caller) -> web.StreamResponse:
    token = request.match_info["ref"]
    owners = [each for each in wire.core.vault.belongs_to(token) if each.account == caller.account]
    if not owners and token not in TEST_METHODS:
        return wire.respond(missing("PaymentMethod", token, "payment_method", status=404))
    kind = "us_bank_account" if token.startswith("pm_usBankAccount") else "card"
    customer = owners[0].payer if len(owners) == 1 else None
    method = {"id": token, "object": "payment_method", "customer": customer, "livemode": False, "type": kind}
    return wire.respond(Answer(200, method))


def _behaviour_of(core: Core, wanted: Wanted) -> Behaviour:
    """A script or the vault's row wins over what Stripe's test method does by its name."""
    method = Method(wanted.account, wanted.customer, wanted.token)
    behaviour = core.vault.take("charge", method)
    if behaviour is APPROVE and not core.vault.knows(method):
        return TEST_METHODS.get(wanted.token, behaviour)
    return behaviour


def _charge(book: Book, wanted: Wanted, behaviour: Behaviour) -> Answer:
    match behaviour.kind:
        case Kind.DECLINE:
            entry = book.charge(wanted, decline=behaviour.argument)
        case Kind.PROCESSING:
            entry = book.charge(wanted, state="processing")
        case Kind.REQUIRES_ACTION:
            entry = book.charge(wanted, state="requires_action")
        case _:
            entry = book.charge(wanted)
    return charged(entry)


def _intent(wire: Wire, account: str, ref: str, query: Mapping[str, str]) -> Answer:
    entry = wire.book.find(account, ref)
    if entry is None or entry.kind is not Move.CHARGE or not ref.startswith("pi_"):
        return missing("payment_intent", ref, "intent", status=404)
    return Answer(200, intent_of(entry, expanded=_expands(query, "latest_charge")))


def _intents(wire: Wire, account: str, query: Mapping[str, str]) -> Answer:
    limit = int(query.get("limit", DEFAULT_ROWS))
    if not 1 <= limit <= MOST_ROWS:
        return invalid("This value must be between 1 and 100 (inclusive).", param="limit")
    found = after([one for one in wire.book.intents(account, query.get("customer", "")) if within(query, one)], query)
    if found is None:
        return missing("payment_intent", query["starting_after"], "starting_after")
    expanded = _expands(query, "data.latest_charge")
    rows = [intent_of(entry, expanded=expanded) for entry in found[:limit]]
    return Answer(200, list_of(rows, more=len(found) > limit, url="/v1/payment_intents"))


def _expands(query: Mapping[str, str], field: str) -> bool:
    """Whether a field is expanded, itself or for the sake of what is in it."""
    wanted = [value for name, value in query.items() if name.startswith("expand[")]
    return any(value == field or value.startswith(f"{field}.") for value in wanted)


def _refundable(wire: Wire, account: str, form: Mapping[str, str]) -> tuple[Entry, int] | Answer:
    ref = form.get("payment_intent") or form.get("charge") or ""
    entry = wire.book.find(account, ref)
    if entry is None or entry.kind is not Move.CHARGE:
        return missing("payment_intent", ref, "payment_intent", status=404)
    left_minor = wire.book.refundable_minor(entry)
    if entry.state == "charged_back":
        return invalid("This charge has been charged back and cannot be refunded.", code="charge_disputed")
    if left_minor <= 0:
        return invalid(f"Charge {ref} has already been refunded.", code="charge_already_refunded")
    amount_minor = int(form.get("amount", left_minor))
    if not wire.book.covers(account, amount_minor):
        return invalid("Insufficient funds in your Stripe balance to refund this amount.", code="balance_insufficient")
    if not 1 <= amount_minor <= left_minor:
        return invalid(
            f"Refund amount ({amount_minor}) is greater than unrefunded amount on charge ({left_minor})", param="amount"
        )
    return entry, amount_minor
