"""Puts an owned attempt on the wire, or does not: the last check before the first byte."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import structlog

from shared.crash_points import reached
from shared.domain.answers import Blame, NotExecuted, Unknown
from shared.store.payments import Owned
from shared.telemetry import traces
from workers.clock import elapsed_s
from workers.processors.departure import Departure

_log = structlog.get_logger()

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Claimed:
    """An owned attempt and when its claim began: seconds of `monotonic`, read before the claim's transaction."""

    owned: Owned
    began_s: float
    monotonic: Callable[[], float] = elapsed_s


class _Check:
    """The last check before the first byte: whether the send budget is over. It keeps when the request left."""

    def __init__(self, claimed: Claimed, budget: timedelta, left: Callable[[], None]) -> None:
        self._claimed = claimed
        self._until_s = claimed.began_s + budget.total_seconds()
        self._left = left
        self.sent_s: float | None = None
        self.late_s = 0.0
        self.asked_again = False

    def may_go(self) -> bool:
        if self.sent_s is not None:
            self.asked_again = True
            return False
        now_s = self._claimed.monotonic()
        self.late_s = max(now_s - self._until_s, 0.0)
        if self.late_s > 0:
            return False
        self.sent_s = now_s
        self._left()
        reached("send_allowed")
        return True

    @property
    def took_s(self) -> float | None:
        """How long ago the request left, if it did."""
        return None if self.sent_s is None else self._claimed.monotonic() - self.sent_s


async def send(
    claimed: Claimed,
    call: Callable[[str, Departure], Awaitable[Answer]],
    *,
    what: str,
    budget: timedelta,
    first: bool = False,
    took: Callable[[float], None] = lambda _seconds: None,
) -> Answer | NotExecuted | Unknown:
    """Call the processor with the frozen request, unless the send budget is over when its turn comes.

    A process that was stopped and goes on must not send: its lease may be over and another attempt made. Every
    exception of an adapter is a bug, and leaves the outcome unknown. `what` names the call in traces; `took` is told
    the seconds from the first byte to the answer.
    """
    try:
        with traces.request(what) as left:
            check = _Check(claimed, budget, left)
            answer = await call(claimed.owned.request_text, Departure(check.may_go, first))
    except Exception as error:  # noqa: BLE001  # whatever an adapter's bug raises, the request may be on the wire
        _log.exception("adapter_failed", payment_id=str(claimed.owned.payment_id))
        return Unknown(code="adapter_failed", detail=type(error).__name__)
    if check.asked_again:
        # It says what became of the second request, which did not leave. The first one did.
        _log.error("adapter_asked_twice", payment_id=str(claimed.owned.payment_id))
        return Unknown(code="adapter_failed", detail="it wanted to send twice")
    if check.late_s > 0:
        return NotExecuted(
            code="send_budget", blame=Blame.NOTHING, detail=f"not sent: {check.late_s:.1f} s past the send budget"
        )
    reached("send_answered")
    if (seconds := check.took_s) is not None:
        took(seconds)
    return answer
