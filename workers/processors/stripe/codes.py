"""Stripe's codes as tables: declines onto our neutral codes, refusals onto whose trouble they are.

Sources: Stripe's decline codes, error codes, failure codes of bank debits (docs.stripe.com/declines/codes,
/error-codes, /payments/ach-direct-debit), card networks' never-again codes (design of the domain, Declines).
"""

from collections.abc import Mapping

from shared.domain.answers import Denial
from shared.domain.declines import Category, Decline, NeutralCode

DECLINES: dict[str, NeutralCode] = {
    # The bank's refusal without a reason.
    "approve_with_id": NeutralCode.DO_NOT_HONOR,
    "call_issuer": NeutralCode.DO_NOT_HONOR,
    "card_declined": NeutralCode.DO_NOT_HONOR,
    "do_not_honor": NeutralCode.DO_NOT_HONOR,
    "fraudulent": NeutralCode.DO_NOT_HONOR,
    "generic_decline": NeutralCode.DO_NOT_HONOR,
    "no_action_taken": NeutralCode.DO_NOT_HONOR,
    "refer_to_customer": NeutralCode.DO_NOT_HONOR,
    "testmode_decline": NeutralCode.DO_NOT_HONOR,
    # Money and limits.
    "insufficient_funds": NeutralCode.INSUFFICIENT_FUNDS,
    "amount_too_large": NeutralCode.CARD_LIMIT,
    "card_velocity_exceeded": NeutralCode.CARD_LIMIT,
    "invalid_amount": NeutralCode.CARD_LIMIT,
    "withdrawal_count_limit_exceeded": NeutralCode.CARD_LIMIT,
    "card_decline_rate_limit_exceeded": NeutralCode.CARD_BLOCKED,
    # Nobody could say.
    "could_not_process": NeutralCode.ISSUER_UNAVAILABLE,
    "generic_could_not_process": NeutralCode.ISSUER_UNAVAILABLE,
    "issuer_not_available": NeutralCode.ISSUER_UNAVAILABLE,
    "payment_method_provider_timeout": NeutralCode.ISSUER_UNAVAILABLE,
    "processing_error": NeutralCode.ISSUER_UNAVAILABLE,
    "reenter_transaction": NeutralCode.ISSUER_UNAVAILABLE,
    "try_again_later": NeutralCode.ISSUER_UNAVAILABLE,
    # The number or account is none.
    "incorrect_number": NeutralCode.INVALID_ACCOUNT,
    "invalid_account": NeutralCode.INVALID_ACCOUNT,
    "invalid_account_number": NeutralCode.INVALID_ACCOUNT,
    "invalid_number": NeutralCode.INVALID_ACCOUNT,
    "no_account": NeutralCode.INVALID_ACCOUNT,
    "account_closed": NeutralCode.ACCOUNT_CLOSED,
    "bank_account_closed": NeutralCode.ACCOUNT_CLOSED,
    # Not this card or account, here or at all.
    "account_frozen": NeutralCode.NOT_PERMITTED,
    "bank_account_restricted": NeutralCode.NOT_PERMITTED,
    "bank_account_unusable": NeutralCode.NOT_PERMITTED,
    "bank_ownership_changed": NeutralCode.NOT_PERMITTED,
    "card_not_supported": NeutralCode.NOT_PERMITTED,
    "currency_not_supported": NeutralCode.NOT_PERMITTED,
    "invalid_currency": NeutralCode.NOT_PERMITTED,
    "not_permitted": NeutralCode.NOT_PERMITTED,
    "restricted_card": NeutralCode.NOT_PERMITTED,
    "security_violation": NeutralCode.NOT_PERMITTED,
    "service_not_allowed": NeutralCode.NOT_PERMITTED,
    "transaction_not_allowed": NeutralCode.NOT_PERMITTED,
    "do_not_try_again": NeutralCode.REFUSED_FOR_GOOD,
    "lost_card": NeutralCode.REFUSED_FOR_GOOD,
    "merchant_blacklist": NeutralCode.REFUSED_FOR_GOOD,
    "pickup_card": NeutralCode.REFUSED_FOR_GOOD,
    "stolen_card": NeutralCode.REFUSED_FOR_GOOD,
    "debit_not_authorized": NeutralCode.REVOKED_BY_CLIENT,
    "revocation_of_all_authorizations": NeutralCode.REVOKED_BY_CLIENT,
    "revocation_of_authorization": NeutralCode.REVOKED_BY_CLIENT,
    "stop_payment_order": NeutralCode.REVOKED_BY_CLIENT,
    # Corrected details help.
    "expired_card": NeutralCode.EXPIRED,
    "invalid_expiry_month": NeutralCode.EXPIRED,
    "invalid_expiry_year": NeutralCode.EXPIRED,
    "incorrect_cvc": NeutralCode.SECURITY_CODE,
    "invalid_cvc": NeutralCode.SECURITY_CODE,
    "incorrect_address": NeutralCode.CARD_DATA,
    "incorrect_zip": NeutralCode.CARD_DATA,
    "new_account_information_available": NeutralCode.CARD_DATA,
    # Only the client can.
    "authentication_not_handled": NeutralCode.CLIENT_MUST_CONFIRM,
    "authentication_required": NeutralCode.CLIENT_MUST_CONFIRM,
    "incorrect_pin": NeutralCode.CLIENT_MUST_CONFIRM,
    "invalid_pin": NeutralCode.CLIENT_MUST_CONFIRM,
    "mobile_device_authentication_required": NeutralCode.CLIENT_MUST_CONFIRM,
    "offline_pin_required": NeutralCode.CLIENT_MUST_CONFIRM,
    "online_or_offline_pin_required": NeutralCode.CLIENT_MUST_CONFIRM,
    "payment_intent_authentication_failure": NeutralCode.CLIENT_MUST_CONFIRM,
    "pin_try_exceeded": NeutralCode.CLIENT_MUST_CONFIRM,
    "requires_action": NeutralCode.CLIENT_MUST_CONFIRM,
}

# The network's own code under a decline that Stripe calls soft: the networks fine who tries these again.
NETWORK_NEVER_AGAIN: dict[str, NeutralCode] = {
    "04": NeutralCode.NOT_PERMITTED,
    "07": NeutralCode.NOT_PERMITTED,
    "12": NeutralCode.NOT_PERMITTED,
    "57": NeutralCode.NOT_PERMITTED,
    "14": NeutralCode.INVALID_ACCOUNT,
    "15": NeutralCode.INVALID_ISSUER,
    "46": NeutralCode.ACCOUNT_CLOSED,
    "41": NeutralCode.REFUSED_FOR_GOOD,
    "43": NeutralCode.REFUSED_FOR_GOOD,
    "R0": NeutralCode.REVOKED_BY_CLIENT,
    "R1": NeutralCode.REVOKED_BY_CLIENT,
    "R3": NeutralCode.REVOKED_BY_CLIENT,
}
MASTERCARD_NEVER_AGAIN = frozenset({"03", "21"})

# Stripe's advice, heard only where the code itself would let us try again.
ADVICE: dict[str, NeutralCode] = {
    "do_not_try_again": NeutralCode.REFUSED_FOR_GOOD,
    "confirm_card_data": NeutralCode.CARD_DATA,
}

# Refusals with 400 or 404 that the stored payment method or its customer causes, beside `resource_missing` with one of
# METHOD_PARAMETERS.
METHOD_CODES = frozenset(
    {
        "bank_account_unusable",
        "bank_account_unverified",
        "bank_account_verification_failed",
        "payment_method_bank_account_blocked",
        "payment_method_currency_mismatch",
        "payment_method_not_available",
        "payment_method_unactivated",
        "payment_method_unexpected_state",
        "payment_method_unsupported_type",
    }
)
METHOD_PARAMETERS = frozenset({"customer", "payment_method"})

# Refusals with 400 or 404 that the practice's connected account causes.
MERCHANT_CODES = frozenset(
    {
        "account_closed",
        "account_invalid",
        "charges_not_enabled",
        "payment_intent_payment_method_type_not_activated",
        "platform_account_required",
        "testmode_charges_only",
    }
)


# Refusals of a refund that people must remove first, and those that may mean "refunded already".
REFUND_DENIALS: dict[str, Denial] = {
    "balance_insufficient": Denial.FUNDS_SHORT,
    "charge_disputed": Denial.DISPUTED,
    "insufficient_funds": Denial.FUNDS_SHORT,
    "refund_disputed_payment": Denial.DISPUTED,
}
REFUND_REFUSALS = frozenset({"charge_already_refunded", "charge_not_refundable"})


def decline(error: Mapping[str, object]) -> Decline:
    """Stripe's error object (or `last_payment_error`) as our decline; an unknown code refuses softly."""
    raw = _text(error, "decline_code") or _text(error, "code") or "unknown"
    code = DECLINES.get(raw, NeutralCode.DECLINED)
    if Decline(code=code, raw_code=raw).category is Category.SOFT:
        code = _advised(error) or code
    return Decline(code=code, raw_code=raw)


def _advised(error: Mapping[str, object]) -> NeutralCode | None:
    network = NETWORK_NEVER_AGAIN.get(_text(error, "network_decline_code"))
    if network is not None:
        return network
    if _text(error, "network_advice_code") in MASTERCARD_NEVER_AGAIN:
        return NeutralCode.REFUSED_FOR_GOOD
    return ADVICE.get(_text(error, "advice_code"))


def _text(error: Mapping[str, object], name: str) -> str:
    value = error.get(name)
    return value if isinstance(value, str) else ""
