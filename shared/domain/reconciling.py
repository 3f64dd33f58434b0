"""Our books against a processor's, of one account and day. Pure: lines and what we know in, differences out."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from shared.domain import money, sightings
from shared.domain.answers import Seen, Sighting
from shared.domain.books import Line, Move
from shared.domain.finding_kinds import Kind
from shared.domain.payment import NEVER_CHARGED, State
from shared.domain.reviewing import also, observe, review
from shared.domain.snapshot import Attempt, Finding, Payment, Step

_REFERENCE = re.compile(r"[a-z0-9]{1,8}-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})-(\d{1,4})")
# A charge in one of these is about to be recorded by who sent it: its line is no difference yet.
_IN_HAND = (State.SENDING,)
# What agrees with a charge line alone: that it was given back is in the books of the day on which it was.
_TAKEN = (State.SETTLED, State.VOIDING, State.REFUNDING, State.REFUNDED)
# Books must show a charge in one of these. A voided one they may leave out.
_KEPT = (State.APPROVED, State.SETTLED, State.REFUNDING, State.REFUNDED)
_NOTHING_TAKEN = (State.QUEUED, *NEVER_CHARGED)


@dataclass(frozen=True, slots=True)
class Known:
    """A charge of ours. `returning`: a void or refund of ours gave it back, or is doing so; `refunded_at` is when."""

    payment_id: UUID
    attempt_id: UUID
    reference: str
    processor_ref: str | None
    amount_minor: int
    state: State
    first_send_at: datetime
    last_send_at: datetime
    took_money: bool
    returning: bool
    refunded_at: datetime | None


@dataclass(frozen=True, slots=True)
class Shown:
    """A charge of ours as these lines show it."""

    known: Known
    lines: tuple[Line, ...]

    @property
    def charge(self) -> bool:
        return any(line.move is Move.CHARGE for line in self.lines)

    @property
    def money_back(self) -> bool:
        return any(line.move is not Move.CHARGE for line in self.lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class Matched:
    shown: Sequence[Shown]
    strangers: Sequence[Line]


def named_by(reference: str) -> tuple[UUID, int] | None:
    """The payment and the attempt's number that a reference of ours names; None for any other text."""
    found = _REFERENCE.fullmatch(reference)
    return (UUID(found[1]), int(found[2])) if found else None


def match(lines: Iterable[Line], known: Iterable[Known]) -> Matched:
    """Lines by the charge of ours that they belong to; the processor's own name of a charge wins over the reference."""
    charges = list(known)
    by_ref = {one.processor_ref: one for one in charges if one.processor_ref}
    by_reference = {one.reference: one for one in charges}
    shown: dict[UUID, tuple[Known, list[Line]]] = {}
    strangers = []
    for line in lines:
        one = by_ref.get(line.charge_ref) or by_reference.get(line.reference)
        if one is None:
            strangers.append(line)
        else:
            shown.setdefault(one.attempt_id, (one, []))[1].append(line)
    return Matched(shown=[Shown(one, tuple(rows)) for one, rows in shown.values()], strangers=strangers)


def stranger(line: Line, *, currency: str) -> Finding | None:
    """Money that moved without us. Money back is found with its charge: alone it says nothing new."""
    if line.move is not Move.CHARGE:
        return None
    kind = Kind.FORGOTTEN_CHARGE if named_by(line.reference) else Kind.OUTSIDE_CHARGE
    bears = f", reference {line.reference}" if line.reference else ""
    return Finding(kind=kind, detail=f"{line.charge_ref} took {money.words(line.amount_minor, currency)}{bears}")


def differs(shown: Shown) -> bool:
    """Whether these lines say anything that we do not have already."""
    known, seen = shown.known, _seen(shown)
    if known.state in _IN_HAND:
        return False
    if seen is None or _charged_otherwise(shown) is not None:
        return True
    if seen is Seen.SETTLED:
        return known.state not in _TAKEN
    return not (known.returning or known.state in (State.VOIDED, State.REFUNDED))


def caught_up(shown: Shown, payment: Payment, attempt: Attempt, *, now: datetime) -> Step | None:
    """What follows for a locked payment from lines that differ: the step of the normal path, or a review."""
    taken_minor = _charged_otherwise(shown)
    if taken_minor is not None:
        shown_words, sent_words = (money.words(each, payment.currency) for each in (taken_minor, attempt.amount_minor))
        reason = f"the books show {shown_words} for {attempt.reference}, we sent {sent_words}"
        return under_review(payment, attempt, Kind.AMOUNT_DIFFERS, reason)
    seen = _seen(shown)
    sighting = Sighting(
        # What was given back in part had settled.
        seen=seen or Seen.SETTLED,
        reference=attempt.reference,
        processor_ref=shown.lines[0].charge_ref,
        history_ref=None,
        amount_minor=attempt.amount_minor,
    )
    step = sightings.seen(payment, attempt, sighting, unchanged=False, now=now)
    if seen is None:
        return _given_back_in_part(shown, payment, attempt, step)
    if step is None and payment.state in _NOTHING_TAKEN:
        reason = f"the books show {attempt.reference} taken and given back"
        return under_review(payment, attempt, Kind.STATUS_DIFFERS, reason)
    return step and _told(step)


def _given_back_in_part(shown: Shown, payment: Payment, attempt: Attempt, settled: Step | None) -> Step | None:
    returned, whole = (money.words(each, payment.currency) for each in (_returned_minor(shown), attempt.amount_minor))
    reason = f"{returned} of {whole} was given back for {attempt.reference}"
    if settled is None:
        return under_review(payment, attempt, Kind.PARTIAL_REFUND, reason)
    after = settled.after._replace(review_reason=also(settled.after, reason))
    return replace(settled, after=after, finding=Finding(kind=Kind.PARTIAL_REFUND, detail=reason))


def _told(step: Step) -> Step:
    """A step that corrects our books is told as a finding; that a charge settled in its time is none."""
    if step.finding is not None or not step.moved:
        return step
    was, now = step.before.state, step.after.state
    if was in (State.APPROVED, State.PROCESSING) and now is State.SETTLED:
        return step
    kind = Kind.UNKNOWN_FOUND if was is State.UNKNOWN else Kind.STATUS_DIFFERS
    return replace(step, finding=Finding(kind=kind, detail=f"was {was}, the books show it {now}"))


def under_review(payment: Payment, attempt: Attempt, kind: Kind, reason: str) -> Step | None:
    """Put the payment before people; None if it is there for this reason already."""
    step = review(payment, attempt, reason)
    return step and replace(step, finding=Finding(kind=kind, detail=reason))


def charge_missing(payment: Payment, attempt: Attempt) -> Step | None:
    """Complete books do not show a charge that we have as paid."""
    if payment.state not in _KEPT or payment.current_attempt != attempt.id:
        return None
    return under_review(payment, attempt, Kind.NOT_IN_BOOKS, _not_shown(attempt))


def never_settles(payment: Payment, attempt: Attempt) -> Step | None:
    """No settlement report will show this approved charge any more: looking is over, people take it from here."""
    if payment.state is not State.APPROVED or payment.current_attempt != attempt.id:
        return None
    told = charge_missing(payment, attempt) or observe(payment, attempt, _not_shown(attempt))
    return replace(told, after=told.after._replace(next_check_at=None))


def _not_shown(attempt: Attempt) -> str:
    return f"the books do not show {attempt.reference}"


def return_missing(payment: Payment, attempt: Attempt) -> Step | None:
    """Complete books do not show that a charge was given back, which we have as confirmed."""
    if payment.state is not State.REFUNDED:
        return None
    reason = f"the books do not show that {attempt.reference} was given back"
    return under_review(payment, attempt, Kind.RETURN_NOT_IN_BOOKS, reason)


def _charged_otherwise(shown: Shown) -> int | None:
    """The amount of a charge line that is not what we sent."""
    return next(
        (
            line.amount_minor
            for line in shown.lines
            if line.move is Move.CHARGE and line.amount_minor != shown.known.amount_minor
        ),
        None,
    )


def _returned_minor(shown: Shown) -> int:
    return sum(line.amount_minor for line in shown.lines if line.move is not Move.CHARGE)


def _seen(shown: Shown) -> Seen | None:
    """How the charge stands by these lines; None where only a part of it was given back."""
    if any(line.move is Move.VOID for line in shown.lines):
        return Seen.VOIDED
    returned_minor = _returned_minor(shown)
    if not returned_minor:
        return Seen.SETTLED
    return Seen.REFUNDED if returned_minor >= shown.known.amount_minor else None


def fees(shown: Iterable[Shown]) -> Mapping[UUID, int]:
    """What the processor kept of each charge, by attempt, where its books tell."""
    return {
        one.known.attempt_id: line.fee_minor
        for one in shown
        for line in one.lines
        if line.move is Move.CHARGE and line.fee_minor is not None
    }
