"""Typed twin of `sql/payment.sql` and `sql/attempt.sql`: lock payments, read attempts, write steps.

Nothing here commits. Times come from the database's clock.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any, Final
from uuid import UUID

import orjson
from psycopg import AsyncConnection

from schemas.events import PaymentEvent
from shared.domain.claiming import Recheck
from shared.domain.machine import sources
from shared.domain.payment import TABLE, Event, State
from shared.domain.schedule import HINT_AGAIN
from shared.domain.snapshot import Attempt, Payment, Step
from shared.domain.taken import money_delta
from shared.domain.words import AttemptKind, ProcessorName
from shared.store.statements import load

_PAYMENT: Final = load("payment")
_ATTEMPT: Final = load("attempt")
_CLAIM_SOURCES: Final = list(sources(TABLE, Event.CLAIM))
# The statements select a snapshot's columns first, in the order of its fields; a test compares the two.
_PAYMENT_WIDTH: Final = len(Payment._fields)
_PROCESSOR, _STATE = Payment._fields.index("processor"), Payment._fields.index("state")
_KIND, _BY = Attempt._fields.index("kind"), Attempt._fields.index("processor")
_WRITTEN_FIELDS: Final = (
    "id", "state", "version", "due_at", "next_check_at", "claim_token", "lease_until", "on_wire", "attempts",
    "current_attempt", "void_requested_at", "void_requested_by", "reason_code", "reason_category", "reason_raw_code",
    "review_reason", "surplus_at", "finished_at",
)  # fmt: skip
_written: Final = attrgetter(*_WRITTEN_FIELDS)
# What changes of an attempt after it was made.
_LEARNT_FIELDS: Final = (
    "id", "open_sends", "sends", "last_send_at", "last_claimed_at", "lookups", "outcome", "outcome_code",
    "outcome_detail", "processor_ref", "history_ref", "absence_final_at", "surplus_at", "finished_at",
)  # fmt: skip
_learnt: Final = attrgetter(*_LEARNT_FIELDS)

# Where those are hinted who give money back.
RETURN_LANES: Final = {State.VOIDING: "void", State.REFUNDING: "refund"}

# The processor blocks a card for a day after three failed attempts in ten minutes: two are enough.
SOFT_DECLINES_TO_REST: Final = 2
SOFT_DECLINE_WINDOW: Final = timedelta(minutes=10)

Connection = AsyncConnection[Any]


class StepLostError(Exception):
    """A payment changed between its lock and its write, which the row lock should make impossible."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A payment that may be claimed, with what the claim reads again."""

    payment: Payment
    recheck: Recheck
    now: datetime


@dataclass(frozen=True, slots=True)
class Locked:
    """A payment under its row lock; `now` was read after the lock was ours."""

    payment: Payment
    now: datetime


@dataclass(frozen=True, slots=True)
class Owned:
    """What a claimer must know to send. `claim` is the step that claimed it, if this process wrote it."""

    payment_id: UUID
    token: UUID
    attempt_id: UUID
    request_text: str
    claim: Step | None = field(default=None, compare=False)


def _payment(row: Sequence[Any]) -> Payment:
    values = list(row[:_PAYMENT_WIDTH])
    values[_PROCESSOR], values[_STATE] = ProcessorName(values[_PROCESSOR]), State(values[_STATE])
    return Payment._make(values)


def _attempt(row: Sequence[Any]) -> Attempt:
    values = list(row)
    values[_BY], values[_KIND] = ProcessorName(values[_BY]), AttemptKind(values[_KIND])
    return Attempt._make(values)


async def lock_for_claim(connection: Connection, ids: Sequence[UUID]) -> list[Candidate]:
    """Lock those of `ids` that are queued, due and not locked by somebody else, ordered by card."""
    cursor = await connection.execute(_PAYMENT["lock_for_claim"], {"ids": list(ids), "sources": _CLAIM_SOURCES})
    return [
        Candidate(_payment(row), Recheck._make(row[_PAYMENT_WIDTH + 1 :]), row[_PAYMENT_WIDTH])
        for row in await cursor.fetchall()
    ]


async def lock(connection: Connection, ids: Sequence[UUID]) -> list[Locked]:
    """Lock payments, waiting for others; ordered by card."""
    cursor = await connection.execute(_PAYMENT["lock"], {"ids": list(ids)})
    return [Locked(_payment(row), row[_PAYMENT_WIDTH]) for row in await cursor.fetchall()]


async def lock_claimed(connection: Connection, claims: Sequence[Step]) -> list[Locked]:
    """Lock payments on the wire, waiting for others; those that are still as their claim left them.

    What a claim wrote is not read again. Every step raises `version`, so no step came between; what else changes a row,
    a look at it that is due earlier or later, changes `next_check_at`, which another claim in a restored database has
    at another time too. And whoever is on the wire holds its invoice.
    """
    known = {claim.after.id: claim.after for claim in claims}
    cursor = await connection.execute(_PAYMENT["lock_claimed"], {"ids": list(known)})
    return [
        Locked(payment, now)
        for payment_id, version, next_check_at, now in await cursor.fetchall()
        if (payment := known[payment_id]).version == version and payment.next_check_at == next_check_at
    ]


async def attempts(connection: Connection, ids: Iterable[UUID]) -> dict[UUID, Attempt]:
    """Attempts by id. Read them after their payments are locked."""
    cursor = await connection.execute(_ATTEMPT["by_id"], {"ids": list(ids)})
    found = [_attempt(row) for row in await cursor.fetchall()]
    return {attempt.id: attempt for attempt in found}


async def surplus_attempts(connection: Connection, ids: Iterable[UUID]) -> dict[UUID, Attempt]:
    """The newest attempt of each of these payments that took money beside another attempt, by payment."""
    cursor = await connection.execute(_ATTEMPT["surplus"], {"payments": list(ids)})
    found = [_attempt(row) for row in await cursor.fetchall()]
    return {attempt.payment_id: attempt for attempt in found}


async def open_return(connection: Connection, charge: UUID) -> Attempt | None:
    """The open void or refund of a charge."""
    row = await (await connection.execute(_ATTEMPT["open_return"], {"charge": charge})).fetchone()
    return _attempt(row) if row else None


async def queued_on_cards(connection: Connection, cards: Iterable[str]) -> list[UUID]:
    """Payments that still wait for one of these cards, by their tokens."""
    cursor = await connection.execute(_PAYMENT["queued_on_cards"], {"cards": list(cards)})
    return [row[0] for row in await cursor.fetchall()]


async def resting_cards(connection: Connection, cards: Iterable[str]) -> set[str]:
    """Those of these cards that were softly declined so often of late that they must rest."""
    parameters = {"cards": list(cards), "declines": SOFT_DECLINES_TO_REST, "within": SOFT_DECLINE_WINDOW}
    cursor = await connection.execute(_PAYMENT["resting_cards"], parameters)
    return {row[0] for row in await cursor.fetchall()}


async def hold_account(connection: Connection, processor: str, account: str, *, until: datetime, reason: str) -> None:
    """Stop claiming for a merchant's account until then."""
    parameters = {"processor": processor, "account": account, "until": until, "reason": reason}
    await connection.execute(_PAYMENT["hold_account"], parameters)


async def live_of_batch(connection: Connection, batch_id: UUID, *, after: UUID, limit: int) -> list[UUID]:
    """The next payments of a batch that a void can still change, in id order."""
    parameters = {"batch_id": batch_id, "after": after, "limit": limit}
    cursor = await connection.execute(_PAYMENT["live_of_batch"], parameters)
    return [row[0] for row in await cursor.fetchall()]


async def mine(connection: Connection, tokens: dict[UUID, UUID]) -> list[Owned]:
    """Which of these claims (payment id -> token) are really held: the truth after an ambiguous COMMIT."""
    # The lock waits until the lost transaction has ended; only a statement that begins afterwards sees its attempt.
    await connection.execute(_PAYMENT["lock_only"], {"ids": list(tokens)})
    cursor = await connection.execute(_PAYMENT["mine"], {"ids": list(tokens), "tokens": list(tokens.values())})
    return [Owned(*row) for row in await cursor.fetchall() if tokens[row[0]] == row[1]]


async def postpone(connection: Connection, due: dict[UUID, datetime]) -> None:
    """Let queued payments wait until their account is free again, and hint them then."""
    parameters = {"ids": list(due), "due_at": list(due.values()), "hint_again": HINT_AGAIN}
    await connection.execute(_PAYMENT["postpone"], parameters)


async def hint_after_pause(connection: Connection, ids: Sequence[UUID]) -> None:
    """Put the hints of queued payments back into the outbox, where the relay leaves them until their processor runs."""
    await connection.execute(_PAYMENT["hint_after_pause"], {"ids": list(ids)})


# --- Writing ----------------------------------------------------------------------------------------------------------


async def write(connection: Connection, steps: Sequence[Step], *, actor: str, now: datetime) -> None:
    """Write steps of payments that this transaction has locked: rows, attempts, events, invoices, outbox, findings.

    At most one step per payment and call; `now` dates their events. Raises StepLostError if a row is not as it was
    locked.
    """
    if not steps:
        return
    tried = [(step.attempt, step.attempt.id == step.before.current_attempt) for step in steps if step.attempt]
    parameters = {
        "payments": _json([_known(_WRITTEN_FIELDS, _written(step.after)) for step in steps]),
        "attempts": _json([_known(Attempt._fields, attempt) for attempt, current in tried if not current]),
        # The attempt that its payment names is there: what it was made with is not written again.
        "learnt": _json([_known(_LEARNT_FIELDS, _learnt(attempt)) for attempt, current in tried if current]),
        "events": _json([_event_row(step) for step in steps]),
        "invoices": _json(_invoice_rows(steps, now)),
        "findings": _json([_finding_row(step) for step in steps if step.finding]),
        "outbox": _json([row for step in steps for row in _outbox_rows(step, now)]),
        "freed": [step.after.token for step in steps if step.before.on_wire and not step.after.on_wire],
        "actor": actor,
    }
    cursor = await connection.execute(_PAYMENT["write_steps"], parameters)
    row = await cursor.fetchone()
    if row is None or row[:2] != (len(steps), len(tried)):
        raise StepLostError(f"wrote {row and row[:2]} of {len(steps)} steps and {len(tried)} attempts")


def _json(rows: list[dict[str, Any]]) -> str:
    return orjson.dumps(rows).decode()


def _known(fields: Iterable[str], values: Iterable[Any]) -> dict[str, Any]:
    """A row without what is null in it: PostgreSQL takes what is missing as null, and is spared the reading."""
    return {field: value for field, value in zip(fields, values, strict=True) if value is not None}


def _event_row(step: Step) -> dict[str, Any]:
    detail = dict(step.detail or {})
    if step.attempt:
        detail.setdefault("attempt", step.attempt.n)
        if step.attempt.outcome_code:
            detail["code"] = step.attempt.outcome_code
    return {
        "payment_id": step.after.id,
        "attempt_id": step.attempt.id if step.attempt else None,
        "event": step.event,
        "from_state": step.before.state,
        "to_state": step.after.state,
        "detail": detail or None,
    }


def _invoice_rows(steps: Sequence[Step], now: datetime) -> list[dict[str, Any]]:
    """How each invoice changes, at most once in a call: no two payments pay one invoice at the same time."""
    return [
        {
            "id": step.after.invoice_id,
            "delta_minor": delta,
            "batch_id": step.after.batch_id,
            "payment_id": step.after.id,
            "routing_key": (routing_key := "invoice.paid" if delta > 0 else "invoice.reopened"),
            "told": _invoice_event(step.after, delta, routing_key, now),
        }
        for step in steps
        if (delta := money_delta(step.before, step.after))
    ]


def _invoice_event(payment: Payment, delta_minor: int, routing_key: str, now: datetime) -> str:
    """The JSON of an `InvoiceEvent` up to what only the invoice's row knows: `sequence` and `amount_due_minor`."""
    event = {
        "schema_version": 1,
        "event_id": f"{payment.id}.{payment.version}.invoice",
        "type": routing_key,
        "occurred_at": now,
        "practice_id": payment.practice_external_id,
        "invoice_id": payment.invoice_external_id,
        "batch_id": payment.batch_id,
        "batch_number": f"BP-{payment.batch_number}",
        "payment_id": payment.id,
        "amount_minor": abs(delta_minor),
        "currency": payment.currency,
    }
    return orjson.dumps(event).decode().removesuffix("}")


def _finding_row(step: Step) -> dict[str, Any]:
    assert step.finding
    return {
        "practice_id": step.after.practice_id,
        "payment_id": step.after.id,
        "attempt_id": step.attempt.id if step.attempt else None,
        "kind": step.finding.kind,
        "detail": step.finding.detail,
    }


def _outbox_rows(step: Step, now: datetime) -> Iterable[dict[str, Any]]:
    payment = step.after
    if not step.moved:
        return
    # Sending is not told: it lasts seconds, changes no count, and would double the events of a charge.
    if payment.state is not State.SENDING:
        event = _event(step, now)
        yield {
            "lane": "event",
            "batch_id": payment.batch_id,
            "payment_id": payment.id,
            "routing_key": event.type,
            "body": event.model_dump_json(exclude_none=True),
        }
    if payment.state in RETURN_LANES:
        yield {"lane": RETURN_LANES[payment.state], "batch_id": payment.batch_id, "payment_id": payment.id}
    if payment.state is State.QUEUED:
        lane = f"charge.{payment.processor}"
        yield {
            "lane": lane,
            "batch_id": payment.batch_id,
            "payment_id": payment.id,
            "available_at": payment.due_at,
        }


def _event(step: Step, now: datetime) -> PaymentEvent:
    payment = step.after
    return PaymentEvent(
        event_id=f"{payment.id}.{payment.version}",
        type=f"payment.{payment.state}",
        occurred_at=now,
        practice_id=payment.practice_external_id,
        batch_id=payment.batch_id,
        batch_number=f"BP-{payment.batch_number}",
        payment_id=payment.id,
        invoice_id=payment.invoice_external_id,
        sequence=payment.version,
        state=payment.state.value,
        amount_minor=payment.amount_minor,
        currency=payment.currency,
        reason_code=payment.reason_code,
        reason_category=payment.reason_category,
    )
