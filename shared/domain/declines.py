"""Declines in words: what refused a charge, who can do something about it, and what staff read.

Source: design of the domain (Visa category 1, Mastercard advice codes, the processors' code lists). Each adapter maps
its processor's raw codes onto `NeutralCode`; everything about a neutral code is in `TABLE`.
"""

from dataclasses import dataclass
from enum import StrEnum


class Category(StrEnum):
    """Who can act: `soft` may be retried later, all others never by us alone."""

    HARD = "hard"
    SOFT = "soft"
    DATA = "data"
    CLIENT = "client"
    MERCHANT = "merchant"


class NeutralCode(StrEnum):
    DO_NOT_HONOR = "do_not_honor"
    INSUFFICIENT_FUNDS = "insufficient_funds"
    CARD_LIMIT = "card_limit"
    ISSUER_UNAVAILABLE = "issuer_unavailable"
    INVALID_ACCOUNT = "invalid_account"
    INVALID_ISSUER = "invalid_issuer"
    ACCOUNT_CLOSED = "account_closed"
    NOT_PERMITTED = "not_permitted"
    REFUSED_FOR_GOOD = "refused_for_good"
    REVOKED_BY_CLIENT = "revoked_by_client"
    EXPIRED = "expired"
    SECURITY_CODE = "security_code"
    CARD_DATA = "card_data"
    CLIENT_MUST_CONFIRM = "client_must_confirm"
    MERCHANT_LIMIT = "merchant_limit"
    CARD_BLOCKED = "card_blocked"
    NOT_FULLY_APPROVED = "not_fully_approved"
    DECLINED = "declined"


@dataclass(frozen=True, slots=True)
class Meaning:
    category: Category
    sentence: str


TABLE: dict[NeutralCode, Meaning] = {
    NeutralCode.DO_NOT_HONOR: Meaning(Category.SOFT, "Do Not Honor: the bank refused and gave no reason."),
    NeutralCode.INSUFFICIENT_FUNDS: Meaning(Category.SOFT, "Not enough money or credit."),
    NeutralCode.CARD_LIMIT: Meaning(Category.SOFT, "Over the card's limit; that may change."),
    NeutralCode.ISSUER_UNAVAILABLE: Meaning(Category.SOFT, "The bank could not be reached. No money moved."),
    NeutralCode.INVALID_ACCOUNT: Meaning(
        Category.HARD, "Invalid/Nonexistent Account: the card number does not exist. Ask for another card."
    ),
    NeutralCode.INVALID_ISSUER: Meaning(
        Category.HARD, "Invalid Issuer: no bank stands behind this number. Ask for another card."
    ),
    NeutralCode.ACCOUNT_CLOSED: Meaning(Category.HARD, "The account is closed. Ask for another card."),
    NeutralCode.NOT_PERMITTED: Meaning(Category.HARD, "The bank does not allow this card here. Ask for another card."),
    NeutralCode.REFUSED_FOR_GOOD: Meaning(Category.HARD, "The bank refused this card for good. Ask for another card."),
    NeutralCode.REVOKED_BY_CLIENT: Meaning(
        Category.HARD,
        "The client told the bank to stop these charges. Do not charge this card again; talk to the client.",
    ),
    NeutralCode.EXPIRED: Meaning(
        Category.DATA, "The card has expired. Ask for the new expiry date, then charge again."
    ),
    NeutralCode.SECURITY_CODE: Meaning(
        Category.DATA, "The security code was refused. Charge the card once in person with its code."
    ),
    NeutralCode.CARD_DATA: Meaning(Category.DATA, "The card's details were refused. Check them, then charge again."),
    NeutralCode.CLIENT_MUST_CONFIRM: Meaning(
        Category.CLIENT,
        "The bank wants the client to confirm. Charge it with the client present or send a payment link.",
    ),
    NeutralCode.MERCHANT_LIMIT: Meaning(
        Category.MERCHANT,
        "Over your practice's limit at the processor. No card is at fault. Call the processor to raise it.",
    ),
    NeutralCode.CARD_BLOCKED: Meaning(
        Category.SOFT, "The processor blocked this card for 24 hours after several tries."
    ),
    NeutralCode.NOT_FULLY_APPROVED: Meaning(
        Category.SOFT, "Not fully approved: the bank's answer will not settle. No money moved."
    ),
    NeutralCode.DECLINED: Meaning(Category.SOFT, "The bank refused and gave no reason."),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Decline:
    """One refusal. `raw_code` is the processor's own code, kept to the letter."""

    code: NeutralCode
    raw_code: str

    @property
    def category(self) -> Category:
        return TABLE[self.code].category

    @property
    def sentence(self) -> str:
        return TABLE[self.code].sentence
