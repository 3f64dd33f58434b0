-- Asking for voids.

-- name: mark_batch
-- The mark stops every claim of the batch at once, before any payment is touched.
UPDATE batch SET
  void_requested_at = COALESCE(void_requested_at, clock_timestamp()),
  void_requested_by = COALESCE(void_requested_by, %(by)s),
  updated_at = clock_timestamp()
WHERE id = %(batch_id)s AND practice_id = %(practice_id)s
RETURNING id;

-- name: reached
SELECT count(*), coalesce(sum(amount_minor), 0)::bigint FROM payment
WHERE batch_id = %(batch_id)s AND state = ANY (%(states)s);

-- name: payment_batch
SELECT batch_id FROM payment WHERE id = %(payment_id)s AND practice_id = %(practice_id)s;

-- name: of_batch
SELECT id FROM payment WHERE batch_id = %(batch_id)s AND id > %(after)s ORDER BY id LIMIT %(limit)s;

-- name: unfinished_voids
-- Batches whose void was asked for and did not reach every payment: the asking process died.
SELECT b.id, b.void_requested_by FROM batch b
WHERE b.void_requested_at < clock_timestamp() - interval '10 seconds' AND b.posting = 'pending'
  AND EXISTS (
    SELECT FROM payment p
    WHERE p.batch_id = b.id AND p.void_requested_at IS NULL AND p.state IN ('queued', 'sending', 'unknown', 'approved')
      AND (p.state <> 'approved' OR p.processor = 'vantage'))
LIMIT 10;
