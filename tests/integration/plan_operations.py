"""What the statements of support and operators are asked in `test_plans.py`."""

from datetime import UTC, datetime
from uuid import UUID

from tests.integration.plan_history import IN_A_BATCH, LIVE_PAYMENTS, PRACTICE, QUEUED
from tests.integration.plan_questions import DAY, HINTING, MINUTE, PAST, PAST_BATCH, Question, asked

ACCOUNT = {"processor": "vantage", "account": "account-1"}
OF_A_PAYMENT = {"id": UUID(int=(PAST - 1) * IN_A_BATCH + 1)}
SUBSCRIPTION = PRACTICE
OPEN_DELIVERIES = LIVE_PAYMENTS
# One row each: a processor, a timeline, an account.
FEW = 10


def questions_of_operations() -> dict[str, list[Question]]:
    """By `file.statement`."""
    return {**_pauses(), **_queues(), **_restores(), **_trace(), **_subscriptions(), **_deliveries()}


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
    return {
        "queues.lanes": [asked(LIVE_PAYMENTS), asked(LIVE_PAYMENTS, HINTING)],
        "queues.payments": [asked(LIVE_PAYMENTS)],
        "queues.in_review": [asked(FEW)],
        "queues.findings": [asked(FEW)],
    }


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


def _subscriptions() -> dict[str, list[Question]]:
    one = {"id": SUBSCRIPTION, "practice_id": PRACTICE}
    disabled = (
        "UPDATE subscription SET state = 'disabled', disabled_at = now(), disabled_by = 'x', disabled_why = 'asked'"
    )
    return {
        "subscriptions.subscribe": [
            asked(
                FEW,
                practice_id=PRACTICE,
                url="https://example.com",
                types=["batch.*"],
                by="x",
                most=20,
                secret="whsec_",
            )
        ],
        "subscriptions.page": [asked(FEW, practice_id=PRACTICE, after_id=UUID(int=0), limit=20)],
        "subscriptions.one": [asked(1, **one)],
        "subscriptions.practice_of": [asked(1, id=SUBSCRIPTION)],
        "subscriptions.lock": [asked(1, **one)],
        "subscriptions.expire_secret": [asked(1, id=SUBSCRIPTION, valid=DAY)],
        "subscriptions.add_secret": [
            asked(1, "UPDATE subscription_secret SET expires_at = now()", id=SUBSCRIPTION, secret="whsec_")
        ],
        "subscriptions.disable": [asked(1, **one, by="x", why="asked")],
        "subscriptions.enable": [asked(OPEN_DELIVERIES, disabled, **one)],
        "subscriptions.unsubscribe": [asked(1, **one, by="x")],
    }


def _deliveries() -> dict[str, list[Question]]:
    of_one = {"subscription_id": SUBSCRIPTION}
    ids = [f"new-{n}" for n in range(20)]
    practices = ["practice-1"] * 20
    failed = {"id": UUID(int=PAST), "attempts": 1, "status": 500, "failure": "refused"}
    waiting = f"UPDATE delivery SET state = 'waiting', done_at = NULL WHERE id = '{UUID(int=PAST)}'"  # noqa: S608  # ours
    return {
        "deliveries.told": [asked(2, practices=["practice-1", "practice-2"])],
        "deliveries.keep": [
            asked(20, practices=practices, event_ids=ids, types=["payment.settled"] * 20, bodies=["{}"] * 20)
        ],
        "deliveries.add": [asked(1, id=SUBSCRIPTION, practice_id=PRACTICE, event_id="x", type="x", body="{}")],
        "deliveries.take": [asked(FEW, busy=[SUBSCRIPTION], busy_with=[1], abreast=8, at_most=500, lease=MINUTE)],
        "deliveries.delivered": [asked(1, waiting, id=UUID(int=PAST), status=200)],
        "deliveries.failed": [asked(1, waiting, **failed, pause=MINUTE), asked(1, waiting, **failed, pause=None)],
        "deliveries.page": [
            asked(25, **of_one, after_id=None, limit=25),
            asked(25, **of_one, after_id=UUID(int=IN_A_BATCH * PAST), limit=25),
        ],
        "deliveries.of_event": [asked(1, **of_one, event_id=f"past-{PAST}")],
        "deliveries.replay": [
            asked(
                IN_A_BATCH,
                **of_one,
                first=UUID(int=(PAST - 1) * IN_A_BATCH + 1),
                last=UUID(int=PAST * IN_A_BATCH),
                states=["failed", "held"],
            )
        ],
        "deliveries.hold": [
            asked(FEW, limit=1000),
            asked(
                OPEN_DELIVERIES,
                "UPDATE subscription"
                " SET state = 'disabled', disabled_at = now(), disabled_by = 'x', disabled_why = 'asked'",
                limit=1000,
            ),
        ],
        "deliveries.delete_old": [asked(100, kept=30 * DAY, limit=100)],
        "deliveries.backlog": [asked(2 * OPEN_DELIVERIES)],
    }
