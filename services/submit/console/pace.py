"""How a running batch gets on, in words: the time that is left, and what holds it up."""

from datetime import timedelta
from typing import Final, Literal

from shared.store.progress import LATELY, Progress

# Fewer say nothing about the rest.
_ENOUGH: Final = 10
# A processor answers within seconds; beside one answer that is late, two and this long a silence mean that none comes.
_SILENT: Final = timedelta(seconds=30)
_UNANSWERED: Final = 2
_HOUR: Final = 60  # minutes

Outage = Literal["paused", "silent"]


def time_left(progress: Progress | None, *, finished: int, waiting: int) -> str:
    """`About 1 minute left.`, rounded up; empty while nothing can be said."""
    if progress is None or outage(progress, waiting=waiting) or finished < _ENOUGH or not (progress.lately and waiting):
        return ""
    minutes = -(-waiting * int(LATELY.total_seconds()) // (progress.lately * 60))
    if minutes <= _HOUR:
        return f"About {minutes} minute{'s' if minutes > 1 else ''} left."
    hours = -(-minutes // _HOUR)
    return f"About {hours} hours left."


def outage(progress: Progress | None, *, waiting: int) -> Outage | None:
    """Why payments wait although nobody is at them: somebody paused the processor, or it does not answer."""
    if progress is None or not waiting:
        return None
    if progress.paused:
        return "paused"
    heard_at = progress.answered_at or progress.asked_at
    if progress.unanswered < _UNANSWERED or progress.asked_at is None or heard_at is None:
        return None
    silent_since = max(heard_at, progress.asked_at)
    return "silent" if progress.now - silent_since >= _SILENT else None
