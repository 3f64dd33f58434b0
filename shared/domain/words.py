"""The closed sets of words that the whole system shares."""

from enum import StrEnum


class ProcessorName(StrEnum):
    VANTAGE = "vantage"
    STRIPE = "stripe"


class AttemptKind(StrEnum):
    CHARGE = "charge"
    VOID = "void"
    REFUND = "refund"
