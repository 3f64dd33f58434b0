"""What the statements about processors' books, webhooks, disputes and findings are asked in `test_plans.py`."""

from datetime import UTC, date, datetime
from uuid import UUID

from psycopg.types.json import Jsonb

from tests.integration.plan_history import BATCHES_A_DAY, DAYS, IN_A_BATCH, IN_REVIEW, PRACTICE, UNKNOWN
from tests.integration.plan_questions import DAY, MINUTE, PAST, RANGES_OF_A_DAY, SCOPE, Question, asked

ACCOUNT = {"processor": "vantage", "account": "account-1"}
# The first payment of an odd batch: refunded, and disputed before that.
DISPUTED = (PAST - 1) * IN_A_BATCH + 1


def questions_of_books() -> dict[str, list[Question]]:
    """By `file.statement`."""
    return {**_disputes(), **_findings(), **_money(), **_reconciliations(), **_webhooks()}


def _disputes() -> dict[str, list[Question]]:
    dispute = {**ACCOUNT, "processor_ref": "new", "payment_id": UNKNOWN[0], "attempt_id": UNKNOWN[0]}
    event = {"batch_id": UNKNOWN[0], "payment_id": UNKNOWN[0], "routing_key": "payment.disputed", "body": ""}
    return {
        "disputes.charge_of": [asked(1, **ACCOUNT, charge_ref=f"charge-{DISPUTED}")],
        "disputes.standing_of": [asked(1, **ACCOUNT, processor_ref=f"dispute-{DISPUTED}")],
        "disputes.write": [asked(1, **dispute, amount_minor=5000, standing="open")],
        "disputes.settle_finding": [
            asked(1, payment_id=UUID(int=DISPUTED), kind="chargeback", processor_ref=f"dispute-{DISPUTED}")
        ],
        "disputes.tell": [asked(1, **event)],
        "disputes.disputed": [asked(1, payments=[UUID(int=DISPUTED)])],
    }


def _findings() -> dict[str, list[Question]]:
    event = {"batch_id": str(UNKNOWN[0]), "routing_key": "finding.opened", "body": ""}
    ids = [*IN_REVIEW]
    return {
        "findings.open": [asked(1, practice_id=PRACTICE, kind="unknown_charge", subject="new", detail="")],
        "findings.untold": [asked(len(IN_REVIEW), limit=100)],
        "findings.tell": [asked(len(ids), ids=ids, done=["caught_up"], events=Jsonb([event]))],
        "findings.listed": [asked(len(IN_REVIEW), practice="practice-1", all=False)],
        "findings.resolve": [asked(1, id=IN_REVIEW[0], by="person-1", note="seen")],
    }


def _money() -> dict[str, list[Question]]:
    day = (datetime.now(UTC) - (DAYS - PAST / BATCHES_A_DAY) * DAY).date()
    return {
        "money.of_batch": [asked(2 * IN_A_BATCH, batch_id=UUID(int=PAST), clinician_id=None)],
        "money.of_days": [asked(RANGES_OF_A_DAY, **SCOPE, first=day, last=day)],
    }


def _reconciliations() -> dict[str, list[Question]]:
    that_day = datetime.now(UTC) - (DAYS - PAST / BATCHES_A_DAY) * DAY
    answered = {"failure": None, "complete": True, "lines": 1, "caught_up": 0}
    lines = [DISPUTED + n for n in range(IN_A_BATCH)]
    named = {
        "charge_refs": [f"charge-{n}" for n in lines],
        "payments": [UUID(int=n) for n in lines],
        "numbers": [1] * len(lines),
    }
    plan = {"processors": ["vantage"], "days": [date(2026, 1, 1)], "ends": [datetime.now(UTC)], "asked_by": "janitor"}
    return {
        "reconciliations.plan": [asked(2, **plan)],
        "reconciliations.ask": [asked(1, practice="practice-1", day=date(2026, 1, 1), asked_by="person-1")],
        "reconciliations.take": [asked(len(IN_REVIEW), limit=100, again=MINUTE)],
        "reconciliations.answer": [asked(1, id=IN_REVIEW[0], **answered)],
        "reconciliations.answer_of": [asked(1, id=IN_REVIEW[0])],
        "reconciliations.known": [asked(2 * RANGES_OF_A_DAY, **ACCOUNT, **named, since=that_day, until=that_day + DAY)],
        "reconciliations.keep_fees": [asked(len(IN_REVIEW), attempts=IN_REVIEW, fees=[1] * len(IN_REVIEW))],
    }


def _webhooks() -> dict[str, list[Question]]:
    event = {"processor": "vantage", "event_id": "open-37"}
    return {
        "webhooks.keep": [
            asked(
                1, processor="vantage", event_id="new", account="account-1", type="t", charge_ref=None, reference=None
            )
        ],
        "webhooks.take": [asked(len(IN_REVIEW), limit=100, again=MINUTE)],
        "webhooks.charge_of": [
            asked(1, **ACCOUNT, charge_ref=f"charge-{DISPUTED}", payment_id=None, n=None),
            asked(1, **ACCOUNT, charge_ref=None, payment_id=UUID(int=DISPUTED), n=1),
        ],
        "webhooks.confirmed_refund": [asked(1, attempt_id=UUID(int=DISPUTED))],
        "webhooks.look_soon": [asked(1, payment_id=UNKNOWN[0], states=["unknown"])],
        "webhooks.handled": [asked(1, **event, outcome="looked")],
    }
