-- How running batches get on.

-- name: of_batches
-- What ended of late, and what the processor was asked without an answer. Attempts are read of the few payments that are
-- under way only; the rest is told by the payments themselves.
WITH mine AS (
  SELECT p.batch_id, p.state, p.amount_minor, p.finished_at, p.current_attempt
  FROM payment p
  JOIN client c ON c.id = p.client_id
  WHERE p.practice_id = %(practice_id)s AND p.batch_id = ANY (%(batch_ids)s::uuid[])
    AND (%(clinician_id)s::uuid IS NULL OR c.clinician_id = %(clinician_id)s)
), ended AS (
  SELECT batch_id, count(*) FILTER (WHERE finished_at > clock_timestamp() - %(lately)s::interval) AS lately,
    max(finished_at) FILTER (WHERE state NOT IN ('skipped', 'canceled', 'failed')) AS answered_at
  FROM mine
  GROUP BY batch_id
), asked AS (
  SELECT m.batch_id, m.state, m.amount_minor, a.first_send_at, a.last_send_at
  FROM mine m
  JOIN attempt a ON a.id = m.current_attempt
  WHERE m.state IN ('sending', 'unknown') AND a.outcome IS NULL
    OR m.state = 'queued' AND a.outcome_code = 'not_connected'
)
SELECT e.batch_id, e.lately, e.answered_at, clock_timestamp() AS now,
  EXISTS (SELECT FROM processor_pause z WHERE z.processor = b.processor) AS paused,
  count(a.*) FILTER (WHERE a.last_send_at > coalesce(e.answered_at, '-infinity')) AS unanswered,
  min(a.first_send_at) FILTER (WHERE a.last_send_at > coalesce(e.answered_at, '-infinity')) AS asked_at,
  max(a.last_send_at) AS tried_at,
  count(a.*) FILTER (WHERE a.state <> 'queued' AND a.first_send_at < clock_timestamp() - %(stuck)s::interval) AS stuck,
  coalesce(sum(a.amount_minor) FILTER (
    WHERE a.state <> 'queued' AND a.first_send_at < clock_timestamp() - %(stuck)s::interval), 0)::bigint AS stuck_minor
FROM ended e
JOIN batch b ON b.id = e.batch_id
LEFT JOIN asked a ON a.batch_id = e.batch_id
GROUP BY e.batch_id, e.lately, e.answered_at, b.processor
