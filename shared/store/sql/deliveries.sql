-- Deliveries of events by webhook.

-- name: told
-- Which of these practices have anybody who is told.
SELECT p.external_id
FROM practice p
WHERE p.external_id = ANY(%(practices)s::text[])
  AND EXISTS (SELECT FROM subscription s WHERE s.practice_id = p.id AND s.state <> 'deleted');

-- name: keep
-- One row for each event and subscription, however often the event comes.
WITH kept AS (
  INSERT INTO delivery (subscription_id, event_id, type, body, state, done_at)
  SELECT s.id, e.event_id, e.type, e.body, CASE s.state WHEN 'active' THEN 'waiting' ELSE 'held' END,
    CASE s.state WHEN 'active' THEN NULL ELSE clock_timestamp() END
  FROM unnest(%(practices)s::text[], %(event_ids)s::text[], %(types)s::text[], %(bodies)s::text[])
    WITH ORDINALITY AS e (practice, event_id, type, body, n)
  JOIN practice p ON p.external_id = e.practice
  JOIN subscription s ON s.practice_id = p.id AND s.state <> 'deleted'
    AND (s.types IS NULL OR s.types && ARRAY[e.type, split_part(e.type, '.', 1) || '.*'])
  ORDER BY e.n
  ON CONFLICT (subscription_id, event_id) DO NOTHING
  RETURNING id
)
SELECT count(*) FROM kept;

-- name: add
-- One for one subscription, whatever it wants to be told of.
INSERT INTO delivery (subscription_id, event_id, type, body)
SELECT id, %(event_id)s, %(type)s, %(body)s
FROM subscription WHERE id = %(id)s AND practice_id = %(practice_id)s AND state = 'active'
RETURNING id;

-- name: take
-- Due deliveries of active subscriptions, each with room for only so many at once, so that nobody waits for a slow
-- receiver; one that fails has room for one. A taken delivery is due again after the lease, should we die.
WITH RECURSIVE waiting AS (
  (SELECT subscription_id FROM delivery WHERE state = 'waiting' ORDER BY subscription_id LIMIT 1)
  UNION ALL
  SELECT (SELECT d.subscription_id FROM delivery d WHERE d.state = 'waiting' AND d.subscription_id > w.subscription_id
          ORDER BY d.subscription_id LIMIT 1)
  FROM waiting w WHERE w.subscription_id IS NOT NULL
), room AS (
  SELECT s.id, s.url, greatest(0, CASE WHEN s.failures > 0 THEN 1 ELSE %(abreast)s::integer END - coalesce(busy.n, 0))
    AS n
  FROM waiting w
  JOIN subscription s ON s.id = w.subscription_id AND s.state = 'active'
  LEFT JOIN unnest(%(busy)s::uuid[], %(busy_with)s::integer[]) AS busy (id, n) ON busy.id = s.id
), due AS (
  SELECT d.id, room.url
  FROM room
  CROSS JOIN LATERAL (
    SELECT x.id, x.next_try_at
    FROM delivery x
    WHERE x.subscription_id = room.id AND x.state = 'waiting' AND x.next_try_at <= statement_timestamp()
    ORDER BY x.next_try_at, x.id
    LIMIT room.n
    FOR UPDATE SKIP LOCKED) d
  ORDER BY d.next_try_at, d.id
  LIMIT %(at_most)s
)
UPDATE delivery d
SET next_try_at = statement_timestamp() + %(lease)s::interval, attempts = d.attempts + 1,
  last_try_at = statement_timestamp()
FROM due WHERE d.id = due.id AND d.state = 'waiting'
RETURNING d.id, d.subscription_id, due.url, d.event_id, d.body, d.attempts,
  ARRAY(SELECT x.secret FROM subscription_secret x WHERE x.subscription_id = d.subscription_id
        AND (x.expires_at IS NULL OR x.expires_at > statement_timestamp()) ORDER BY x.id DESC) AS secrets;

-- name: delivered
-- Whatever happened to the row meanwhile: the receiver has it.
WITH done AS (
  UPDATE delivery SET state = 'delivered', done_at = clock_timestamp(), last_status = %(status)s, last_failure = NULL
  WHERE id = %(id)s AND state <> 'delivered'
  RETURNING subscription_id
)
UPDATE subscription s SET failures = 0, failing_since = NULL
FROM done WHERE s.id = done.subscription_id AND s.failures > 0;

-- name: failed
-- Only the try that is the last one so far: an older one, told late, says nothing new.
WITH failed AS (
  UPDATE delivery SET last_status = %(status)s, last_failure = %(failure)s,
    state = CASE WHEN %(pause)s::interval IS NULL THEN 'failed' ELSE 'waiting' END,
    done_at = CASE WHEN %(pause)s::interval IS NULL THEN clock_timestamp() END,
    next_try_at = clock_timestamp() + coalesce(%(pause)s::interval, '0')
  WHERE id = %(id)s AND state = 'waiting' AND attempts = %(attempts)s
  RETURNING subscription_id
)
UPDATE subscription s SET failures = s.failures + 1, failing_since = coalesce(s.failing_since, clock_timestamp())
FROM failed WHERE s.id = failed.subscription_id AND s.state = 'active'
RETURNING s.practice_id, s.failures, s.failing_since, clock_timestamp() AS now;

-- name: page
SELECT id, event_id, type, state, attempts, created_at, next_try_at, last_try_at, last_status, last_failure, done_at
FROM delivery
WHERE subscription_id = %(subscription_id)s AND (%(after_id)s::uuid IS NULL OR id < %(after_id)s::uuid)
ORDER BY id DESC LIMIT %(limit)s;

-- name: of_event
SELECT id FROM delivery WHERE subscription_id = %(subscription_id)s AND event_id = %(event_id)s;

-- name: replay
WITH replayed AS (
  UPDATE delivery
  SET state = 'waiting', done_at = NULL, attempts = 0, next_try_at = statement_timestamp()
  WHERE subscription_id = %(subscription_id)s AND id BETWEEN %(first)s AND %(last)s AND state = ANY(%(states)s::text[])
  RETURNING id
)
SELECT count(*) FROM replayed;

-- name: hold
-- What waits for a subscription that is not active any more: in steps, as there may be very many.
WITH RECURSIVE waiting AS (
  (SELECT subscription_id FROM delivery WHERE state = 'waiting' ORDER BY subscription_id LIMIT 1)
  UNION ALL
  SELECT (SELECT d.subscription_id FROM delivery d WHERE d.state = 'waiting' AND d.subscription_id > w.subscription_id
          ORDER BY d.subscription_id LIMIT 1)
  FROM waiting w WHERE w.subscription_id IS NOT NULL
), step AS (
  SELECT d.id
  FROM waiting w
  JOIN subscription s ON s.id = w.subscription_id AND s.state <> 'active'
  CROSS JOIN LATERAL (
    SELECT x.id FROM delivery x WHERE x.subscription_id = s.id AND x.state = 'waiting'
    ORDER BY x.next_try_at, x.id LIMIT %(limit)s FOR UPDATE SKIP LOCKED) d
  LIMIT %(limit)s
)
UPDATE delivery d SET state = 'held', done_at = clock_timestamp()
FROM step WHERE d.id = step.id AND d.state = 'waiting'
RETURNING d.id;

-- name: delete_old
DELETE FROM delivery WHERE id = ANY (ARRAY(
  SELECT id FROM delivery WHERE done_at < statement_timestamp() - %(kept)s::interval
  ORDER BY done_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED))
RETURNING id;

-- name: backlog
SELECT
  (SELECT count(*) FROM delivery WHERE state = 'waiting' AND next_try_at <= statement_timestamp()) AS due,
  (SELECT coalesce(extract(epoch FROM clock_timestamp() - min(created_at)), 0)::float8 FROM delivery
   WHERE state = 'waiting') AS oldest_s,
  (SELECT count(*) FROM subscription WHERE state = 'disabled' AND disabled_why IN ('failing', 'gone')) AS disabled;
