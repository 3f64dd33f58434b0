-- What is out of order, told once and kept until a person resolves it.

-- name: open
-- Money that has no payment of ours. Found again, it is the same finding.
INSERT INTO finding (practice_id, kind, subject, detail)
VALUES (%(practice_id)s, %(kind)s, %(subject)s, %(detail)s)
ON CONFLICT (practice_id, kind, subject) WHERE subject IS NOT NULL DO NOTHING;

-- name: untold
SELECT f.id, pr.external_id AS practice, f.payment_id, p.batch_id, f.kind, f.detail, f.created_at
FROM finding f
JOIN practice pr ON pr.id = f.practice_id
LEFT JOIN payment p ON p.id = f.payment_id
WHERE f.told_at IS NULL
ORDER BY f.id LIMIT %(limit)s
FOR UPDATE OF f SKIP LOCKED;

-- name: tell
WITH told AS (
  UPDATE finding SET told_at = clock_timestamp(),
    resolved_at = CASE WHEN kind = ANY(%(done)s) THEN clock_timestamp() ELSE resolved_at END,
    resolution = CASE WHEN kind = ANY(%(done)s) THEN 'caught up' ELSE resolution END
  WHERE id = ANY(%(ids)s)
),
posted AS (
  INSERT INTO outbox (lane, batch_id, routing_key, body)
  SELECT 'event', x.batch_id, x.routing_key, x.body
  FROM json_to_recordset(%(events)s::json) AS x(batch_id uuid, routing_key text, body text)
)
SELECT pg_notify('batchpay_outbox', '');

-- name: listed
SELECT f.id, f.kind, f.detail, f.payment_id, 'BP-' || b.number AS batch, i.number AS invoice, p.amount_minor, p.currency,
  f.created_at, f.resolved_at
FROM finding f
JOIN practice pr ON pr.id = f.practice_id
LEFT JOIN payment p ON p.id = f.payment_id
LEFT JOIN batch b ON b.id = p.batch_id
LEFT JOIN invoice i ON i.id = p.invoice_id
WHERE pr.external_id = %(practice)s AND (%(all)s OR f.resolved_at IS NULL)
ORDER BY f.id;

-- name: resolve
UPDATE finding SET resolved_at = clock_timestamp(), resolution = %(note)s, resolved_by = %(by)s
WHERE id = %(id)s AND resolved_at IS NULL
RETURNING practice_id, payment_id, kind;
