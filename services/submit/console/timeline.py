"""One payment's steps in words: a fact each, oldest first, and last what has not happened yet."""

from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Final, NamedTuple

from services.submit.console.formats import Formats
from services.submit.console.pages import Shell
from services.submit.console.words import VERDICTS
from services.submit.explain import payment_reason
from shared.domain.eligibility import PROCESSOR_NAMES
from shared.domain.payment import Event, State
from shared.domain.resolving import Verdict
from shared.store.report import ReportRow, TimelineAttempt, TimelineEvent, TimelineWord


class _Words(NamedTuple):
    what: str
    icon: str
    tone: str = ""
    more: str = ""


# `{processor}`, `{amount}` and `{approval}`, where the processor gave a code, are filled in.
_WORDS: Final = {
    Event.CLAIM: _Words("Sent to {processor}", "send", "info", "Invoice and card were checked again just before."),
    Event.RESEND: _Words("Sent to {processor} again", "send", "info", "Under the same key: it cannot charge twice."),
    Event.APPROVE: _Words("Approved", "tick-ring", "ok", "{amount}.{approval} The client was charged once."),
    Event.SETTLE: _Words("Settled", "tick-disc", "ok", "{amount} is on its way to the practice."),
    Event.PROCESS: _Words("The bank is processing it", "clock", "info", "The outcome comes later."),
    Event.DECLINE: _Words("Declined", "cross-ring", "bad"),
    Event.NOT_EXECUTED: _Words("Not executed", "slashed", "", "{processor} did not charge the card."),
    Event.LOSE_TRACK: _Words(
        "No clear answer", "question", "warn", "The outcome is unknown, so nothing is sent again."
    ),
    Event.SKIP: _Words("Skipped", "dash-ring"),
    Event.CANCEL: _Words("Taken out before charging", "dash-ring", "", "The card was not charged."),
    Event.MARK_VOID: _Words("Void asked for", "back-arrow", "", "It is voided as soon as its outcome is known."),
    Event.REQUEST_VOID: _Words("Void asked for", "back-arrow"),
    Event.VOID_OPEN: _Words("Void sent to {processor}", "send", "info"),
    Event.CONFIRM_VOID: _Words(
        "Voided", "back-arrow", "ok", "The hold on the card is gone. The invoice is open again."
    ),
    Event.TOO_LATE: _Words("Too late to void", "warning", "warn", "{processor} had settled it. It can be refunded."),
    Event.SEEN_VOIDED: _Words("Voided outside of Batchpay", "back-arrow", "warn", "The invoice is open again."),
    Event.SEEN_REFUNDED: _Words("Refunded outside of Batchpay", "refund-arrow", "warn", "The invoice is open again."),
    Event.SEEN_SETTLED: _Words("Settled after all", "warning", "bad", "{processor} settled it although it was voided."),
    Event.EVIDENCE_PAID: _Words("Found charged at {processor}", "warning", "warn", "The record was corrected."),
    Event.REQUEST_REFUND: _Words("Refund asked for", "refund-arrow"),
    Event.REFUND_OPEN: _Words("Refund sent to {processor}", "send", "info"),
    Event.CONFIRM_REFUND: _Words("Refunded", "refund-arrow", "ok", "The invoice is open again."),
    Event.REJECT_REFUND: _Words("Refund refused", "cross-ring", "bad", "The money stays with the practice."),
    Event.REFUND_FAILED: _Words("Refund failed at the bank", "warning", "bad", "The money came back to the practice."),
    Event.OBSERVE: _Words("Looked up at {processor}", "look", "info"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """`happened` is false for what is still to come."""

    at: datetime
    what: str
    icon: str
    tone: str
    more: str
    happened: bool = True


def entries(
    row: ReportRow,
    events: list[TimelineEvent],
    attempts: list[TimelineAttempt],
    words: list[TimelineWord],
    *,
    formats: Formats,
    shell: Shell,
) -> list[Entry]:
    """Every step of this payment, what people said of it, and its settlement if that is to come."""
    happened = [
        Entry(
            at=row.submitted_at,
            what="Batch submitted",
            icon="page",
            tone="",
            more=f"By {shell.name(row.submitted_by)}. Amount and card were frozen.",
        ),
        *(_entry(row, event, attempts, formats, shell) for event in events),
        *(_word(word, formats, shell) for word in words),
    ]
    said = sorted(happened, key=attrgetter("at"))
    if row.state == State.APPROVED and row.processor == "vantage":
        said.append(_settlement(attempts, formats))
    return said


def _entry(
    row: ReportRow, event: TimelineEvent, attempts: list[TimelineAttempt], formats: Formats, shell: Shell
) -> Entry:
    words = _WORDS[Event(event.event)]
    made = (event.detail or {}).get("attempt")
    filled = {
        "processor": PROCESSOR_NAMES[row.processor],
        "amount": formats.money(row.amount_minor, row.currency),
        "approval": "".join(
            f" Approval {one.approval_code}." for one in attempts if one.n == made and one.approval_code
        ),
    }
    more = [words.more.format(**filled)] if words.more else []
    if event.event in {Event.DECLINE, Event.SKIP, Event.NOT_EXECUTED} and event.to_state == row.state:
        reason = payment_reason(row.reason_code, row.reason_category)
        more = [reason.message] if reason else more
    if event.event == Event.OBSERVE:
        fact = str((event.detail or {}).get("fact", ""))
        words = _WORDS[Event.OBSERVE] if "found" in fact else _Words("Noted", "page")
        more = [_sentence(fact)]
    if event.event in {Event.REQUEST_VOID, Event.MARK_VOID, Event.CANCEL}:
        more = [f"By {shell.name(row.void_requested_by)}.", *more] if row.void_requested_by else more
    if event.event == Event.REQUEST_REFUND:
        more = _refund(event, shell)
    return Entry(
        at=event.at,
        what=words.what.format(**filled),
        icon=words.icon,
        tone=words.tone,
        more=" ".join(filter(None, more)),
    )


def _word(word: TimelineWord, formats: Formats, shell: Shell) -> Entry:
    """What a person said about the payment under review, with the evidence and what became of it."""
    number = f" Transaction {word.processor_ref}." if word.processor_ref else ""
    became = ""
    if word.refusal is not None:
        became = f" It was not believed: {word.refusal.rstrip('.')}."
    elif word.answered_at is not None:
        became = f" Taken {formats.moment(word.answered_at)}."
    return Entry(
        at=word.asked_at,
        what=f"{shell.name(word.asked_by)} said: {VERDICTS[Verdict(word.verdict)].lower()}",
        icon="person",
        tone="warn" if word.refusal is not None else "",
        more=f"\N{LEFT DOUBLE QUOTATION MARK}{word.note}\N{RIGHT DOUBLE QUOTATION MARK}{number}{became}",
    )


def _refund(event: TimelineEvent, shell: Shell) -> list[str]:
    """Who asked, who approved where two were needed, and why."""
    detail = event.detail or {}
    approved_by, reason = detail.get("approved_by"), detail.get("reason")
    by = f"By {shell.name(event.actor)}" + (f", approved by {shell.name(approved_by)}." if approved_by else ".")
    return [by, f"Reason: \N{LEFT DOUBLE QUOTATION MARK}{reason}\N{RIGHT DOUBLE QUOTATION MARK}"] if reason else [by]


def _sentence(fact: str) -> str:
    return f"{fact[:1].upper()}{fact[1:].rstrip('.')}." if fact else ""


def _settlement(attempts: list[TimelineAttempt], formats: Formats) -> Entry:
    sent_at = next((one.first_send_at for one in reversed(attempts) if one.kind == "charge"), None)
    at = formats.settles_at(sent_at)
    overdue = at <= formats.now()
    return Entry(
        at=at,
        what="Settles with the next report" if overdue else f"Settles {formats.settlement(sent_at)}",
        icon="clock",
        tone="",
        more="Not yet happened." if overdue else "Not yet happened. Until then it can be voided without a fee.",
        happened=False,
    )
