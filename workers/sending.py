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

_log = structlog.get_logger()

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Claimed:
    """An owned attempt and when its claim began: seconds of `monotonic`, read before the claim's transaction."""

    owned: Owned
    began_s: float
    monotonic: Callable[[], float] = elapsed_s


async def send(
    claimed: Claimed, call: Callable[[str], Awaitable[Answer]], *, what: str, budget: timedelta
) -> Answer | NotExecuted | Unknown:
    """Call the processor with the frozen request, unless the send budget is over; `what` names the call in traces.

    A process that was stopped and goes on must not send: its lease may be over and another attempt made. Every
    exception of an adapter is a bug, and leaves the outcome unknown.
    """
    late_s = claimed.monotonic() - claimed.began_s - budget.total_seconds()
    if late_s > 0:
        return NotExecuted(
            code="send_budget", blame=Blame.NOTHING, detail=f"not sent: {late_s:.1f} s past the send budget"
        )
    reached("send_allowed")
    try:
        with traces.request(what):
            answer = await call(claimed.owned.request_text)
    except Exception as error:  # noqa: BLE001  # whatever an adapter's bug raises, the request may be on the wire
        _log.exception("adapter_failed", payment_id=str(claimed.owned.payment_id))
        return Unknown(code="adapter_failed", detail=type(error).__name__)
    reached("send_answered")
    return answer
