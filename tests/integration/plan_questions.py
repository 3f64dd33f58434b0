"""What the statements of workers, submits and pushes are asked in `test_plans.py`."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

import psycopg
from psycopg.types.json import Json, Jsonb

from shared.store import statements
from tests.integration.plan_history import (
    BATCHES_A_DAY,
    DAYS,
    IN_A_BATCH,
    IN_REVIEW,
    LIVE,
    LIVE_PAYMENTS,
    OPEN_INVOICES,
    PRACTICE,
    QUEUED,
    RUNNING_BATCH,
    SENDING,
    UNKNOWN,
    UNSETTLED,
    VOIDING,
)

PAST: Final = 501  # a batch of the first half of the history, an odd one: of the practice that asks
PAST_BATCH: Final = UUID(int=PAST)
WAITING_APPROVAL: Final = UUID(int=LIVE + 2)
WAITING_REFUND: Final = UUID(int=LIVE + 57)
MINUTE: Final = timedelta(minutes=1)
DAY: Final = timedelta(days=1)
CARDS: Final = [f"client-{1 + n}" for n in range(1, 101)]
PUSHED: Final = 50
# Attempts in four ranges of 128 pages, which is as exactly as the index by day knows them: with the day, and around it.
RANGES_OF_A_DAY: Final = 4 * 128 * 50


# None of the running batch's first hints has left.
HINTING: Final = f"INSERT INTO batch_hint (lane, batch_id) VALUES ('charge.vantage', '{RUNNING_BATCH}')"  # noqa: S608  # our own id


class Question(NamedTuple):
    """Parameters, and `rows`: how many rows of a table they ask for at most."""

    rows: int
    parameters: dict[str, Any]
    before: tuple[str, ...] = ()


def asked(rows: int, *before: str, **parameters: Any) -> Question:
    return Question(rows, parameters, before)


SCOPE: Final = {"practice_id": PRACTICE, "clinician_id": None}
INVOICES: Final = [f"open-{n}" for n in range(61, 81)]


def questions_of_work(connection: psycopg.Connection) -> dict[str, list[Question]]:
    """By `file.statement`."""
    return {
        **_payments(connection),
        **_sweeps(),
        **_batches(),
        **_requests(),
        **_pushes(),
    }


def _payments(connection: psycopg.Connection) -> dict[str, list[Question]]:
    now = datetime.now(UTC)
    return {
        "payment.lock_for_claim": [asked(20, ids=QUEUED, sources=["queued"])],
        "payment.lock": [asked(20, ids=QUEUED)],
        "payment.lock_claimed": [asked(10, ids=SENDING)],
        "payment.queued_on_cards": [asked(100, cards=CARDS)],
        "payment.resting_cards": [asked(100, cards=CARDS, declines=2, within=10 * MINUTE)],
        "payment.hold_account": [asked(1, processor="vantage", account="account-1", until=now, reason="")],
        "payment.live_of_batch": [
            asked(LIVE_PAYMENTS, batch_id=RUNNING_BATCH, after=UUID(int=0), limit=1000),
            asked(IN_A_BATCH, batch_id=PAST_BATCH, after=UUID(int=0), limit=1000),
        ],
        "payment.lock_only": [asked(10, ids=SENDING)],
        "payment.mine": [asked(10, ids=SENDING, tokens=SENDING)],
        "payment.postpone": [asked(20, ids=QUEUED, due_at=[now] * 20, hint_again=MINUTE)],
        "payment.write_steps": [_steps(connection, tried) for tried in ("attempts", "learnt")],
        "attempt.by_id": [asked(10, ids=SENDING)],
        "attempt.open_return": [asked(1, charge=VOIDING[0])],
        "attempt.surplus": [asked(10, payments=UNKNOWN)],
    }


def _steps(connection: psycopg.Connection, tried: str) -> Question:
    """Steps with attempts that may be new, or with what was learnt of attempts that are there."""
    row = connection.execute(
        """SELECT
             jsonb_agg(to_jsonb(p) || jsonb_build_object('version', p.version + 1, 'state', 'settled', 'on_wire', false,
               'claim_token', NULL, 'lease_until', NULL, 'next_check_at', NULL)),
             jsonb_agg(to_jsonb(a) || jsonb_build_object('outcome', 'settled', 'open_sends', 0)),
             jsonb_agg(jsonb_build_object('payment_id', p.id, 'attempt_id', a.id, 'event', 'settle',
               'from_state', 'sending', 'to_state', 'settled')),
             jsonb_agg(jsonb_build_object('id', p.invoice_id, 'delta_minor', p.amount_minor, 'batch_id', p.batch_id,
               'payment_id', p.id, 'routing_key', 'invoice.paid', 'told', '{"schema_version":1')),
             jsonb_agg(jsonb_build_object('practice_id', p.practice_id, 'payment_id', p.id, 'kind', 'k', 'detail', '')),
             jsonb_agg(jsonb_build_object('lane', 'event', 'batch_id', p.batch_id, 'payment_id', p.id,
               'routing_key', 'payment.settled', 'body', '')),
             array_agg(p.token)
           FROM payment p JOIN attempt a ON a.id = p.current_attempt WHERE p.id = ANY (%s)""",
        [SENDING],
    ).fetchone()
    assert row is not None
    names = ("payments", tried, "events", "invoices", "findings", "outbox")
    written = {"attempts": Json([]), "learnt": Json([])}
    written |= {name: Json(value) for name, value in zip(names, row, strict=False)}
    return asked(len(SENDING), **written, freed=row[6], actor="test")


def _sweeps() -> dict[str, list[Question]]:
    that_day = datetime.now(UTC) - (DAYS - PAST / BATCHES_A_DAY) * DAY
    return {
        "sweep.hint_queued": [
            asked(20, *before, limit=500, hint_again=MINUTE, waiting_again=MINUTE) for before in ((), (HINTING,))
        ],
        "sweep.hint_returns": [asked(4, limit=500, hint_again=MINUTE)],
        "sweep.leases_over": [asked(20, limit=500)],
        "sweep.wires_free": [asked(20, limit=500)],
        "sweep.take_unclear": [asked(14, limit=500, again=MINUTE)],
        "sweep.take_open_refunds": [asked(4, limit=500, again=MINUTE)],
        "sweep.take_unsettled": [asked(8, limit=500, again=MINUTE)],
        "sweep.known_of_days": [
            asked(RANGES_OF_A_DAY, processor="vantage", account="account-1", first=that_day, last=that_day + 2 * DAY)
        ],
        "sweep.look_now": [asked(UNSETTLED)],
        "void.mark_batch": [asked(1, batch_id=RUNNING_BATCH, practice_id=PRACTICE, by="person-1")],
        "void.payment_batch": [asked(1, payment_id=QUEUED[0], practice_id=PRACTICE)],
        "void.of_batch": [asked(1000, batch_id=RUNNING_BATCH, after=UUID(int=0), limit=1000)],
        "void.reached": [asked(1000, batch_id=RUNNING_BATCH, states=["queued", "approved"])],
        "void.unfinished_voids": [asked(LIVE_PAYMENTS)],
        "refund.of_batch": [
            asked(IN_A_BATCH, batch_id=PAST_BATCH, practice_id=PRACTICE, after=UUID(int=0), limit=1000)
        ],
        "refund.lock_batch": [asked(1, batch_id=PAST_BATCH, practice_id=PRACTICE)],
        "refund.refundable": [asked(IN_A_BATCH, batch_id=PAST_BATCH, states=["settled", "surplus"])],
        "refund.unapproved": [asked(IN_A_BATCH, batch_id=PAST_BATCH, states=["refunding", "refunded"])],
        "refund.of_payment": [asked(1, payment_id=QUEUED[0], practice_id=PRACTICE)],
        "resolutions.listed": [
            asked(len(IN_REVIEW), practice=None),
            asked(len(IN_REVIEW), practice="practice-1"),
        ],
        "resolutions.ask": [
            asked(
                1,
                payment_id=UNKNOWN[0],
                verdict="acknowledged",
                processor_ref=None,
                note="seen",
                asked_by="person-1",
                source="console",
            )
        ],
        "resolutions.answer_of": [asked(1, id=IN_REVIEW[0])],
        "resolutions.newest": [asked(4, payment_id=IN_REVIEW[0])],
        "resolutions.unanswered": [asked(4, limit=100)],
        "resolutions.answer": [asked(1, id=IN_REVIEW[0], refusal=None)],
        "resolutions.close_findings": [asked(1, payment_id=IN_REVIEW[0])],
    }


def _batches() -> dict[str, list[Question]]:
    groups = ("approved", "declined", "unfinished", "returned", "canceled")
    status = {
        "id": RUNNING_BATCH, "status": "processing", "posting": "pending", "version": 1, "in_review": 20,
        **dict.fromkeys(groups, 60), **dict.fromkeys((f"{group}_minor" for group in groups), 6),
        "became_finished": False, "became_posted": False,
    }  # fmt: skip
    event = {"place": 0, "batch_id": RUNNING_BATCH, "routing_key": "batch.progressed", "body": ""}
    ids = [RUNNING_BATCH, PAST_BATCH]
    return {
        "batch_status.lock": [asked(2, ids=ids, confirm_after=MINUTE)],
        "batch_status.count_payments": [asked(LIVE_PAYMENTS + IN_A_BATCH, ids=ids)],
        "batch_status.write": [
            asked(1, batches=Json([_plain(status)]), events=Json([_plain(event)]), now=datetime.now(UTC))
        ],
        "batch_status.confirm": [asked(2, ids=ids)],
        "batch_status.stale": [asked(100, stale_after=MINUTE, limit=100, events=100)],
    }


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {name: str(value) if isinstance(value, UUID) else value for name, value in row.items()}


def _requests() -> dict[str, list[Question]]:
    selection = {**SCOPE, "invoices": INVOICES}
    submitted = {
        **selection, "payment_number": None, "control_count": len(INVOICES), "control_minor": 5000 * len(INVOICES),
        "idempotency_key": "new", "request_sha256": b"", "actor": "person-1", "source": "http",
        "retry_of": None,
    }  # fmt: skip
    number = {**SCOPE, "before": None, "except_batch": None}
    decided = {"id": WAITING_APPROVAL, "decision": "approved", "by": "person-2", "reason": None}
    return {
        "scope.resolve": [asked(2, practice="practice-1", clinician="clinician-1")],
        "audit.write": [
            asked(1, practice_id=PRACTICE, actor="", source="", action="", batch_id=None, payment_id=None, detail=None)
        ],
        "rates.refill": [asked(2, keys=["a", "b"], per_s=[1.0, 1.0], most=[1.0, 1.0])],
        "rates.write": [asked(2, keys=["a", "b"], levels=[1.0, 1.0])],
        "submissions.find_submitted": [asked(1, practice_id=PRACTICE, idempotency_key="live")],
        "submissions.matching_ready": [asked(OPEN_INVOICES, **SCOPE, filter=Jsonb({}), limit=50_000)],
        "submissions.retryable": [asked(IN_A_BATCH, **SCOPE, batch_id=PAST_BATCH)],
        # Fifty declines, each with those of its card within 30 days.
        "submissions.chances": [asked(100, practice_id=PRACTICE, payments=[UUID(int=15 * n) for n in range(1, 51)])],
        "submissions.weigh": [asked(len(INVOICES), **selection)],
        "submissions.blocked": [asked(len(INVOICES), **selection)],
        "submissions.submit": [
            asked(
                len(INVOICES),
                **submitted,
                payment_ids=[UUID(int=2 * LIVE + n) for n in range(len(INVOICES))],
                id=None,
                number=None,
                approved_by=None,
                first_check_s=60,
            )
        ],
        "submissions.used_number": [
            asked(LIVE_PAYMENTS, **number, number="1", as_integer=1),
            asked(1, **number, number="nowhere", as_integer=None),
            # Typed for every third batch: those are counted, and one payment is looked for.
            asked(700, **number, number="EFT", as_integer=None),
        ],
        "submissions.next_numbers": [asked(1, practice_id=PRACTICE)],
        "approvals.request": [asked(len(INVOICES), "UPDATE practice SET approval_ceiling_minor = 1", **submitted)],
        "approvals.find": [
            asked(1, **SCOPE, number=LIVE + 2, idempotency_key=None),
            asked(1, **SCOPE, number=None, idempotency_key="open-2"),
        ],
        "approvals.lock": [asked(1, id=WAITING_APPROVAL)],
        "approvals.waiting": [asked(2, **SCOPE, limit=100)],
        "approvals.decide": [asked(1, **decided)],
        "refund_approvals.request": [
            asked(
                2,
                "UPDATE practice SET refund_limit_minor = 1",
                batch_id=PAST_BATCH,
                payment_id=None,
                payments=[UUID(int=1), UUID(int=2)],
                total_minor=10_000,
                before_minor=0,
                reason="x",
                by="person-1",
            )
        ],
        "refund_approvals.find": [asked(2, practice_id=PRACTICE, id=WAITING_REFUND)],
        "refund_approvals.lock": [asked(1, id=WAITING_REFUND)],
        "refund_approvals.waiting": [
            asked(4, practice_id=PRACTICE, batch_id=None, limit=100),
            asked(4, practice_id=PRACTICE, batch_id=RUNNING_BATCH, limit=100),
        ],
        "refund_approvals.rows": [asked(5, id=WAITING_REFUND, limit=50, skip=0)],
        "refund_approvals.decide": [asked(1, **decided | {"id": WAITING_REFUND})],
    }


# Staged rows for each kind: some that are known, some with a change, some that are new.
_STAGED: Final = {
    "practice": "SELECT n, 'practice-' || n, 'Name', 'America/New_York', 'USD', 'vantage', 'account', true, 1, 0"
    " FROM generate_series(1, 3) n",
    "clinician": "SELECT n, 'practice-1', 'clinician-' || n, 'Name' FROM generate_series(1, 8) n",
    "client": "SELECT n, 'practice-1', 'client-' || 980 + n, 'Name', NULL, 'clinician-1' FROM generate_series(1, 50) n",
    "payment_method": "SELECT n, 'practice-1', 'client-' || n, 'method-client-' || n, 'vantage', 'card', 'Visa',"
    " '4242', 12, 2098, 'payer', 'token', true, NULL::date FROM generate_series(1, 50) n",
    "invoice": "SELECT n, 'practice-1', 'open-' || 75 + n, n, 'client-' || 75 + n, 'USD', 6000, 6000,"
    " current_date, 'open', 0 FROM generate_series(1, 50) n",
    "session": "SELECT n, 'practice-1', 'open-' || 50 + n, 'open-' || 50 + n, current_date, NULL, 'Changed', 1"
    " FROM generate_series(1, 50) n",
}


def _pushes() -> dict[str, list[Question]]:
    def pushed(kind: str, **parameters: Any) -> list[Question]:
        staging = (statements.load("catalog_staging")[kind], f"INSERT INTO staged_{kind} {_STAGED[kind]}")
        return [asked(PUSHED, *staging, f"ANALYZE staged_{kind}", **parameters)]

    return {
        **{f"catalog.{verb}_{kind}": pushed(kind) for kind in _STAGED for verb in ("reject", "land")},
        "catalog.begin": [asked(1, practice_id=PRACTICE, timeout_ms=300_000)],
        "catalog.demote_payment_method": pushed("payment_method"),
        "catalog.lock_invoice": pushed("invoice", standing=["approved", "settled"]),
        "catalog.acknowledge_invoice": pushed("invoice", standing=["approved", "settled"]),
        "catalog.date_invoices": pushed("session"),
    }
