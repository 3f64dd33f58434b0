"""What Stripe accepts: form bodies read and checked, refusals in Stripe's words."""

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl

from workers.simulators.stripe.book import Wanted
from workers.simulators.stripe.errors import Answer, invalid, missing
from workers.simulators.stripe.tables import TEST_METHODS
from workers.simulators.vault import Method, Vault

Form = Mapping[str, str]

_CHARGE_PARAMETERS = frozenset(
    {
        "amount",
        "confirm",
        "currency",
        "customer",
        "off_session",
        "payment_method",
        "description",
        "statement_descriptor",
    }
)
_NESTED = re.compile(r"(?:payment_method_types\[\d*\]|metadata\[[^\]]{1,40}\]|expand\[\d*\])")
_METADATA = re.compile(r"metadata\[([^\]]+)\]")
_CURRENCY = re.compile(r"[a-zA-Z]{3}")
METHOD_TYPES = frozenset({"card", "us_bank_account"})
SMALLEST_MINOR = 50
LARGEST_MINOR = 99_999_999


def read_form(body: bytes) -> dict[str, str]:
    return dict(parse_qsl(body.decode(), keep_blank_values=True))


def fingerprint(path: str, body: bytes) -> str:
    """Equal for equal parameters, in whatever order they come."""
    return f"{path}?{'&'.join(sorted(body.decode().split('&')))}"


def metadata_of(form: Form) -> dict[str, str]:
    return {found[1]: value for name, value in form.items() if (found := _METADATA.fullmatch(name))}


def read_charge(vault: Vault, account: str, reference: str, form: Form, mark: str) -> Wanted | Answer:
    """Check a payment intent that is created and confirmed in one call; an Answer is the refusal."""
    refusal = _check_names(form) or _check_money(form) or _check_method(vault, account, form)
    if refusal is not None:
        return refusal
    types = [value for name, value in form.items() if name.startswith("payment_method_types[")] or ["card"]
    unknown = [each for each in types if each not in METHOD_TYPES]
    if unknown:
        return invalid(f"Invalid payment_method_types[0]: {unknown[0]}", param="payment_method_types")
    return Wanted(
        account=account,
        reference=reference,
        fingerprint=mark,
        customer=form["customer"],
        token=form["payment_method"],
        amount_minor=int(form["amount"]),
        currency=form["currency"].lower(),
        types=types,
        metadata=metadata_of(form),
    )


def _check_names(form: Form) -> Answer | None:
    for name in form:
        if name not in _CHARGE_PARAMETERS and not _NESTED.fullmatch(name):
            return invalid(f"Received unknown parameter: {name}", code="parameter_unknown", param=name)
    for name in ("amount", "currency", "customer", "payment_method"):
        if not form.get(name):
            return invalid(f"Missing required param: {name}.", code="parameter_missing", param=name)
    if form.get("confirm") != "true" or form.get("off_session") != "true":
        return invalid("This simulator only creates payment intents that are confirmed at once, off session.")
    return None


def _check_money(form: Form) -> Answer | None:
    if not _CURRENCY.fullmatch(form["currency"]):
        return invalid(f"Invalid currency: {form['currency']}.", param="currency")
    if not (form["amount"].isascii() and form["amount"].isdigit()):
        return invalid(f"Invalid integer: {form['amount']}", code="parameter_invalid_integer", param="amount")
    amount_minor = int(form["amount"])
    if amount_minor < SMALLEST_MINOR:
        return invalid("Amount must be at least 50 cents.", code="amount_too_small", param="amount")
    if amount_minor > LARGEST_MINOR:
        return invalid("Amount must be no more than $999,999.99.", code="amount_too_large", param="amount")
    return None


def _check_method(vault: Vault, account: str, form: Form) -> Answer | None:
    customer, token = form["customer"], form["payment_method"]
    if not customer.startswith("cus_"):
        return missing("customer", customer, "customer")
    if token in TEST_METHODS or vault.knows(Method(account, customer, token)):
        return None
    if any(method.account == account for method in vault.belongs_to(token)):
        return invalid(
            f"The customer does not have a payment method with the ID {token}. The payment method must be attached to "
            "the customer.",
            code="resource_missing",
            param="payment_method",
        )
    return missing("PaymentMethod", token, "payment_method")
