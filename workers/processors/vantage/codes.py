"""ProtectPay's codes and what each means to us, as tables; everything that no document shows is marked ASSUMED.

Source: design/vantage-wire.md sections 2, 4, 5 and 7 (API Appendix 4, XML Appendix 6). A code that stands in no table
is Unknown: it may have charged. Codes are compared as whole numbers because only some lists pad them.
"""

from collections.abc import Mapping
from types import MappingProxyType

from shared.domain.declines import NeutralCode
from workers.processors.port import Blame, Denial, Seen

SUCCESS = 0
# Longer digit strings are no code, amount or id of theirs; Python refuses to read very long ones at all.
_DIGITS_MAX = 18


def whole_number(text: object) -> int | None:
    """A string of digits as a number, None for everything else."""
    fits = isinstance(text, str) and len(text) <= _DIGITS_MAX and text.isascii() and text.isdigit()
    return int(str(text)) if fits else None


_SAME_NUMBERS_IN_ALL_LISTS: dict[int, NeutralCode] = {
    1: NeutralCode.DO_NOT_HONOR,
    3: NeutralCode.DECLINED,
    4: NeutralCode.REFUSED_FOR_GOOD,
    5: NeutralCode.DO_NOT_HONOR,
    6: NeutralCode.REVOKED_BY_CLIENT,
    7: NeutralCode.REVOKED_BY_CLIENT,
    9: NeutralCode.DECLINED,
    12: NeutralCode.NOT_PERMITTED,
    13: NeutralCode.DECLINED,
    14: NeutralCode.INVALID_ACCOUNT,
    15: NeutralCode.INVALID_ISSUER,
    17: NeutralCode.CARD_LIMIT,
    18: NeutralCode.DECLINED,
    19: NeutralCode.ISSUER_UNAVAILABLE,
    20: NeutralCode.ISSUER_UNAVAILABLE,
    21: NeutralCode.DECLINED,
    22: NeutralCode.ISSUER_UNAVAILABLE,
    24: NeutralCode.CARD_DATA,
    25: NeutralCode.DECLINED,
    27: NeutralCode.DECLINED,
    29: NeutralCode.ISSUER_UNAVAILABLE,
    30: NeutralCode.DECLINED,
    41: NeutralCode.REFUSED_FOR_GOOD,
    43: NeutralCode.REFUSED_FOR_GOOD,
    46: NeutralCode.ACCOUNT_CLOSED,
    51: NeutralCode.INSUFFICIENT_FUNDS,
    52: NeutralCode.INVALID_ACCOUNT,
    54: NeutralCode.EXPIRED,
    55: NeutralCode.DECLINED,
    57: NeutralCode.NOT_PERMITTED,
    58: NeutralCode.NOT_PERMITTED,
    59: NeutralCode.REFUSED_FOR_GOOD,
    61: NeutralCode.CARD_LIMIT,
    62: NeutralCode.NOT_PERMITTED,
    63: NeutralCode.REFUSED_FOR_GOOD,
    65: NeutralCode.CARD_LIMIT,
    75: NeutralCode.DECLINED,
    76: NeutralCode.INVALID_ACCOUNT,
    77: NeutralCode.INVALID_ACCOUNT,
    78: NeutralCode.INVALID_ACCOUNT,
    80: NeutralCode.CARD_DATA,
    82: NeutralCode.SECURITY_CODE,
    83: NeutralCode.DECLINED,
    84: NeutralCode.REFUSED_FOR_GOOD,
    93: NeutralCode.REFUSED_FOR_GOOD,
    96: NeutralCode.ISSUER_UNAVAILABLE,
    99: NeutralCode.DECLINED,
    100: NeutralCode.DECLINED,
    101: NeutralCode.SECURITY_CODE,
    133: NeutralCode.DECLINED,
    143: NeutralCode.CARD_DATA,
    199: NeutralCode.DECLINED,
}

# Refusals by issuer, gateway or ProPay after which no money moved under this reference.
DECLINES: Mapping[int, NeutralCode] = MappingProxyType(
    {
        **_SAME_NUMBERS_IN_ALL_LISTS,
        227: NeutralCode.DECLINED,
        250: NeutralCode.SECURITY_CODE,
        561: NeutralCode.MERCHANT_LIMIT,
        562: NeutralCode.MERCHANT_LIMIT,
        564: NeutralCode.CARD_BLOCKED,  # ASSUMED: 500 + XML status 64
    }
)

# Listed as approvals in one numbering or another, and never settled: neither money nor a refusal until looked up.
PSEUDO_APPROVALS = frozenset({8, 10, 11, 85, 97, 98})

# An earlier send of ours exists: look it up, never read it as a refusal. 569 is ASSUMED (500 + XML status 69).
DUPLICATES = frozenset({69, 94, 223, 569})

# Refused before an issuer was asked: certainly not executed.
NOT_EXECUTED: Mapping[int, Blame] = MappingProxyType(
    {
        134: Blame.US,
        135: Blame.US,
        200: Blame.MERCHANT,
        201: Blame.METHOD,
        204: Blame.MERCHANT,
        206: Blame.US,
        212: Blame.METHOD,
        214: Blame.US,
        # The practice's limit at the gateway: no card is at fault, and smaller charges of the same practice pass, so
        # neither the method nor the practice's queue is stopped.
        224: Blame.US,
        225: Blame.US,
        226: Blame.US,
        230: Blame.MERCHANT,
        300: Blame.MERCHANT,
        301: Blame.US,
        302: Blame.US,
        304: Blame.MERCHANT,
        308: Blame.METHOD,
        309: Blame.METHOD,
        310: Blame.US,
        311: Blame.US,
        312: Blame.METHOD,
        313: Blame.METHOD,
        314: Blame.METHOD,
        315: Blame.METHOD,
        318: Blame.US,
        319: Blame.US,
        320: Blame.US,
        321: Blame.MERCHANT,
        322: Blame.MERCHANT,
        330: Blame.MERCHANT,
        341: Blame.METHOD,
        544: Blame.US,
        567: Blame.MERCHANT,
        568: Blame.MERCHANT,
        700: Blame.METHOD,
    }
)

# A void refused with one of these may be too late, already done, or aimed at a wrong number: only a look tells.
# 590, 600 and 604 are ASSUMED (500 + XML statuses 90, 100 and 104).
VOID_REFUSALS = frozenset({23, 551, 590, 600, 604})

# A refund refused with one of these may be done already, too early, or aimed at a wrong number: only a look tells.
# All but 551 are ASSUMED (500 + XML statuses 90, 100, 101 and 104).
REFUND_REFUSALS = frozenset({551, 590, 600, 601, 604})

# Refunds that people must make possible first. 563 is ASSUMED (500 + XML status 63).
REFUND_DENIALS: Mapping[int, Denial] = MappingProxyType({563: Denial.FUNDS_SHORT})

# HTTP statuses of an answer without a result object that prove a rejection before processing.
REJECTED_UNPROCESSED: Mapping[int, Blame] = MappingProxyType(
    {401: Blame.MERCHANT, 403: Blame.MERCHANT, 404: Blame.US, 405: Blame.US}
)

# --- XML search -------------------------------------------------------------------------------------------------------

XML_FOUND = 0
XML_NOTHING_FOUND = 77
# ASSUMED: one of this word and status 77 is the answer to a search without a hit; both are accepted.
XML_NOT_FOUND_WORD = "not_found"

DEBIT_STATUS: Mapping[str, Seen] = MappingProxyType(
    {
        "CCDebitPending": Seen.APPROVED,
        "CCDebitSettled": Seen.SETTLED,
        "CCDebitFunded": Seen.SETTLED,
        "CCDebitDeclined": Seen.DECLINED,
        "CCDebitVoided": Seen.VOIDED,
    }
)
CREDIT_STATUS = frozenset({"CCCreditAuth", "CCCreditSettled"})


def account_number(account: str) -> str:
    """ASSUMED: the XML interface knows a practice by the same number as its MerchantProfileId."""
    return account


# --- Reports ----------------------------------------------------------------------------------------------------------

# ASSUMED: CTDR has the columns documented for ARDR, these words describe its rows, and a row that gives money back
# repeats the charge's InvoiceNumber and names it in ParentTransactionId.
ROW_CHARGE = "+CC"
ROW_VOID = "+CC Void"
ROW_REFUND = "-CC"
ROW_CHARGEBACK = "-CC Chargeback"
REPORT_OK = 200
