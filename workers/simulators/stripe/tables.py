"""Stripe's official test payment methods and decline texts (docs.stripe.com/testing, /declines/codes)."""

from collections.abc import Mapping
from types import MappingProxyType

from workers.simulators.behaviour import Behaviour

# Where the real ones are listed with and without the brand, both names work.
TEST_METHODS: Mapping[str, Behaviour] = MappingProxyType(
    {
        name: Behaviour.parse(text)
        for text, names in {
            "approve": (
                "pm_card_visa pm_card_visa_debit pm_card_mastercard pm_card_mastercard_debit pm_card_amex "
                "pm_card_discover pm_card_us pm_card_createDispute pm_usBankAccount pm_usBankAccount_success"
            ),
            "decline:generic_decline": "pm_card_chargeDeclined pm_card_visa_chargeDeclined pm_card_chargeCustomerFail",
            "decline:insufficient_funds": (
                "pm_card_chargeDeclinedInsufficientFunds pm_card_visa_chargeDeclinedInsufficientFunds "
                "pm_usBankAccount_insufficientFunds"
            ),
            "decline:lost_card": "pm_card_chargeDeclinedLostCard pm_card_visa_chargeDeclinedLostCard",
            "decline:stolen_card": "pm_card_chargeDeclinedStolenCard pm_card_visa_chargeDeclinedStolenCard",
            "decline:expired_card": "pm_card_chargeDeclinedExpiredCard pm_card_visa_chargeDeclinedExpiredCard",
            "decline:incorrect_cvc": "pm_card_chargeDeclinedIncorrectCvc pm_card_visa_chargeDeclinedIncorrectCvc",
            "decline:processing_error": (
                "pm_card_chargeDeclinedProcessingError pm_card_visa_chargeDeclinedProcessingError"
            ),
            "decline:card_velocity_exceeded": "pm_card_visa_chargeDeclinedVelocityLimitExceeded",
            "decline:fraudulent": "pm_card_radarBlock pm_card_chargeDeclinedFraudulent",
            "decline:authentication_required": "pm_card_authenticationRequired pm_card_threeDSecure2Required",
            "decline:account_closed": "pm_usBankAccount_accountClosed",
            "decline:account_frozen": "pm_usBankAccount_accountFrozen",
            "decline:no_account": "pm_usBankAccount_noAccount",
            "decline:debit_not_authorized": "pm_usBankAccount_debitNotAuthorized",
        }.items()
        for name in names.split()
    }
)
DISPUTED_METHOD = "pm_card_createDispute"

# Decline codes that Stripe reports as the error's own code too; all others have the code `card_declined`.
OWN_CODES = frozenset(
    {
        "authentication_required",
        "expired_card",
        "incorrect_cvc",
        "incorrect_number",
        "invalid_cvc",
        "invalid_expiry_month",
        "invalid_expiry_year",
        "processing_error",
    }
)
MESSAGES: Mapping[str, str] = MappingProxyType(
    {
        "authentication_required": "Your card was declined. This transaction requires authentication.",
        "expired_card": "Your card has expired.",
        "incorrect_cvc": "Your card's security code is incorrect.",
        "incorrect_number": "Your card number is incorrect.",
        "insufficient_funds": "Your card has insufficient funds.",
        "processing_error": "An error occurred while processing your card. Try again in a little bit.",
    }
)
DECLINED_MESSAGE = "Your card was declined."
ADVICE: Mapping[str, str] = MappingProxyType(
    {
        "expired_card": "do_not_try_again",
        "generic_decline": "try_again_later",
        "incorrect_cvc": "confirm_card_data",
        "incorrect_number": "confirm_card_data",
        "insufficient_funds": "try_again_later",
        "lost_card": "do_not_try_again",
        "processing_error": "try_again_later",
        "stolen_card": "do_not_try_again",
    }
)
