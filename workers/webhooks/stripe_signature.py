"""Whether a webhook is Stripe's: its signature is an HMAC over the time and the body, under a secret that we share."""

import hashlib
import hmac
import re
from datetime import datetime, timedelta
from typing import Final

# Stripe signs every delivery anew, so an older one is a repetition by somebody else.
REPLAY_WINDOW: Final = timedelta(minutes=5)
_TIME: Final = re.compile(r"[0-9]{1,12}")


def is_signed(body: bytes, header: str, *, secret: str, now: datetime) -> bool:
    """While a secret is being replaced the header holds a signature under each; one that fits is enough."""
    parts = [part.strip().partition("=") for part in header.split(",")]
    times = [value for name, _, value in parts if name == "t"]
    if len(times) != 1 or not _TIME.fullmatch(times[0]):
        return False
    if abs(now.timestamp() - int(times[0])) > REPLAY_WINDOW.total_seconds():
        return False
    wanted = hmac.new(secret.encode(), f"{times[0]}.".encode() + body, hashlib.sha256).hexdigest().encode()
    given = [value.encode() for name, _, value in parts if name == "v1"]
    return any(hmac.compare_digest(wanted, one) for one in given)
