-- What the janitor looks for. Taking a row moves its date, so that two janitors share the work and a janitor that dies
-- delays it by minutes only. Due is what was due when the statement began: no index is searched for clock_timestamp(),
-- which moves on while a statement runs.

-- name: hint_queued
-- Queued payments whose hint may be lost. What its batch's first hints have not come to yet is not, nor is anything where
-- hints of the batch and lane still wait in the outbox.
WITH late AS MATERIALIZED (
  SELECT p.id, p.batch_id, p.processor,
    EXISTS (
      SELECT FROM batch_hint h
      WHERE h.lane = 'charge.' || p.processor AND h.batch_id = p.batch_id AND h.after < p.id)
    OR EXISTS (
      SELECT FROM outbox o WHERE o.lane = 'charge.' || p.processor AND o.batch_id = p.batch_id) AS waiting
  FROM payment p
  WHERE p.state = 'queued' AND p.next_check_at <= statement_timestamp() AND p.due_at <= clock_timestamp()
  ORDER BY p.next_check_at LIMIT %(limit)s
  FOR UPDATE SKIP LOCKED
),
looked AS (
  UPDATE payment p SET next_check_at = clock_timestamp()
    + CASE WHEN l.waiting THEN %(waiting_again)s::interval ELSE %(hint_again)s::interval END
  FROM late l WHERE p.id = l.id
),
hinted AS (
  INSERT INTO outbox (lane, batch_id, payment_id)
  SELECT 'charge.' || processor, batch_id, id FROM late WHERE NOT waiting
  RETURNING payment_id
)
SELECT
  (SELECT count(*) FROM hinted) AS hinted,
  CASE WHEN EXISTS (SELECT FROM hinted) THEN pg_notify('batchpay_outbox', '') END AS notified;

-- name: hint_returns
-- Voids, and refunds of which none is open: what became of an open one is looked up.
WITH late AS MATERIALIZED (
  SELECT p.id, p.batch_id, p.state FROM payment p
  WHERE p.state IN ('voiding', 'refunding') AND p.next_check_at <= statement_timestamp()
    AND (p.state = 'voiding'
      OR NOT EXISTS (SELECT FROM attempt a WHERE a.parent_id = p.current_attempt AND a.outcome IS NULL))
  ORDER BY p.next_check_at LIMIT %(limit)s
  FOR UPDATE SKIP LOCKED
),
looked AS (
  UPDATE payment p SET next_check_at = clock_timestamp() + %(hint_again)s::interval FROM late l WHERE p.id = l.id
),
hinted AS (
  INSERT INTO outbox (lane, batch_id, payment_id)
  SELECT CASE state WHEN 'voiding' THEN 'void' ELSE 'refund' END, batch_id, id FROM late
  RETURNING payment_id
)
SELECT
  (SELECT count(*) FROM hinted) AS hinted,
  CASE WHEN EXISTS (SELECT FROM hinted) THEN pg_notify('batchpay_outbox', '') END AS notified;

-- name: leases_over
SELECT id FROM payment WHERE on_wire AND state = 'sending' AND lease_until <= clock_timestamp() LIMIT %(limit)s;

-- name: wires_free
SELECT id FROM payment WHERE on_wire AND state = 'unknown' AND lease_until <= clock_timestamp() LIMIT %(limit)s;

-- name: take_unclear
-- Charges whose outcome is to be looked up now.
WITH due AS MATERIALIZED (
  SELECT p.id FROM payment p
  WHERE p.state IN ('unknown', 'processing') AND p.next_check_at <= statement_timestamp()
  ORDER BY p.next_check_at LIMIT %(limit)s
  FOR UPDATE SKIP LOCKED
)
UPDATE payment p SET next_check_at = clock_timestamp() + %(again)s::interval
FROM due d WHERE p.id = d.id
RETURNING p.id;

-- name: take_open_refunds
-- Refunds whose answer is not known and whose sender is silent, to be looked up now.
WITH due AS MATERIALIZED (
  SELECT p.id, a.id AS refund_id FROM payment p JOIN attempt a ON a.parent_id = p.current_attempt AND a.outcome IS NULL
  WHERE p.state = 'refunding' AND p.next_check_at <= statement_timestamp()
    AND (p.lease_until IS NULL OR p.lease_until <= clock_timestamp())
  ORDER BY p.next_check_at LIMIT %(limit)s
  FOR UPDATE OF p SKIP LOCKED
)
UPDATE payment p SET next_check_at = clock_timestamp() + %(again)s::interval
FROM due d WHERE p.id = d.id
RETURNING p.id, d.refund_id;

-- name: take_unsettled
-- Approved charges whose settlement is to be looked for now.
WITH due AS MATERIALIZED (
  SELECT p.id FROM payment p
  WHERE p.state = 'approved' AND p.next_check_at <= statement_timestamp()
  ORDER BY p.next_check_at LIMIT %(limit)s
  FOR UPDATE SKIP LOCKED
)
UPDATE payment p SET next_check_at = clock_timestamp() + %(again)s::interval
FROM due d, attempt a WHERE p.id = d.id AND a.id = p.current_attempt
RETURNING p.id, a.id, p.processor, p.account, a.reference, a.last_send_at;

-- name: known_of_days
-- Charges of an account that we know to have been taken in a span of time: a complete report shows each of them.
SELECT a.reference FROM attempt a
WHERE a.processor = %(processor)s AND a.account = %(account)s AND a.kind = 'charge'
  AND a.outcome IN ('approved', 'settled')
  AND a.first_send_at >= %(first)s AND a.last_send_at < %(last)s;

-- name: look_now
-- Bring every look at an unfinished charge forward, after an outage of a processor or in a demonstration.
UPDATE payment SET next_check_at = clock_timestamp()
WHERE state IN ('unknown', 'processing', 'approved', 'voiding', 'refunding') AND next_check_at > clock_timestamp();
