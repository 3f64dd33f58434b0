"""Moments of a trace as sentences. Support reads them beside logs, so states and references keep their own names."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from shared.domain.payment import Event
from shared.store.trace import Moment

_STEPS: Final[Mapping[Event, str]] = MappingProxyType(
    {
        Event.CLAIM: "claimed and sent",
        Event.SKIP: "not sent",
        Event.CANCEL: "taken out before it was sent",
        Event.APPROVE: "the processor approved it",
        Event.SETTLE: "the processor settled it",
        Event.PROCESS: "the processor accepted it and will answer later",
        Event.DECLINE: "declined",
        Event.NOT_EXECUTED: "proven not executed",
        Event.LOSE_TRACK: "outcome not known: looked up, never guessed",
        Event.RESEND: "sent again under the same key",
        Event.SEEN_VOIDED: "the processor shows it voided outside",
        Event.SEEN_REFUNDED: "the processor shows it refunded outside",
        Event.EVIDENCE_PAID: "the processor shows that money was taken",
        Event.MARK_VOID: "void asked for: voided as soon as the outcome is known",
        Event.REQUEST_VOID: "void asked for",
        Event.CONFIRM_VOID: "voided",
        Event.TOO_LATE: "too late to void: refund instead",
        Event.VOID_OPEN: "void sent",
        Event.REQUEST_REFUND: "refund asked for",
        Event.CONFIRM_REFUND: "refunded",
        Event.REJECT_REFUND: "refund refused",
        Event.REFUND_OPEN: "refund sent",
        Event.REFUND_FAILED: "the refund failed at the bank",
        Event.SEEN_SETTLED: "settled although it was voided",
        Event.OBSERVE: "noted",
    }
)


def said(moment: Moment) -> str:
    """What happened, in words."""
    return _SAID[moment.what](moment.detail or {})


def _step(detail: dict[str, Any]) -> str:
    words = _STEPS[Event(detail["event"])]
    about = [
        *([f"attempt {detail['attempt']}"] if "attempt" in detail else []),
        *([f"code {detail['code']}"] if "code" in detail else []),
        *([detail["fact"]] if "fact" in detail else []),
    ]
    return f"{_move(detail)}: {words}" + (f" ({', '.join(about)})" if about else "")


def _move(detail: dict[str, Any]) -> str:
    return detail["from"] if detail["from"] == detail["to"] else f"{detail['from']} -> {detail['to']}"


def _steps(detail: dict[str, Any]) -> str:
    words = _STEPS[Event(detail["event"])]
    return f"{detail['payments']:,} payments {_move(detail)}: {words} (the last one {detail['until']})"


def _answer(detail: dict[str, Any]) -> str:
    why = " ".join(str(detail[name]) for name in ("code", "detail") if detail[name])
    number = f" as {detail['processor_reference']}" if detail["processor_reference"] else ""
    return f"{_request(detail)}: {detail['outcome']}{number}" + (f" ({why})" if why else "")


def _no_answer(detail: dict[str, Any]) -> str:
    return f"{_request(detail)}: no answer that says what became of it"


def _request(detail: dict[str, Any]) -> str:
    times = f"{detail['kind']} {detail['reference']}, attempt {detail['attempt']}, sent {detail['sends']}x"
    return times + (f", looked up {detail['lookups']}x" if detail["lookups"] else "")


def _resolution(detail: dict[str, Any]) -> str:
    answer = "not answered yet" if not detail["answered"] else detail["refusal"] or "believed"
    return f"said {detail['verdict']}: {detail['note']} ({answer})"


_SAID: Final[Mapping[str, Callable[[dict[str, Any]], str]]] = MappingProxyType(
    {
        "submitted": lambda _: "batch submitted: amount, card and processor were frozen",
        "finished": lambda detail: f"every payment had an outcome: {detail['status']}",
        "posted": lambda _: "everything was settled",
        "step": _step,
        "steps": _steps,
        "answer": _answer,
        "no_answer": _no_answer,
        "audit": lambda detail: f"{detail['action']} from {detail['source']}",
        "finding": lambda detail: f"finding {detail['kind']}: {detail['detail']}",
        "finding_resolved": lambda detail: f"finding {detail['kind']} resolved: {detail['note'] or 'by itself'}",
        "resolution": _resolution,
        "dispute": lambda detail: f"dispute, {detail['standing']}",
    }
)
