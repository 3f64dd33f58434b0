"""What the statements of support and operators are asked in `test_plans.py`."""

from datetime import UTC, datetime
from uuid import UUID

from tests.integration.plan_history import IN_A_BATCH, LIVE_PAYMENTS, QUEUED
from tests.integration.plan_questions import DAY, MINUTE, PAST, PAST_BATCH, Question, asked

ACCOUNT = {"processor": "vantage", "account": "account-1"}
OF_A_PAYMENT = {"id": UUID(int=(PAST - 1) * IN_A_BATCH + 1)}
# One row each: a processor, a timeline, an account.
FEW = 10


def questions_of_operations() -> dict[str, list[Question]]:
    """By `file.statement`."""
    return {**_pauses(), **_queues(), **_restores(), **_trace()}


def _pauses() -> dict[str, list[Question]]:
    who = {"processor": "vantage", "by": "person-1", "source": "test"}
    paused = "INSERT INTO processor_pause (processor, paused_by, reason) VALUES ('vantage', 'x', 'x')"
    return {
        "pauses.pause": [asked(FEW, **who, reason="x")],
        "pauses.resume": [asked(FEW, paused, **who)],
        "pauses.paused": [asked(FEW, paused)],
        "pauses.is_paused": [asked(FEW, paused, processor="vantage")],
        "payment.hint_after_pause": [asked(20, ids=QUEUED)],
    }


def _queues() -> dict[str, list[Question]]:
    return {"queues.lanes": [asked(LIVE_PAYMENTS)], "queues.payments": [asked(LIVE_PAYMENTS)]}


def _restores() -> dict[str, list[Question]]:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    held = (
        "INSERT INTO restore_hold (processor, account, since, found_at)"
        " VALUES ('vantage', 'account-1', '2026-01-01Z', '2026-01-01Z')"
    )
    hold = {**ACCOUNT, "found_at": moment}
    return {
        "restores.seen": [asked(FEW)],
        "restores.begin": [asked(LIVE_PAYMENTS, since=moment)],
        "restores.held": [asked(FEW, held, **ACCOUNT)],
        "restores.take": [asked(FEW, held, again=MINUTE)],
        "restores.unfinished": [asked(LIVE_PAYMENTS, held, **hold, after=UUID(int=0), limit=500)],
        "restores.ask": [asked(FEW, held, **hold, days=[(moment - DAY).date()], asked_by="janitor")],
        "restores.strangers": [asked(FEW, held, **hold, kind="forgotten_charge")],
        "restores.wait": [asked(FEW, held, **hold, waits_for="x", next_try_at=moment, more=1)],
        "restores.release": [asked(FEW, held, **hold, more=1)],
        "restores.listed": [asked(FEW, held)],
    }


def _trace() -> dict[str, list[Question]]:
    batch = {"id": PAST_BATCH}
    return {
        "trace.batches_named": [asked(2, number=PAST, practice="practice-1"), asked(2, number=PAST, practice=None)],
        "trace.batch": [asked(IN_A_BATCH, **batch)],
        "trace.payment": [asked(1, **OF_A_PAYMENT)],
        "trace.payment_moments": [asked(2 * IN_A_BATCH, **OF_A_PAYMENT)],
        "trace.batch_moments": [asked(10 * IN_A_BATCH, **batch)],
        "trace.unclear": [asked(IN_A_BATCH, **batch, states=["unknown", "sending"], limit=20)],
    }
