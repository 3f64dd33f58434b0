"""When to look again: every waiting row has a date for its next look."""

from datetime import datetime, timedelta

# Looks at an unknown outcome: soon while a person watches, seldom later.
LOOKUP_STEPS = (
    timedelta(seconds=10),
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=12),
)
# By then Stripe has forgotten every key and the reports of both days of a Vantage charge are out: what is not known yet
# is not found out by looking.
UNKNOWN_LONGEST = timedelta(hours=48)
# A hint that has not led to a claim is repeated after this long; hints are cheap and a lost queue is rare.
HINT_AGAIN = timedelta(seconds=60)
# An approved charge is looked for in the settlement report this often.
SETTLEMENT_CHECK = timedelta(hours=1)
# A charge that was certainly not executed is tried again after these pauses, then given up for a person to retry.
RETRY_PAUSES = (timedelta(seconds=2), timedelta(seconds=10), timedelta(seconds=60), timedelta(minutes=5))
# A processor that asks for a longer pause gets this one: longer would hold a batch back because of one odd header.
RETRY_LONGEST = timedelta(minutes=10)
# Trouble with the merchant's account stops its queue this long before it is tried again.
MERCHANT_HOLD = timedelta(minutes=15)


def next_lookup(now: datetime, lookups: int) -> datetime:
    """The date of the next look after `lookups` looks."""
    return now + LOOKUP_STEPS[min(lookups, len(LOOKUP_STEPS) - 1)]


def retry_pause(attempts: int) -> timedelta | None:
    """The pause before another attempt after `attempts` attempts; None when there is none left."""
    return RETRY_PAUSES[attempts - 1] if 0 < attempts <= len(RETRY_PAUSES) else None
