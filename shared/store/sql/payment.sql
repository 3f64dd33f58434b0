-- Payments under their row locks, and the one statement that writes steps. Every locker takes rows in the order
-- (token, id), the order of the index of cards on the wire, so that two groups cannot deadlock.

-- name: lock_for_claim
WITH candidate AS MATERIALIZED (
  SELECT p.*
  FROM payment p
  WHERE p.id = ANY(%(ids)s) AND p.state = ANY(%(sources)s) AND p.due_at <= clock_timestamp()
    -- Nothing is sent by a restored database before it knows what it has forgotten.
    AND NOT EXISTS (SELECT FROM timeline WHERE name <> timeline_now())
    AND NOT EXISTS (
      SELECT FROM restore_hold h WHERE h.processor = p.processor AND h.account = p.account AND h.released_at IS NULL)
  ORDER BY p.token, p.id
  FOR UPDATE SKIP LOCKED
)
SELECT
  p.id, p.batch_id, p.practice_id, p.invoice_id, p.method_id, p.processor, p.account, p.payer_id, p.token,
  p.method_type, p.amount_minor, p.currency, b.number AS batch_number, pr.external_id AS practice_external_id,
  i.external_id AS invoice_external_id, p.state, p.version, p.due_at, p.next_check_at, p.claim_token, p.lease_until,
  p.on_wire, p.attempts, p.current_attempt, p.void_requested_at, p.void_requested_by, p.reason_code,
  p.reason_category, p.reason_raw_code, p.review_reason, p.surplus_at, p.finished_at, false AS invoice_held,
  clock_timestamp() AS now,
  i.status = 'open' AND i.amount_due_minor > 0 AS invoice_open,
  i.amount_due_minor = p.amount_minor AND i.currency = p.currency AS amount_matches,
  m.removed_at IS NULL AS method_present,
  m.is_default AND m.token = p.token AND m.payer_id = p.payer_id AS method_is_default,
  COALESCE(make_date(m.exp_year, m.exp_month, 1) + interval '1 month'
    <= clock_timestamp() AT TIME ZONE pr.timezone, false) AS method_expired,
  pr.enrolled AS practice_enrolled,
  pr.processor = p.processor AND pr.processor_account = p.account AS processor_same,
  EXISTS (SELECT FROM payment w WHERE w.token = p.token AND w.processor = p.processor AND w.on_wire) AS card_busy,
  CASE WHEN b.void_requested_at IS NOT NULL OR p.void_requested_at IS NOT NULL
    THEN COALESCE(p.void_requested_by, b.void_requested_by, '') END AS void_requested_by,
  CASE WHEN a.held_until > clock_timestamp() THEN a.held_until END AS held_until,
  -- Read once for the whole group.
  p.processor = ANY (ARRAY(SELECT processor FROM processor_pause)) AS paused
FROM candidate p
JOIN batch b ON b.id = p.batch_id
JOIN invoice i ON i.id = p.invoice_id
JOIN payment_method m ON m.id = p.method_id
JOIN practice pr ON pr.id = p.practice_id
LEFT JOIN merchant_account a ON a.processor = p.processor AND a.account = p.account
ORDER BY p.token, p.id;

-- name: lock
WITH locked AS MATERIALIZED (
  SELECT p.* FROM payment p WHERE p.id = ANY(%(ids)s) ORDER BY p.token, p.id FOR UPDATE
)
SELECT
  p.id, p.batch_id, p.practice_id, p.invoice_id, p.method_id, p.processor, p.account, p.payer_id, p.token,
  p.method_type, p.amount_minor, p.currency, b.number AS batch_number, pr.external_id AS practice_external_id,
  i.external_id AS invoice_external_id, p.state, p.version, p.due_at, p.next_check_at, p.claim_token, p.lease_until,
  p.on_wire, p.attempts, p.current_attempt, p.void_requested_at, p.void_requested_by, p.reason_code,
  p.reason_category, p.reason_raw_code, p.review_reason, p.surplus_at, p.finished_at,
  EXISTS (
    SELECT FROM payment o
    WHERE o.invoice_id = p.invoice_id AND o.id <> p.id AND o.acknowledged_at IS NULL AND o.surplus_at IS NULL
      AND o.state IN ('queued', 'sending', 'unknown', 'processing', 'approved', 'settled', 'voiding', 'refunding')
  ) AS invoice_held,
  clock_timestamp() AS now
FROM locked p
JOIN batch b ON b.id = p.batch_id
JOIN invoice i ON i.id = p.invoice_id
JOIN practice pr ON pr.id = p.practice_id
ORDER BY p.token, p.id;

-- name: lock_claimed
WITH locked AS MATERIALIZED (
  SELECT p.id, p.version, p.next_check_at FROM payment p WHERE p.id = ANY(%(ids)s) ORDER BY p.token, p.id FOR UPDATE
)
SELECT p.id, p.version, p.next_check_at, clock_timestamp() AS now FROM locked p;

-- name: queued_on_cards
SELECT p.id FROM payment p WHERE p.token = ANY(%(cards)s) AND p.state = 'queued';

-- name: resting_cards
SELECT token FROM payment
WHERE token = ANY(%(cards)s) AND state = 'declined' AND reason_category = 'soft'
  AND finished_at > statement_timestamp() - %(within)s::interval
GROUP BY token HAVING count(*) >= %(declines)s;

-- name: hold_account
INSERT INTO merchant_account (processor, account, held_until, held_reason)
VALUES (%(processor)s, %(account)s, %(until)s, %(reason)s)
ON CONFLICT (processor, account) DO UPDATE SET held_until = excluded.held_until, held_reason = excluded.held_reason
WHERE merchant_account.held_until IS NULL OR merchant_account.held_until < excluded.held_until;

-- name: live_of_batch
SELECT p.id FROM payment p
WHERE p.batch_id = %(batch_id)s AND p.void_requested_at IS NULL
  AND p.state IN ('queued', 'sending', 'unknown', 'approved') AND p.id > %(after)s
ORDER BY p.id LIMIT %(limit)s;

-- name: lock_only
SELECT FROM payment WHERE id = ANY(%(ids)s) ORDER BY token, id FOR UPDATE;

-- name: mine
SELECT p.id AS payment_id, p.claim_token AS token, a.id AS attempt_id, a.request_text
FROM payment p JOIN attempt a ON a.id = p.current_attempt
WHERE p.id = ANY(%(ids)s) AND p.claim_token = ANY(%(tokens)s) AND p.state = 'sending';

-- name: postpone
WITH late AS (
  UPDATE payment SET
    due_at = x.due_at, next_check_at = x.due_at + %(hint_again)s::interval, version = version + 1,
    updated_at = clock_timestamp()
  FROM unnest(%(ids)s::uuid[], %(due_at)s::timestamptz[]) AS x(id, due_at)
  WHERE payment.id = x.id AND payment.state = 'queued'
  RETURNING payment.id, payment.batch_id, payment.processor, payment.due_at
)
INSERT INTO outbox (lane, batch_id, payment_id, available_at)
SELECT 'charge.' || processor, batch_id, id, due_at FROM late;

-- name: hint_after_pause
INSERT INTO outbox (lane, batch_id, payment_id)
SELECT 'charge.' || p.processor, p.batch_id, p.id FROM payment p WHERE p.id = ANY(%(ids)s);

-- name: write_steps
WITH step AS (
  SELECT * FROM json_to_recordset(%(payments)s::json) AS x(
    id uuid, state text, version integer, due_at timestamptz, next_check_at timestamptz, claim_token uuid,
    lease_until timestamptz, on_wire boolean, attempts smallint, current_attempt uuid, void_requested_at timestamptz,
    void_requested_by text, reason_code text, reason_category text, reason_raw_code text, review_reason text,
    surplus_at timestamptz, finished_at timestamptz)
),
moved AS (
  UPDATE payment p SET
    state = s.state, version = s.version, due_at = s.due_at, next_check_at = s.next_check_at,
    claim_token = s.claim_token, lease_until = s.lease_until, on_wire = s.on_wire, attempts = s.attempts,
    current_attempt = s.current_attempt, void_requested_at = s.void_requested_at,
    void_requested_by = s.void_requested_by, reason_code = s.reason_code, reason_category = s.reason_category,
    reason_raw_code = s.reason_raw_code, review_reason = s.review_reason, surplus_at = s.surplus_at,
    finished_at = s.finished_at,
    updated_at = clock_timestamp()
  FROM step s
  WHERE p.id = s.id AND p.version = s.version - 1
  RETURNING p.id
),
tried AS (
  INSERT INTO attempt AS a (
    id, payment_id, n, kind, parent_id, reference, processor, account, amount_minor, request_text, request_sha256,
    open_sends, sends, first_send_at, last_send_at, last_claimed_at, lookups, outcome, outcome_code, outcome_detail,
    processor_ref, history_ref, absence_final_at, surplus_at, finished_at)
  SELECT
    x.id, x.payment_id, x.n, x.kind, x.parent_id, x.reference, x.processor, x.account, x.amount_minor, x.request_text,
    sha256(convert_to(x.request_text, 'UTF8')), x.open_sends, x.sends, x.first_send_at, x.last_send_at,
    x.last_claimed_at, x.lookups, x.outcome, x.outcome_code, x.outcome_detail, x.processor_ref, x.history_ref,
    x.absence_final_at, x.surplus_at, x.finished_at
  FROM json_to_recordset(%(attempts)s::json) AS x(
    id uuid, payment_id uuid, n smallint, kind text, parent_id uuid, reference text, processor text, account text,
    amount_minor bigint, request_text text, open_sends smallint, sends smallint, first_send_at timestamptz,
    last_send_at timestamptz, last_claimed_at timestamptz, lookups smallint, outcome text, outcome_code text,
    outcome_detail text, processor_ref text, history_ref text, absence_final_at timestamptz, surplus_at timestamptz,
    finished_at timestamptz)
  ON CONFLICT (id) DO UPDATE SET
    open_sends = excluded.open_sends, sends = excluded.sends, last_send_at = excluded.last_send_at,
    last_claimed_at = excluded.last_claimed_at, lookups = excluded.lookups, outcome = excluded.outcome,
    outcome_code = excluded.outcome_code, outcome_detail = excluded.outcome_detail,
    processor_ref = excluded.processor_ref, history_ref = excluded.history_ref,
    absence_final_at = excluded.absence_final_at, surplus_at = excluded.surplus_at, finished_at = excluded.finished_at
  RETURNING a.id
),
learnt AS (
  UPDATE attempt a SET
    open_sends = x.open_sends, sends = x.sends, last_send_at = x.last_send_at, last_claimed_at = x.last_claimed_at,
    lookups = x.lookups, outcome = x.outcome, outcome_code = x.outcome_code, outcome_detail = x.outcome_detail,
    processor_ref = x.processor_ref, history_ref = x.history_ref, absence_final_at = x.absence_final_at,
    surplus_at = x.surplus_at, finished_at = x.finished_at
  FROM json_to_recordset(%(learnt)s::json) AS x(
    id uuid, open_sends smallint, sends smallint, last_send_at timestamptz, last_claimed_at timestamptz,
    lookups smallint, outcome text, outcome_code text, outcome_detail text, processor_ref text, history_ref text,
    absence_final_at timestamptz, surplus_at timestamptz, finished_at timestamptz)
  WHERE a.id = x.id
  RETURNING a.id
),
told AS (
  INSERT INTO payment_event (payment_id, attempt_id, event, from_state, to_state, actor, detail)
  SELECT x.payment_id, x.attempt_id, x.event, x.from_state, x.to_state, %(actor)s, x.detail
  FROM json_to_recordset(%(events)s::json) AS x(
    payment_id uuid, attempt_id uuid, event text, from_state text, to_state text, detail jsonb)
),
owed AS (
  UPDATE invoice i SET
    taken_minor = i.taken_minor + x.delta_minor,
    reopened_at = CASE WHEN x.delta_minor < 0 THEN clock_timestamp() ELSE i.reopened_at END,
    version = i.version + 1, deltas_minor = i.deltas_minor || x.delta_minor, updated_at = clock_timestamp()
  FROM json_to_recordset(%(invoices)s::json) AS x(
    id uuid, delta_minor bigint, batch_id uuid, payment_id uuid, routing_key text, told text)
  WHERE i.id = x.id
  RETURNING
    x.batch_id, x.payment_id, x.routing_key,
    -- Text put together: read as JSON and written again, the events of invoices took a fifth of the statement's time.
    x.told || ',"sequence":' || i.version || ',"amount_due_minor":' || i.amount_due_minor || '}' AS body
),
invoices_told AS (
  INSERT INTO outbox (lane, batch_id, payment_id, routing_key, body)
  SELECT 'event', o.batch_id, o.payment_id, o.routing_key, o.body FROM owed o
),
found AS (
  INSERT INTO finding (practice_id, payment_id, attempt_id, kind, detail)
  SELECT x.practice_id, x.payment_id, x.attempt_id, x.kind, x.detail
  FROM json_to_recordset(%(findings)s::json) AS x(
    practice_id uuid, payment_id uuid, attempt_id uuid, kind text, detail text)
),
posted AS (
  INSERT INTO outbox (lane, batch_id, payment_id, routing_key, body, available_at)
  SELECT x.lane, x.batch_id, x.payment_id, x.routing_key, x.body, COALESCE(x.available_at, clock_timestamp())
  FROM json_to_recordset(%(outbox)s::json) AS x(
    lane text, batch_id uuid, payment_id uuid, routing_key text, body text, available_at timestamptz)
),
next_on_card AS (
  -- Whoever frees a card hints its next payment: the hint that found the card busy is gone.
  INSERT INTO outbox (lane, batch_id, payment_id)
  SELECT DISTINCT ON (q.token) 'charge.' || q.processor, q.batch_id, q.id
  FROM payment q
  WHERE q.token = ANY(%(freed)s) AND q.state = 'queued' AND q.due_at <= clock_timestamp()
    AND NOT EXISTS (SELECT FROM step s WHERE s.id = q.id)
  ORDER BY q.token, q.id
  RETURNING id
)
SELECT
  (SELECT count(*) FROM moved) AS moved,
  (SELECT count(*) FROM tried) + (SELECT count(*) FROM learnt) AS tried,
  CASE WHEN %(outbox)s::text <> '[]' OR EXISTS (SELECT FROM next_on_card)
    THEN pg_notify('batchpay_outbox', '') END AS notified;
