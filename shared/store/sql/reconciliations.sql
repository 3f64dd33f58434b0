-- Comparisons of our books with the processors': which are asked for, what we know, and what came of them.

-- name: plan
-- One for each practice that had charged anything by the end of the newest complete day of its processor's books.
INSERT INTO reconciliation (practice_id, processor, account, day, asked_by, planned)
SELECT pr.id, pr.processor, pr.processor_account, d.day, %(asked_by)s, true
FROM practice pr
JOIN unnest(%(processors)s::text[], %(days)s::date[], %(ends)s::timestamptz[]) AS d(processor, day, ends)
  ON d.processor = pr.processor
WHERE EXISTS (SELECT FROM batch b WHERE b.practice_id = pr.id AND b.submitted_at < d.ends)
ON CONFLICT (practice_id, processor, account, day) WHERE planned DO NOTHING;

-- name: ask
INSERT INTO reconciliation (practice_id, processor, account, day, asked_by, planned)
SELECT pr.id, pr.processor, pr.processor_account, %(day)s, %(asked_by)s, false
FROM practice pr WHERE pr.external_id = %(practice)s
RETURNING id;

-- name: take
-- Taking moves the date of the next try, so that two janitors share the work and one that dies delays it only.
WITH due AS MATERIALIZED (
  SELECT id FROM reconciliation
  WHERE answered_at IS NULL AND next_try_at <= clock_timestamp()
  ORDER BY planned, next_try_at LIMIT %(limit)s
  FOR UPDATE SKIP LOCKED
)
UPDATE reconciliation r SET next_try_at = clock_timestamp() + %(again)s::interval
FROM due d, practice p WHERE r.id = d.id AND p.id = r.practice_id
RETURNING r.id, r.practice_id, r.processor, r.account, r.day, r.planned, p.currency;

-- name: answer
UPDATE reconciliation SET
  answered_at = clock_timestamp(), failure = %(failure)s, complete = %(complete)s, lines = %(lines)s,
  caught_up = %(caught_up)s
WHERE id = %(id)s AND answered_at IS NULL;

-- name: answer_of
SELECT answered_at IS NOT NULL AS answered, failure, complete, lines, caught_up FROM reconciliation WHERE id = %(id)s;

-- name: known
-- Charges of an account: those that the books name, by the processor's name or ours, and those whose send or return
-- falls in a span of time.
WITH named AS (
  SELECT a.id FROM attempt a
  WHERE a.processor = %(processor)s AND a.account = %(account)s AND a.processor_ref = ANY(%(charge_refs)s)
  UNION
  SELECT a.id FROM attempt a
  JOIN unnest(%(payments)s::uuid[], %(numbers)s::integer[]) AS x(payment_id, n) ON x.payment_id = a.payment_id AND x.n = a.n
  WHERE a.processor = %(processor)s AND a.account = %(account)s
  UNION
  SELECT a.id FROM attempt a
  WHERE a.processor = %(processor)s AND a.account = %(account)s AND a.outcome IN ('approved', 'settled')
    AND a.last_send_at >= %(since)s AND a.first_send_at < %(until)s
  UNION
  SELECT r.parent_id FROM attempt r
  WHERE r.processor = %(processor)s AND r.account = %(account)s AND r.outcome = 'confirmed'
    AND r.last_send_at >= %(since)s AND r.first_send_at < %(until)s
)
SELECT
  a.payment_id, a.id AS attempt_id, a.reference, a.processor_ref, a.amount_minor, p.state, a.first_send_at,
  a.last_send_at, COALESCE(a.outcome IN ('approved', 'settled'), false) AS took_money,
  r.id IS NOT NULL AS returning,
  CASE WHEN r.outcome = 'confirmed' AND r.kind = 'refund' THEN r.last_send_at END AS refunded_at
FROM named n
-- ANY: who takes the named ones for many joins them with all attempts there are.
JOIN attempt a ON a.id = n.id AND a.id = ANY (ARRAY(SELECT id FROM named)) AND a.kind = 'charge'
JOIN payment p ON p.id = a.payment_id
LEFT JOIN LATERAL (
  SELECT r.id, r.kind, r.outcome, r.last_send_at FROM attempt r
  WHERE r.parent_id = a.id AND (r.outcome IS NULL OR r.outcome = 'confirmed')
  ORDER BY r.n DESC LIMIT 1
) r ON true;

-- name: keep_fees
INSERT INTO processor_fee (attempt_id, fee_minor)
SELECT * FROM unnest(%(attempts)s::uuid[], %(fees)s::bigint[])
ON CONFLICT (attempt_id) DO UPDATE SET fee_minor = excluded.fee_minor, read_at = clock_timestamp()
WHERE processor_fee.fee_minor <> excluded.fee_minor;
