"""What was taken, given back and kept, by batch and by day."""

from datetime import date
from typing import Final

from pydantic import ConfigDict, Field

from schemas.http.base import Answer, JsonDate, Sent

MOST_DAYS: Final = 92


class Money(Answer):
    """Sums over the steps of payments: net is gross less fees, voids, refunds and disputes."""

    charges: int
    gross_minor: int
    fees_minor: int = Field(description="What the processor kept, as its books say.")
    fees_unknown: int = Field(description="Charges whose fee is not in the books yet; it counts as nothing.")
    net_minor: int
    pending_minor: int = Field(description="Charged, not settled.")
    posted_minor: int = Field(description="Charged, settled, not given back.")
    voided_minor: int
    refunded_minor: int
    disputed_minor: int = Field(description="Taken back by clients' banks, unless the practice won.")


class MoneyOfDay(Money):
    day: date


class MoneyOfDays(Answer):
    total: Money
    days: list[MoneyOfDay] = Field(description="Days on which nothing moved are left out.")


class MoneyQuery(Sent):
    """Days by the practice's calendar, both included."""

    model_config = ConfigDict(strict=False, populate_by_name=True)

    from_: JsonDate = Field(alias="from")
    to: JsonDate
