-- How much work waits, and for how long.

-- name: lanes
SELECT lane, count(*) AS waiting,
  extract(epoch FROM clock_timestamp() - min(greatest(available_at, created_at)))::float8 AS oldest_s
FROM outbox WHERE available_at <= clock_timestamp()
GROUP BY lane;

-- name: payments
-- By processor and state, what is due; a payment in `sending` or `unknown` waits since its last step.
SELECT processor, state, count(*) AS payments,
  extract(epoch FROM clock_timestamp() - min(CASE state WHEN 'queued' THEN due_at ELSE updated_at END))::float8
    AS oldest_s
FROM payment
WHERE state IN ('queued', 'sending', 'unknown', 'voiding', 'refunding') AND (state <> 'queued' OR due_at <= clock_timestamp())
GROUP BY processor, state
ORDER BY processor, state;
