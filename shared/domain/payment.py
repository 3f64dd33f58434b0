"""The states of a payment and every legal step between them, as data.

Authority: the model-checked protocol, section 3. SQL guards (`sources(TABLE, event)`), the table `legal_transition`
in the database and the diagram in the README are computed from `TABLE`; tests walk every (state, event) pair.
"""

from enum import StrEnum

from shared.domain.machine import IllegalTransitionError, Transition


class State(StrEnum):
    QUEUED = "queued"
    SENDING = "sending"
    UNKNOWN = "unknown"
    PROCESSING = "processing"
    APPROVED = "approved"
    SETTLED = "settled"
    VOIDING = "voiding"
    REFUNDING = "refunding"
    DECLINED = "declined"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELED = "canceled"
    VOIDED = "voided"
    REFUNDED = "refunded"
    SURPLUS = "surplus"


class Event(StrEnum):
    CLAIM = "claim"
    SKIP = "skip"
    CANCEL = "cancel"
    APPROVE = "approve"
    SETTLE = "settle"
    PROCESS = "process"
    DECLINE = "decline"
    NOT_EXECUTED = "not_executed"
    LOSE_TRACK = "lose_track"
    RESEND = "resend"
    SEEN_VOIDED = "seen_voided"
    SEEN_REFUNDED = "seen_refunded"
    EVIDENCE_PAID = "evidence_paid"
    MARK_VOID = "mark_void"
    REQUEST_VOID = "request_void"
    CONFIRM_VOID = "confirm_void"
    TOO_LATE = "too_late"
    VOID_OPEN = "void_open"
    REQUEST_REFUND = "request_refund"
    CONFIRM_REFUND = "confirm_refund"
    REJECT_REFUND = "reject_refund"
    REFUND_OPEN = "refund_open"
    REFUND_FAILED = "refund_failed"
    SEEN_SETTLED = "seen_settled"
    OBSERVE = "observe"


# The states in which a payment holds its invoice: no second payment may exist beside it.
LIVE = (
    State.QUEUED,
    State.SENDING,
    State.UNKNOWN,
    State.PROCESSING,
    State.APPROVED,
    State.SETTLED,
    State.VOIDING,
    State.REFUNDING,
)
# The states in which something is still to be found out or done; the janitor looks at each of them.
UNFINISHED = (
    State.QUEUED,
    State.SENDING,
    State.UNKNOWN,
    State.PROCESSING,
    State.APPROVED,
    State.VOIDING,
    State.REFUNDING,
    State.SURPLUS,
)
# The states in which money is taken and not given back.
TAKEN = (State.APPROVED, State.SETTLED, State.VOIDING, State.REFUNDING)
# The final states in which no money was taken.
NEVER_CHARGED = (State.DECLINED, State.FAILED, State.SKIPPED, State.CANCELED)

_S, _E = State, Event


def _steps() -> list[Transition]:
    table: list[Transition] = []

    def add(source: State, event: Event, *targets: State, guard: str = "") -> None:
        table.extend(Transition(source, event, target, guard) for target in targets)

    add(_S.QUEUED, _E.CLAIM, _S.SENDING, guard="due, no void asked for, no hold, recheck passed, card slot free")
    add(_S.QUEUED, _E.SKIP, _S.SKIPPED, guard="recheck failed")
    add(_S.QUEUED, _E.CANCEL, _S.CANCELED, guard="void asked for")
    for source in (_S.SENDING, _S.UNKNOWN):
        add(source, _E.APPROVE, _S.APPROVED, _S.VOIDING, guard="money taken at Vantage; voiding if void was asked for")
    for source in (_S.SENDING, _S.UNKNOWN, _S.PROCESSING):
        add(source, _E.SETTLE, _S.SETTLED, guard="money taken and settled")
        add(source, _E.DECLINE, _S.DECLINED, guard="definite for this key")
    for source in (_S.SENDING, _S.UNKNOWN):
        add(source, _E.PROCESS, _S.PROCESSING, guard="Stripe accepted and answers later")
        add(
            source,
            _E.NOT_EXECUTED,
            _S.CANCELED,
            _S.QUEUED,
            _S.FAILED,
            guard="no send open or absence final; canceled if void was asked for, queued if it may be tried again",
        )
        add(source, _E.MARK_VOID, source, guard="void asked for; acted on when the outcome is known")
    add(_S.SENDING, _E.LOSE_TRACK, _S.UNKNOWN, guard="lease over, outcome unknown, or refused with another send open")
    add(_S.UNKNOWN, _E.RESEND, _S.SENDING, guard="Stripe, key young enough, no void asked for, card slot free")
    for source in (_S.SENDING, _S.UNKNOWN, _S.APPROVED, _S.SETTLED):
        add(source, _E.SEEN_VOIDED, _S.VOIDED, guard="the processor shows it")
        add(source, _E.SEEN_REFUNDED, _S.REFUNDED, guard="the processor shows it")
    for source in (_S.QUEUED, *NEVER_CHARGED):
        add(
            source,
            _E.EVIDENCE_PAID,
            _S.APPROVED,
            _S.SETTLED,
            _S.VOIDING,
            _S.SURPLUS,
            guard="money was taken after all; surplus if another live payment holds the invoice; always reviewed",
        )
    add(_S.APPROVED, _E.SETTLE, _S.SETTLED, guard="settlement report")
    add(_S.APPROVED, _E.REQUEST_VOID, _S.VOIDING, guard="Vantage")
    add(_S.VOIDING, _E.CONFIRM_VOID, _S.VOIDED, guard="success answer, or a lookup shows it voided")
    add(_S.VOIDING, _E.TOO_LATE, _S.SETTLED, guard="a lookup shows it settled: refund instead")
    add(_S.VOIDING, _E.VOID_OPEN, _S.VOIDING, guard="refused, unknown or lease over: look it up, send again")
    add(_S.SETTLED, _E.REQUEST_REFUND, _S.REFUNDING, guard="no dispute")
    add(_S.REFUNDING, _E.CONFIRM_REFUND, _S.REFUNDED, guard="success answer, or a lookup shows it")
    add(_S.REFUNDING, _E.REJECT_REFUND, _S.SETTLED, guard="definite refusal with no send open, or absence final")
    add(_S.REFUNDING, _E.REFUND_OPEN, _S.REFUNDING, guard="unknown or lease over: look it up")
    add(_S.REFUNDED, _E.REFUND_FAILED, _S.SETTLED, guard="webhook; reviewed")
    add(_S.VOIDED, _E.SEEN_SETTLED, _S.SETTLED, guard="settlement report; reviewed")
    add(_S.SURPLUS, _E.REQUEST_VOID, _S.VOIDING, guard="on that attempt")
    add(_S.SURPLUS, _E.REQUEST_REFUND, _S.REFUNDING, guard="on that attempt")
    for state in _S:
        add(state, _E.OBSERVE, state, guard="a fact worth keeping that changes nothing")
    return table


TABLE: tuple[Transition, ...] = tuple(_steps())


# Every step is checked, thousands of times a second: a look-up, not a walk.
_LEGAL: frozenset[tuple[str, str, str]] = frozenset((t.source, t.event, t.target) for t in TABLE)


def check(source: State, event: Event, target: State) -> None:
    """Raise `IllegalTransitionError` unless the table allows this step."""
    if (source, event, target) not in _LEGAL:
        raise IllegalTransitionError(f"{source} --{event}--> {target} is not in the transition table")
