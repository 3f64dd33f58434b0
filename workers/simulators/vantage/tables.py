"""The simulated ProtectPay's own facts: code texts, test cards and everything that no document shows (ASSUMED).

Source: design/vantage-wire.md, sections 3 to 8. The adapter has its own tables on purpose: a mistake copied into both
would be invisible.
"""

from dataclasses import dataclass
from typing import Literal
from zoneinfo import ZoneInfo

# A charge belongs to the New York day whose 17:00 it precedes; reports are assumed to use the same zone.
ZONE = ZoneInfo("America/New_York")
CUT_OFF_HOUR = 17

DUPLICATE_WINDOW_S = 60
RATE_PERCENT = "3.25"
PER_TRANSACTION_FEE_MINOR = 35

SUCCESS_CODE = "00"
AUTHENTICATION = 300
ARGUMENT = 301
INVOICE = 302
GATEWAY_TIMEOUT = 303
CARD_NUMBER = 308
CURRENCY = 310
PAYER = 313
DUPLICATE = 223
DISGUISED = 207
NO_METHOD = 700
UNABLE = 551
SINGLE_LIMIT = 561
MONTHLY_LIMIT = 562

# ASSUMED: the documented pattern "500 + XML status" carried on.
FUNDS_SHORT = 563
CARD_BLOCKED = 564
ALREADY_REFUNDED = 590
REFUND_EXCEEDS = 601

# The issuer's answer that code 207 hid for two months in 2021.
HIDDEN_DECLINE = 5

# Requests with these codes carry the detail in Transaction.ResultCode, so Transaction is present.
DETAILED_REQUEST_CODES = frozenset({301, 307, 311})

NEGATIVE_LIMIT_MINOR = 200_000

MESSAGES = {
    5: "Do not honor",
    8: "Honor with ID",
    14: "Invalid card",
    15: "Invalid issuer",
    17: "Over limit",
    19: "Re-enter transaction",
    41: "Lost card",
    43: "Stolen card",
    51: "Insufficient funds",
    54: "Expired card",
    58: "Not permitted to terminal",
    82: "CVV failed",
    DISGUISED: "Gateway internal error",
    DUPLICATE: "Gateway duplicate",
    AUTHENTICATION: "Authentication error",
    ARGUMENT: "Invalid argument",
    INVOICE: "Invalid invoice number",
    GATEWAY_TIMEOUT: "Gateway timeout",
    CARD_NUMBER: "Invalid card number",
    CURRENCY: "Unsupported currency",
    PAYER: "Payer id is not known",
    UNABLE: "Wrong number, or too late because of funding",
    SINGLE_LIMIT: "Over the single transaction limit",
    MONTHLY_LIMIT: "Over the monthly limit",
    FUNDS_SHORT: "Merchant funds short",
    CARD_BLOCKED: "Over the card use limit",
    ALREADY_REFUNDED: "Already refunded",
    REFUND_EXCEEDS: "Refund is more than the original",
    NO_METHOD: "Payment method id is not known",
}

TEST_CARD_PREFIXES = {"4404": 14, "4909": 19, "4828": 17, "4616": 51, "4535": 15}
TEST_AMOUNTS = {110: 14, 111: 19, 112: 17, 113: 51, 114: 58, 115: 15}


def message(code: int) -> str:
    return MESSAGES.get(code, f"Refused with code {code}")


@dataclass(slots=True)
class Switches:
    """Where no document decides, both readings can be had; limits are off unless a test sets them."""

    decline_shape: Literal["mirrored", "split"] = "mirrored"
    bad_credentials_status: Literal[200, 401] = 200
    duplicate_shows_original: bool = False
    refund_pending: Literal["refuse", "void"] = "refuse"
    refund_twice_refused: bool = True
    no_hit: Literal["status_77", "not_found"] = "status_77"
    dead_zone_s: int = 2 * 3600
    report_lag_s: int = 3600
    velocity_declines: int = 3
    velocity_window_s: int = 600
    velocity_block_s: int = 86_400
    single_limit_minor: int | None = None
    monthly_limit_minor: int | None = None
    internal_timeout_s: float = 60.0


@dataclass(frozen=True, slots=True, repr=False)
class Credentials:
    """What a client must send; made up."""

    biller_account_id: str = "4398071234567890"
    authentication_token: str = "0b5ac43a-6d26-4f1e-9a6b-4a4d2e3f9c11"  # noqa: S105 - made up, for simulators only
    cert_string: str = "5cb1f3a4e6d2470f8f2c"
    report_key: str = "rk-3f6d2a90"
    affiliate_id: str = "12345"
