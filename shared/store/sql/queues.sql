-- How much work waits, and for how long.

-- name: lanes
-- What is due and has not left: rows of the outbox, and the payments that their batch's first hints have not come to yet.
SELECT lane, sum(waiting)::bigint AS waiting,
  extract(epoch FROM clock_timestamp() - min(since))::float8 AS oldest_s
FROM (
  SELECT lane, count(*) AS waiting, min(greatest(available_at, created_at)) AS since
  FROM outbox
  WHERE available_at <= clock_timestamp()
  GROUP BY lane
  UNION ALL
  SELECT h.lane, unhinted.waiting, h.created_at
  FROM batch_hint h
  CROSS JOIN LATERAL (
    SELECT count(*) AS waiting
    FROM payment p
    WHERE p.batch_id = h.batch_id AND p.id > h.after AND p.id <= h.last AND p.state = 'queued') unhinted
  WHERE unhinted.waiting > 0
) due
GROUP BY lane;

-- name: payments
-- By processor and state, everything that is not over; of what is queued, what is due. The age is that of the oldest:
-- since it was due, since it was first sent, since giving the money back was asked for, else since its last step.
SELECT processor, state, count(*) AS payments,
  extract(epoch FROM clock_timestamp() - min(CASE
    WHEN state = 'queued' THEN due_at
    WHEN state IN ('unknown', 'processing') THEN (SELECT a.first_send_at FROM attempt a WHERE a.id = p.current_attempt)
    WHEN state = 'voiding' THEN coalesce(void_requested_at, updated_at)
    ELSE updated_at
  END))::float8 AS oldest_s
FROM payment p
WHERE state IN ('queued', 'sending', 'unknown', 'processing', 'approved', 'voiding', 'refunding', 'surplus')
  AND (state <> 'queued' OR due_at <= clock_timestamp())
GROUP BY processor, state
ORDER BY processor, state;

-- name: in_review
SELECT count(*) FROM payment WHERE review_reason IS NOT NULL;

-- name: findings
SELECT kind, count(*) FROM finding WHERE resolved_at IS NULL GROUP BY kind;
