"""What the statements of lists, reports and the console are asked in `test_plans.py`."""

from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from psycopg.types.json import Jsonb

from tests.integration.plan_history import (
    CLINICIAN,
    IN_A_BATCH,
    IN_REVIEW,
    LIVE,
    OPEN_INVOICES,
    PRACTICE,
    SELECTED,
    live,
)
from tests.integration.plan_questions import DAY, INVOICES, MINUTE, PAST, PAST_BATCH, SCOPE, Question, asked

PAST_PAYMENT: Final = UUID(int=(PAST - 1) * IN_A_BATCH + 1)
DRAFT: Final = UUID(int=LIVE + 1)
DRAFTED: Final = len(SELECTED)
PAGE: Final = 26
OWN: Final = {"practice_id": PRACTICE, "clinician_id": CLINICIAN}
FIRST_PAGE: Final = {"after_text": "", "after_number": 0, "after_id": None, "limit": PAGE}
UNSEARCHED: Final = {"posting": None, "search": None, "search_number": None}
OWN_BATCHES: Final = {**FIRST_PAGE, **UNSEARCHED, "pending_states": ["queued"], "id": None, "number": None}
# Later than all history, so that a page after it would be read from the newest row on.
AFTER_ALL: Final = FIRST_PAGE | {"after_number": 2**53, "after_id": UUID(int=2**128 - 1)}


def questions_of_screens() -> dict[str, list[Question]]:
    """By `file.statement`."""
    return {**_lists(), **_console()}


def _lists() -> dict[str, list[Question]]:
    report = {**SCOPE, "batch_id": PAST_BATCH, "limit": 101}
    searched = {"states": None, "or_in_review": False, "search": None, "urgent": ["unknown"]}
    return {
        "batches.newest": [
            asked(PAGE, **SCOPE, **FIRST_PAGE, **UNSEARCHED),
            asked(PAGE, **SCOPE, **AFTER_ALL, **UNSEARCHED),
            asked(PAGE, **SCOPE, **FIRST_PAGE, **UNSEARCHED | {"posting": "pending"}),
        ],
        "batches.newest_own": [
            asked(PAGE * IN_A_BATCH, **OWN, **OWN_BATCHES),
            asked(IN_A_BATCH, **OWN, **OWN_BATCHES | {"number": 1000 + PAST}),
            asked(IN_A_BATCH, **OWN, **OWN_BATCHES | {"id": PAST_BATCH}),
        ],
        "batches.one": [
            asked(1, **SCOPE, id=PAST_BATCH, number=None),
            asked(1, **SCOPE, id=None, number=1000 + PAST),
        ],
        "batches.breakdown": [asked(IN_A_BATCH, **SCOPE, batch_ids=[PAST_BATCH])],
        "progress.of_batches": [
            asked(2 * IN_A_BATCH, **SCOPE, batch_ids=[PAST_BATCH], lately=MINUTE, stuck=30 * MINUTE)
        ],
        "report.payments": [
            asked(IN_A_BATCH, **report, payment_id=None, after_id=None),
            asked(101, **report, payment_id=None, after_id=PAST_PAYMENT),
            asked(1, **SCOPE, batch_id=None, payment_id=PAST_PAYMENT, after_id=None, limit=1),
        ],
        "report.page": [
            asked(
                IN_A_BATCH, **SCOPE, **FIRST_PAGE, **searched, batch_id=PAST_BATCH, sort="attention", descending=False
            )
        ],
        "report.events": [asked(3, payment_id=PAST_PAYMENT)],
        "report.said": [asked(4, payment_id=IN_REVIEW[0])],
        "report.attempts": [asked(3, payment_id=PAST_PAYMENT)],
        "reviews.waiting": [asked(len(IN_REVIEW) + 2, **SCOPE)],
        "reviews.cases": [asked(len(IN_REVIEW), **SCOPE, after_id=None, limit=PAGE)],
        "reviews.count_resolved": [asked(50, **SCOPE, limit=50)],
        "reviews.resolved": [asked(PAGE, **SCOPE, before_id=None, limit=PAGE)],
        "invoices.page": [
            asked(
                OPEN_INVOICES,
                **SCOPE,
                **FIRST_PAGE,
                filter=Jsonb({}),
                show=show,
                draft_id=DRAFT,
                sort=sort,
                descending=False,
            )
            for show, sort in (("all", "client"), ("ready", "amount"), ("selected", "client"))
        ],
        "invoices.matching": [
            asked(OPEN_INVOICES, **SCOPE, filter=Jsonb({})),
            asked(OPEN_INVOICES, **SCOPE, filter=Jsonb({"service_from": "2020-01-01", "client": "Client 1"})),
        ],
    }


def _console() -> dict[str, list[Question]]:
    draft = {"id": DRAFT}
    key = {"key_sha256": bytes(32)}
    lives = {"idle": 30 * MINUTE, "longest": 8 * 60 * MINUTE}
    return {
        "drafts.forget_old": [asked(10, practice_id=PRACTICE, kept=7 * DAY)],
        "drafts.start": [asked(1, **SCOPE, owner="person-1", payment_number=None, retry_of=None)],
        "drafts.find": [
            asked(DRAFTED, **SCOPE, owner="person-1", id=None),
            asked(DRAFTED, **SCOPE, owner="person-1", id=DRAFT),
        ],
        "drafts.save_number": [asked(1, **draft, payment_number="1")],
        "drafts.touch": [asked(1, **draft)],
        "drafts.close": [asked(1, **draft)],
        "drafts.add": [asked(20, **draft, **SCOPE, invoices=live(81, 100))],
        "drafts.add_named": [asked(20, **draft, **SCOPE, invoices=INVOICES)],
        "drafts.add_matching": [asked(OPEN_INVOICES, **draft, **SCOPE, filter=Jsonb({}), limit=50_000)],
        "drafts.remove": [asked(10, **draft, invoices=SELECTED[:10])],
        "drafts.clear": [asked(DRAFTED, **draft)],
        "drafts.undo_clear": [asked(DRAFTED, **draft)],
        "drafts.invoices": [asked(DRAFTED, **draft)],
        "drafts.summary": [asked(DRAFTED, **draft)],
        "drafts.same_card": [asked(DRAFTED, **draft, limit=3)],
        "drafts.sessions": [asked(DRAFTED, **draft, limit=PAGE, skip=0, largest_first=False)],
        "drafts.differences": [asked(DRAFTED, **draft, limit=100)],
        "drafts.refresh": [asked(DRAFTED, **draft)],
        "sessions.forget_old": [asked(300, kept=7 * DAY)],
        "sessions.use_token": [asked(1, token_sha256=b"", expires_at=datetime.now(UTC))],
        "sessions.sign_in": [asked(1, **SCOPE, **key, subject="person-1", name="Person", permissions=["billing"])],
        "sessions.keep_alive": [asked(1, **key, **lives)],
        "sessions.find": [asked(3, **key, **lives)],
        "sessions.sign_out": [asked(1, **key)],
        "sessions.practice_of": [asked(1, practice_id=PRACTICE)],
        "sessions.people": [asked(10, practice_id=PRACTICE)],
    }
