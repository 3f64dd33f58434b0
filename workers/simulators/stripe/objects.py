"""Ledger entries as Stripe shows them: payment intents, charges, refunds, disputes."""

from typing import Any

from workers.simulators.ledger import Entry

_METHOD_OPTIONS: dict[str, dict[str, Any]] = {
    "card": {
        "card": {"installments": None, "mandate_options": None, "network": None, "request_three_d_secure": "auto"}
    },
    "us_bank_account": {"us_bank_account": {"verification_method": "automatic"}},
}
# Stripe's published price of a card charge: 2.9 % and 30 cents.
FEE_PER_MILLE = 29
FEE_MINOR = 30
STANDING = frozenset({"taken", "partly_refunded", "refunded", "charged_back"})
_STATUSES = {
    "declined": "requires_payment_method",
    "failed": "requires_payment_method",
    "processing": "processing",
    "requires_action": "requires_action",
    "canceled": "canceled",
}


def status_of(entry: Entry) -> str:
    return "succeeded" if entry.state in STANDING else _STATUSES[entry.state]


def created_of(entry: Entry) -> int:
    return int(entry.executed_at.timestamp())


def charge_ref(entry: Entry) -> str:
    return f"ch_{entry.processor_ref[3:]}"


def intent_of(entry: Entry, *, expanded: bool = False) -> dict[str, Any]:
    """A payment intent; `expanded` puts the charge itself where its id is."""
    details = entry.details
    status = status_of(entry)
    charged = status in {"succeeded", "processing"} or details.get("error") is not None
    charge: Any = charge_ref(entry) if charged else None
    return {
        "id": entry.processor_ref,
        "object": "payment_intent",
        "amount": entry.amount_minor,
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": entry.amount_minor if status == "succeeded" else 0,
        "application": "ca_simulated",
        "application_fee_amount": None,
        "automatic_payment_methods": None,
        "canceled_at": created_of(entry) if status == "canceled" else None,
        "cancellation_reason": details.get("cancellation_reason"),
        "capture_method": "automatic_async",
        "client_secret": f"{entry.processor_ref}_secret_simulated",
        "confirmation_method": "automatic",
        "created": created_of(entry),
        "currency": entry.currency,
        "customer": entry.payer,
        "description": None,
        "last_payment_error": details.get("error"),
        "latest_charge": charge_of(entry) if expanded and charged else charge,
        "livemode": False,
        "metadata": details["metadata"],
        "next_action": {"type": "use_stripe_sdk", "use_stripe_sdk": {}} if status == "requires_action" else None,
        "on_behalf_of": None,
        "payment_method": None if status == "requires_payment_method" else entry.token,
        "payment_method_options": _METHOD_OPTIONS.get(details["types"][0], {}),
        "payment_method_types": details["types"],
        "processing": None,
        "receipt_email": None,
        "review": None,
        "setup_future_usage": None,
        "shipping": None,
        "source": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": status,
        "transfer_data": None,
        "transfer_group": None,
    }


def charge_of(entry: Entry) -> dict[str, Any]:
    status = status_of(entry)
    error = entry.details.get("error")
    refunded = entry.details.get("amount_refunded", 0)
    return {
        "id": charge_ref(entry),
        "object": "charge",
        "amount": entry.amount_minor,
        "amount_captured": entry.amount_minor if status == "succeeded" else 0,
        "amount_refunded": refunded,
        "balance_transaction": booked_of(entry) if status == "succeeded" else None,
        "captured": status == "succeeded",
        "created": created_of(entry),
        "currency": entry.currency,
        "customer": entry.payer,
        "disputed": entry.details.get("dispute") is not None,
        "failure_code": error["code"] if error else None,
        "failure_message": error["message"] if error else None,
        "livemode": False,
        "metadata": entry.details["metadata"],
        "paid": status == "succeeded",
        "payment_intent": entry.processor_ref,
        "payment_method": entry.token,
        "refunded": refunded >= entry.amount_minor,
        "status": {"succeeded": "succeeded", "processing": "pending"}.get(status, "failed"),
    }


def booked_of(entry: Entry) -> dict[str, Any]:
    """What a charge brought to the account's balance; always expanded, as who asks for it wants the fee."""
    fee_minor = FEE_MINOR + (entry.amount_minor * FEE_PER_MILLE + 500) // 1000
    return {
        "id": f"txn_{entry.processor_ref[3:]}",
        "object": "balance_transaction",
        "amount": entry.amount_minor,
        "fee": fee_minor,
        "net": entry.amount_minor - fee_minor,
        "type": "charge",
    }


def refund_of(entry: Entry) -> dict[str, Any]:
    return {
        "id": entry.processor_ref,
        "object": "refund",
        "amount": entry.amount_minor,
        "charge": f"ch_{entry.parent_ref[3:]}",
        "created": created_of(entry),
        "currency": entry.currency,
        "failure_reason": entry.details.get("failure_reason"),
        "metadata": entry.details["metadata"],
        "payment_intent": entry.parent_ref,
        "reason": None,
        "status": entry.state,
    }


def dispute_of(entry: Entry, charge: Entry) -> dict[str, Any]:
    """`entry` is the chargeback, `charge` what is disputed."""
    return {
        "id": entry.processor_ref,
        "object": "dispute",
        "amount": entry.amount_minor,
        "charge": charge_ref(charge),
        "created": created_of(entry),
        "currency": entry.currency,
        "livemode": False,
        "metadata": {},
        "payment_intent": charge.processor_ref,
        "reason": "fraudulent",
        "status": entry.state,
    }


def list_of(rows: list[dict[str, Any]], *, more: bool, url: str) -> dict[str, Any]:
    return {"object": "list", "data": rows, "has_more": more, "url": url}
