"""A database with years of history and a small live part, filled set by set.

Ids are numbers: payment, invoice and charge attempt n belong together, and so do batch, draft and approval n. Odd
batches are the first practice's, even ones the second's. The first practice has the live part: a running batch, open
invoices, and whatever waits for somebody; the second one has a batch that waits for its settlement.
"""

from typing import Final
from uuid import UUID

import psycopg

IN_A_BATCH: Final = 10
BATCHES_A_DAY: Final = 10
DAYS: Final = 400  # from the first batch until today
CLIENTS: Final = 1_000  # of each practice
LIVE: Final = 10_000_000  # numbers of live rows begin here: later than all history
LIVE_PAYMENTS: Final = 60
OPEN_INVOICES: Final = 100  # the live payments' and others
UNSETTLED: Final = 1_000

PRACTICE: Final = UUID(int=1)
CLINICIAN: Final = UUID(int=1)
RUNNING_BATCH: Final = UUID(int=LIVE)


def live(first: int, last: int) -> list[UUID]:
    """The ids of live payments, invoices and charge attempts by their places, both included; places begin at 1."""
    return [UUID(int=LIVE + n) for n in range(first, last + 1)]


# The running batch's payments, by state.
QUEUED: Final = live(1, 20)
SENDING: Final = live(21, 30)
UNKNOWN: Final = live(31, 40)
APPROVED: Final = live(41, 48)
VOIDING: Final = live(49, 52)
IN_REVIEW: Final = live(37, 40)
SELECTED: Final = live(61, 80)  # open invoices in three drafts

_HELPERS = """
CREATE FUNCTION pg_temp.id(n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$ SELECT lpad(to_hex(n), 32, '0')::uuid $$;
"""

_PEOPLE = """
INSERT INTO practice (id, external_id, name, timezone, currency, processor, processor_account, enrolled,
  approval_ceiling_minor, last_batch_number)
SELECT pg_temp.id(p), 'practice-' || p, 'Practice', 'America/New_York', 'USD', 'vantage', 'account-' || p, true,
  100000000, 20000000
FROM generate_series(1, 2) p;
INSERT INTO merchant_account (processor, account) SELECT processor, processor_account FROM practice;
INSERT INTO clinician (id, practice_id, external_id, name)
SELECT pg_temp.id(n), pg_temp.id(1 + (n - 1) / 5), 'clinician-' || n, 'Dr ' || n FROM generate_series(1, 10) n;
INSERT INTO client (id, practice_id, external_id, name, clinician_id)
SELECT pg_temp.id(n), pg_temp.id(1 + (n - 1) / %(clients)s), 'client-' || n, 'Client ' || n,
  pg_temp.id(1 + 5 * ((n - 1) / %(clients)s) + n %% 5)
FROM generate_series(1, 2 * %(clients)s) n;
INSERT INTO payment_method (id, practice_id, external_id, client_id, processor, type, brand, last4, exp_month, exp_year,
  payer_id, token, is_default, first_charged_on)
SELECT id, practice_id, 'method-' || external_id, id, 'vantage', 'card', 'Visa', '4242', 12, 2099, external_id,
  external_id, true, '2020-01-01'
FROM client;
INSERT INTO person (practice_id, subject, name)
SELECT pg_temp.id(1), 'person-' || n, 'Person' FROM generate_series(1, 10) n;
INSERT INTO console_session (key_sha256, practice_id, subject, permissions, created_at, seen_at)
SELECT sha256(int4send(n)), pg_temp.id(1), 'person-' || 1 + n %% 10, '{billing}', at, at
FROM generate_series(1, 300) n CROSS JOIN LATERAL (SELECT clock_timestamp() - n * interval '30 minutes' AS at) seen;
"""

# One row for each past payment, and one for each past batch: everything below is made of them.
_PAST = """
CREATE TEMPORARY TABLE past_batch AS
SELECT b, pg_temp.id(b) AS id, 1 + (b + 1) %% 2 AS p,
  clock_timestamp() - (%(days)s - b::float8 / %(batches_a_day)s) * interval '1 day' AS at
FROM generate_series(%(first)s, %(last)s) b;
CREATE TEMPORARY TABLE past AS
SELECT n, pg_temp.id(n) AS id, b.id AS batch_id, pg_temp.id(b.p) AS practice_id, b.p,
  pg_temp.id((b.p - 1) * %(clients)s + 1 + n %% %(clients)s) AS client_id, b.at,
  CASE WHEN n %% 15 = 0 THEN 'declined' WHEN n %% 50 = 1 THEN 'refunded' ELSE 'settled' END AS state
FROM past_batch b
CROSS JOIN LATERAL generate_series((b.b - 1) * %(in_a_batch)s + 1, b.b * %(in_a_batch)s) n;

INSERT INTO invoice (id, practice_id, external_id, number, client_id, currency, total_minor, pushed_due_minor,
  taken_minor, issued_on, status, first_service_on, last_service_on, session_count)
SELECT id, practice_id, 'invoice-' || n, n, client_id, 'USD', 5000,
  CASE state WHEN 'settled' THEN 5000 ELSE 0 END,
  CASE state WHEN 'settled' THEN 5000 ELSE 0 END, at::date,
  CASE state WHEN 'settled' THEN 'open' ELSE 'closed' END, at::date, at::date, 1
FROM past;
INSERT INTO session (id, practice_id, external_id, invoice_id, service_date, description, amount_minor)
SELECT id, practice_id, 'session-' || n, id, at::date, 'Psychotherapy', 5000 FROM past;
INSERT INTO batch (id, practice_id, number, processor, processor_account, currency, payment_number, submitted_by,
  submitted_at, idempotency_key, request_sha256, total, total_minor, status, posting, approved, approved_minor,
  unfinished, unfinished_minor, updated_at, finished_at, posted_at)
SELECT id, pg_temp.id(p), 1000 + b, 'vantage', 'account-' || p, 'USD', CASE WHEN b %% 3 = 0 THEN 'EFT' END, 'person-1',
  at, 'key-' || b, '', %(in_a_batch)s, %(in_a_batch)s * 5000, 'completed', 'posted', %(in_a_batch)s,
  %(in_a_batch)s * 5000, 0, 0, at, at, at
FROM past_batch;
INSERT INTO payment (id, batch_id, practice_id, invoice_id, client_id, method_id, processor, account, payer_id, token,
  method_type, amount_minor, currency, number, state, due_at, version, attempts, current_attempt, reason_code,
  reason_category, finished_at, created_at, updated_at)
SELECT p.id, p.batch_id, p.practice_id, p.id, p.client_id, p.client_id, 'vantage', 'account-' || p.p, m.payer_id,
  m.token, 'card', 5000, 'USD', coalesce(b.payment_number, p.n::text), p.state, p.at, 2, 1, p.id,
  CASE p.state WHEN 'declined' THEN 'card_declined' END, CASE p.state WHEN 'declined' THEN 'soft' END, p.at,
  p.at, p.at
FROM past p JOIN payment_method m ON m.id = p.client_id JOIN batch b ON b.id = p.batch_id
ORDER BY p.n;
INSERT INTO attempt (id, payment_id, n, kind, parent_id, reference, processor, account, amount_minor, request_text,
  request_sha256, open_sends, sends, first_send_at, last_send_at, last_claimed_at, outcome, processor_ref, finished_at)
SELECT id, id, 1, 'charge', NULL, 'charge-' || n, 'vantage', 'account-' || p, 5000, '{}', '', 0, 1, at, at, at,
  CASE state WHEN 'declined' THEN 'declined' ELSE 'settled' END, 'charge-' || n, at
FROM past ORDER BY n;
INSERT INTO attempt (id, payment_id, n, kind, parent_id, reference, processor, account, amount_minor, request_text,
  request_sha256, open_sends, sends, first_send_at, last_send_at, last_claimed_at, outcome, processor_ref, finished_at)
SELECT uuid7(), id, 2, 'refund', id, 'refund-' || n, 'vantage', 'account-' || p, 5000, '{}', '', 0, 1, at, at, at,
  'confirmed', 'refund-' || n, at
FROM past WHERE state = 'refunded';
INSERT INTO payment_event (payment_id, attempt_id, at, event, from_state, to_state, actor)
SELECT id, id, at, 'claim', 'queued', 'sending', 'charge' FROM past
UNION ALL
SELECT id, id, at, 'settle', 'sending', state, 'charge' FROM past;
INSERT INTO finding (practice_id, payment_id, kind, detail, created_at, told_at, resolved_at)
SELECT practice_id, id, 'outside_refund', '', at, at, at FROM past WHERE state = 'refunded';
INSERT INTO dispute (processor, account, processor_ref, payment_id, attempt_id, amount_minor, standing, opened_at,
  closed_at)
SELECT 'vantage', 'account-' || p, 'dispute-' || n, id, id, 5000, 'won', at, at FROM past WHERE state = 'refunded';
INSERT INTO webhook (processor, event_id, account, type, received_at, next_try_at, handled_at, outcome)
SELECT 'vantage', 'event-' || n, 'account-' || p, 'charge.disputed', at, at, at, 'looked' FROM past
WHERE state = 'refunded';
INSERT INTO processor_fee (attempt_id, fee_minor) SELECT id, 1 FROM past WHERE state = 'settled';
INSERT INTO reconciliation (practice_id, processor, account, day, asked_by, planned, next_try_at, answered_at, complete,
  lines, caught_up)
SELECT pg_temp.id(p), 'vantage', 'account-' || p, at::date, 'person-1', false, at, at, true, 1, 0 FROM past_batch;
INSERT INTO resolution (payment_id, verdict, note, asked_by, source, asked_at, answered_at)
SELECT id, 'acknowledged', 'seen', 'person-1', 'console', at, at FROM past WHERE state = 'refunded';
INSERT INTO delivery (id, subscription_id, event_id, type, body, created_at, state, attempts, done_at)
SELECT id, pg_temp.id(p), 'past-' || n, 'payment.settled', '{}', at,
  CASE WHEN n %% 50 = 1 THEN 'held' ELSE 'delivered' END, 1, at
FROM past;
INSERT INTO audit_entry (practice_id, at, actor, source, action, batch_id)
SELECT practice_id, at, 'person-1', 'console', 'report.viewed', batch_id FROM past WHERE n %% 10 = 0;
INSERT INTO draft (id, practice_id, owner, created_at, updated_at, submitted_at, for_approval)
SELECT id, pg_temp.id(p), 'person-1', at, at, at, true FROM past_batch;
INSERT INTO draft_invoice (draft_id, invoice_id, amount_minor) SELECT batch_id, id, 5000 FROM past WHERE n %% 10 = 0;
INSERT INTO approval (practice_id, number, draft_id, currency, total, total_minor, ceiling_minor, requested_by,
  requested_at, expires_at, idempotency_key, request_sha256, decision, decided_by, decided_at)
SELECT pg_temp.id(p), 1000 + b, id, 'USD', 20, 100000, 1, 'person-1', at, at + interval '1 day', 'key-' || b, '',
  'approved', 'person-2', at
FROM past_batch;
INSERT INTO refund_approval (practice_id, batch_id, payment_id, payments, currency, total, total_minor, limit_minor,
  requested_by, requested_at, expires_at, decision, decided_by, decided_at)
SELECT practice_id, batch_id, id, ARRAY[id], 'USD', 1, 5000, 1, 'person-1', at, at + interval '1 day', 'approved',
  'person-2', at
FROM past WHERE state = 'refunded';
DROP TABLE past, past_batch;
"""

_LIVE = """
CREATE TEMPORARY TABLE now_open AS
SELECT n, pg_temp.id(%(live)s + n) AS id, pg_temp.id(%(live)s) AS batch_id, pg_temp.id(1) AS practice_id,
  pg_temp.id(n) AS client_id, clock_timestamp() - interval '1 minute' AS at, false AS in_review,
  CASE WHEN n <= 20 THEN 'queued' WHEN n <= 30 THEN 'sending' WHEN n <= 40 THEN 'unknown' WHEN n <= 48 THEN 'approved'
    WHEN n <= 52 THEN 'voiding' WHEN n <= 56 THEN 'processing' WHEN n <= %(live_payments)s THEN 'settled' END AS state
FROM generate_series(1, %(open_invoices)s) n
UNION ALL
SELECT n, pg_temp.id(%(live)s + n), pg_temp.id(%(live)s + 1), pg_temp.id(2), pg_temp.id(n),
  clock_timestamp() + interval '1 hour', false, 'approved'
FROM generate_series(%(clients)s + 1, %(clients)s + %(unsettled)s) n;
UPDATE now_open SET in_review = true WHERE n BETWEEN 37 AND 40;

INSERT INTO invoice (id, practice_id, external_id, number, client_id, currency, total_minor, pushed_due_minor,
  taken_minor, issued_on, status, first_service_on, last_service_on, session_count)
SELECT id, practice_id, 'open-' || n, n, client_id, 'USD', 5000, 5000,
  CASE WHEN state IN ('approved', 'settled', 'voiding') THEN 5000 ELSE 0 END, current_date, 'open', current_date,
  current_date, 1
FROM now_open;
INSERT INTO session (practice_id, external_id, invoice_id, service_date, description, amount_minor)
SELECT practice_id, 'open-' || n, id, current_date, 'Psychotherapy', 5000 FROM now_open;
INSERT INTO draft (id, practice_id, owner)
SELECT pg_temp.id(%(live)s + n), pg_temp.id(1), 'person-' || n FROM generate_series(1, 3) n;
INSERT INTO draft_invoice (draft_id, invoice_id, amount_minor)
SELECT pg_temp.id(%(live)s + d), pg_temp.id(%(live)s + n), 5000
FROM generate_series(1, 3) d CROSS JOIN generate_series(61, 80) n;
INSERT INTO approval (id, practice_id, number, draft_id, currency, total, total_minor, ceiling_minor, requested_by,
  expires_at, idempotency_key, request_sha256)
SELECT pg_temp.id(%(live)s + n), pg_temp.id(1), %(live)s + n, pg_temp.id(%(live)s + n), 'USD', 20, 100000, 1,
  'person-1', clock_timestamp() + interval '1 day', 'open-' || n, ''
FROM generate_series(2, 3) n;
DELETE FROM now_open WHERE state IS NULL;

INSERT INTO batch (id, practice_id, number, processor, processor_account, currency, submitted_by, idempotency_key,
  request_sha256, first_payment_number, last_payment_number, total, total_minor, unfinished, unfinished_minor,
  void_requested_at, void_requested_by, updated_at)
SELECT batch_id, practice_id, %(live)s, 'vantage', 'account', 'USD', 'person-1', 'live', '', min(n), max(n), count(*),
  count(*) * 5000, count(*), count(*) * 5000, min(at), 'person-1', min(at)
FROM now_open GROUP BY batch_id, practice_id;
INSERT INTO payment (id, batch_id, practice_id, invoice_id, client_id, method_id, processor, account, payer_id, token,
  method_type, amount_minor, currency, number, state, due_at, next_check_at, claim_token, lease_until, on_wire, version,
  attempts, current_attempt, review_reason)
SELECT o.id, o.batch_id, o.practice_id, o.id, o.client_id, o.client_id, 'vantage', 'account-1', m.payer_id, m.token,
  'card', 5000, 'USD', n, o.state, at, CASE WHEN o.state <> 'settled' THEN at END, CASE WHEN wired THEN o.id END,
  CASE WHEN wired THEN at END, wired, 0, CASE WHEN o.state = 'queued' THEN 0 ELSE 1 END,
  CASE WHEN o.state <> 'queued' THEN o.id END, CASE WHEN in_review THEN 'no_trace' END
FROM now_open o JOIN payment_method m ON m.id = o.client_id
CROSS JOIN LATERAL (SELECT o.state IN ('sending', 'unknown') AS wired) x;
DELETE FROM now_open WHERE state = 'queued';
INSERT INTO attempt (id, payment_id, n, kind, parent_id, reference, processor, account, amount_minor, request_text,
  request_sha256, open_sends, sends, first_send_at, last_send_at, last_claimed_at, outcome, processor_ref)
SELECT id, id, 1, 'charge', NULL, 'open-' || n, 'vantage', 'account-1', 5000, '{}', ''::bytea, 0, 1, at, at, at,
  CASE WHEN state IN ('approved', 'voiding', 'settled') THEN 'approved' END, 'open-' || n
FROM now_open
UNION ALL
SELECT uuid7(), id, 2, 'void', id, 'void-' || n, 'vantage', 'account-1', 5000, '{}', ''::bytea, 1, 1, at, at, at,
  NULL, NULL
FROM now_open WHERE state = 'voiding';
INSERT INTO payment_event (payment_id, attempt_id, event, from_state, to_state, actor)
SELECT id, id, 'claim', 'queued', 'sending', 'charge' FROM now_open;
INSERT INTO finding (id, practice_id, payment_id, kind, detail)
SELECT id, practice_id, id, 'no_trace', '' FROM now_open WHERE in_review;
INSERT INTO refund_approval (id, practice_id, batch_id, payment_id, payments, currency, total, total_minor, limit_minor,
  requested_by, expires_at)
SELECT id, practice_id, batch_id, id, ARRAY[id], 'USD', 1, 5000, 1, 'person-1', clock_timestamp() + interval '1 day'
FROM now_open WHERE state = 'settled';
INSERT INTO reconciliation (id, practice_id, processor, account, day, asked_by, planned)
SELECT id, practice_id, 'vantage', 'account-1', current_date, 'person-1', false FROM now_open WHERE in_review;
INSERT INTO webhook (processor, event_id, account, type)
SELECT 'vantage', 'open-' || n, 'account-1', 'charge.succeeded' FROM now_open WHERE in_review;
INSERT INTO subscription (id, practice_id, url, created_by)
SELECT pg_temp.id(n), pg_temp.id(n), 'https://example.com', 'person-1' FROM generate_series(1, 2) n;
INSERT INTO subscription_secret (subscription_id, secret) SELECT id, 'whsec_' FROM subscription;
INSERT INTO delivery (subscription_id, event_id, type, body)
SELECT pg_temp.id(1), 'open-' || n, 'payment.settled', '{}' FROM now_open WHERE practice_id = pg_temp.id(1);
INSERT INTO resolution (id, payment_id, verdict, note, asked_by, source)
SELECT id, id, 'not_executed', 'seen', 'person-1', 'console' FROM now_open WHERE in_review;
DROP TABLE now_open;
"""


def begin(connection: psycopg.Connection) -> None:
    """Practices, clients, and everything that is under way."""
    _run(connection, _HELPERS, _PEOPLE, _LIVE)


def pass_time(connection: psycopg.Connection, *, first: int, last: int) -> None:
    """The batches of these numbers, with all that they leave behind."""
    _run(connection, _PAST, first=first, last=last)
    # As autovacuum does: statistics, and the block ranges of days.
    connection.execute("VACUUM (ANALYZE)")


def _run(connection: psycopg.Connection, *scripts: str, **numbers: int) -> None:
    numbers |= {
        "clients": CLIENTS, "live": LIVE, "live_payments": LIVE_PAYMENTS, "open_invoices": OPEN_INVOICES,
        "unsettled": UNSETTLED, "in_a_batch": IN_A_BATCH, "batches_a_day": BATCHES_A_DAY, "days": DAYS,
    }  # fmt: skip
    with connection.transaction(), psycopg.ClientCursor(connection) as cursor:
        # Filling by hand: what triggers and foreign keys check is right by construction, and they take the most time.
        cursor.execute("SET LOCAL session_replication_role = replica")
        for script in scripts:
            cursor.execute(script.encode(), numbers)
