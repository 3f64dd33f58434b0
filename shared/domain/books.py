"""What a processor's books show of an account: the money of one day, and disputes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from shared.domain.answers import LookupFailed


class Move(StrEnum):
    CHARGE = "charge"
    VOID = "void"
    REFUND = "refund"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Money that moved. `reference` is ours if the processor kept one, `charge_ref` its own name of the charge, and
    `own_ref` that of the line, which is the charge's for the charge itself. `fee_minor` is what the processor kept.
    """

    move: Move
    reference: str
    charge_ref: str
    own_ref: str
    amount_minor: int
    fee_minor: int | None = None


class Standing(StrEnum):
    OPEN = "open"
    WON = "won"
    LOST = "lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispute:
    """A charge that the client's bank takes back. `standing` is how it stands now: the practice won or lost it."""

    processor_ref: str
    charge_ref: str
    amount_minor: int
    standing: Standing


@dataclass(frozen=True, slots=True, kw_only=True)
class DayBooks:
    """An account's money of one day as the processor counts days.

    `as_of` is the processor's clock. Only `complete` books tell by what they do not show that it did not happen.
    """

    day: date
    as_of: datetime
    complete: bool
    lines: Sequence[Line]
    disputes: Sequence[Dispute]


BooksAnswer = DayBooks | LookupFailed
DisputesAnswer = Sequence[Dispute] | LookupFailed
