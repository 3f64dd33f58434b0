-- Refunds above a practice's limit, until a second person decides.

-- name: request
-- The same refund that waits already is not asked for twice.
WITH open AS (
  SELECT a.id FROM refund_approval a
  WHERE a.batch_id = %(batch_id)s AND a.decision IS NULL AND a.expires_at > clock_timestamp()
    AND a.payment_id IS NOT DISTINCT FROM %(payment_id)s::uuid AND a.payments = %(payments)s::uuid[]
), asked AS (
  INSERT INTO refund_approval (practice_id, batch_id, payment_id, payments, currency, total, total_minor, limit_minor,
    before_minor, refund_reason, requested_by, expires_at)
  SELECT b.practice_id, b.id, %(payment_id)s, %(payments)s::uuid[], b.currency, cardinality(%(payments)s::uuid[]),
    %(total_minor)s, p.refund_limit_minor, %(before_minor)s, %(reason)s, %(by)s,
    -- The end of the practice's day, as for batches.
    (date_trunc('day', clock_timestamp() AT TIME ZONE p.timezone) + interval '1 day') AT TIME ZONE p.timezone
  FROM batch b JOIN practice p ON p.id = b.practice_id
  WHERE b.id = %(batch_id)s AND NOT EXISTS (SELECT FROM open)
  RETURNING id
)
SELECT id FROM open UNION ALL SELECT id FROM asked LIMIT 1;

-- name: find
SELECT a.id, a.practice_id, a.batch_id, b.number AS batch_number, a.payment_id, a.payments, a.currency, a.total,
  a.total_minor, a.limit_minor, a.before_minor, a.refund_reason, a.requested_by, a.requested_at, a.expires_at,
  a.expires_at < clock_timestamp() AS expired, a.decision, a.decided_by, a.decided_at, a.decision_reason
FROM refund_approval a
JOIN batch b ON b.id = a.batch_id
WHERE a.practice_id = %(practice_id)s AND a.id = %(id)s;

-- name: lock
SELECT FROM refund_approval WHERE id = %(id)s FOR UPDATE;

-- name: waiting
-- Those that somebody can still decide, of the practice or of one batch.
SELECT a.id, a.practice_id, a.batch_id, b.number AS batch_number, a.payment_id, a.payments, a.currency, a.total,
  a.total_minor, a.limit_minor, a.before_minor, a.refund_reason, a.requested_by, a.requested_at, a.expires_at,
  false AS expired, a.decision, a.decided_by, a.decided_at, a.decision_reason
FROM refund_approval a
JOIN batch b ON b.id = a.batch_id
WHERE a.practice_id = %(practice_id)s AND a.decision IS NULL AND a.expires_at > clock_timestamp()
  AND (%(batch_id)s::uuid IS NULL OR a.batch_id = %(batch_id)s)
ORDER BY a.requested_at
LIMIT %(limit)s;

-- name: rows
SELECT p.id, i.number AS invoice_number, c.name AS client_name, p.amount_minor, p.currency, m.brand, m.last4, p.state
FROM refund_approval a
JOIN payment p ON p.id = ANY (a.payments)
JOIN invoice i ON i.id = p.invoice_id
JOIN client c ON c.id = p.client_id
JOIN payment_method m ON m.id = p.method_id
WHERE a.id = %(id)s
ORDER BY p.amount_minor DESC, p.id
LIMIT %(limit)s OFFSET %(skip)s;

-- name: decide
UPDATE refund_approval SET decision = %(decision)s, decided_by = %(by)s, decided_at = clock_timestamp(),
  decision_reason = %(reason)s
WHERE id = %(id)s AND decision IS NULL AND expires_at > clock_timestamp() AND requested_by <> %(by)s
RETURNING id;
