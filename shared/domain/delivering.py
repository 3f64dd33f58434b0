"""When a webhook is sent again, and when its receiver is given up."""

from datetime import datetime, timedelta
from typing import Final

# After each failed try: three days in all. A restart is over after seconds, a bad release after hours, a weekend later.
PAUSES: Final = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)
# A pause is longer by up to this share, so that what failed together does not come back together.
JITTER: Final = 0.2
# The failure budget: nothing has arrived for so long, in so many tries. A quiet practice's few failures are no proof.
FAILING_AT_MOST: Final = timedelta(days=5)
FAILURES_AT_LEAST: Final = 10
# After a rotation receivers have this long to change their secret.
OLD_SECRET_VALID: Final = timedelta(hours=24)
# Deliveries that are done can be seen, and replayed, for this long. Then these copies of events are deleted.
KEPT: Final = timedelta(days=30)


def pause_after(attempts: int, *, jitter: float) -> timedelta | None:
    """The pause after the failure of the last of `attempts` tries; None if it was the last one. `jitter`: 0 to 1."""
    return PAUSES[attempts - 1] * (1 + JITTER * jitter) if attempts <= len(PAUSES) else None


def is_budget_spent(failures: int, failing_since: datetime, *, now: datetime) -> bool:
    return failures >= FAILURES_AT_LEAST and now - failing_since >= FAILING_AT_MOST


def webhook_id(event_id: str) -> str:
    """The same whenever an event is sent. It has no full stop: in what is signed, one stands behind it."""
    return event_id.replace(".", "-")
