-- What must leave for RabbitMQ: the rows of the outbox, and the first hints of a batch, which are one row of batch_hint.
-- Every statement that takes rows locks them until its transaction ends, and passes over rows that another relay has
-- locked. Nothing reads the outbox on from a last id: a transaction that commits late has written smaller ones. The payments
-- of a batch are read so, as one transaction wrote them all.

-- name: take_events
SELECT id, routing_key, body
FROM outbox
WHERE lane = 'event'
ORDER BY id
LIMIT %(at_most)s
FOR UPDATE SKIP LOCKED;

-- name: waiting_batches
-- For each turn (a lane and the batch after which it begins): the batches with hints in the lane, rows of their own or
-- not, in the order of their ids. Two index probes for each batch, however many hints it has. Charges of a paused processor
-- wait here, not in a queue. A batch that is younger than `left_s` and of which nothing was hinted is left to others.
WITH RECURSIVE waiting AS (
  SELECT turn.n AS turn, turn.lane, turn.after AS batch_id, 0 AS n
  FROM unnest(%(lanes)s::text[], %(after)s::uuid[]) WITH ORDINALITY AS turn (lane, after, n)
  WHERE turn.lane <> ALL (ARRAY(SELECT 'charge.' || processor FROM processor_pause))
  UNION ALL
  SELECT waiting.turn, waiting.lane, following.batch_id, waiting.n + 1
  FROM waiting
  CROSS JOIN LATERAL (
    SELECT either.batch_id
    FROM (
      (SELECT o.batch_id
       FROM outbox o
       WHERE o.lane = waiting.lane AND o.lane <> 'event' AND o.batch_id > waiting.batch_id
       ORDER BY o.batch_id
       LIMIT 1)
      UNION ALL
      (SELECT h.batch_id
       FROM batch_hint h
       WHERE h.lane = waiting.lane AND h.batch_id > waiting.batch_id
         AND (h.after <> '00000000-0000-0000-0000-000000000000'
           OR h.created_at <= statement_timestamp() - make_interval(secs => %(left_s)s))
       ORDER BY h.batch_id
       LIMIT 1)) either
    ORDER BY either.batch_id
    LIMIT 1) following
  WHERE waiting.n < %(at_most)s
)
SELECT waiting.lane, waiting.batch_id, COALESCE(b.practice_id, waiting.batch_id) AS practice_id, b.processor_account
FROM waiting LEFT JOIN batch b ON b.id = waiting.batch_id
WHERE waiting.n > 0
ORDER BY waiting.turn, waiting.n;

-- name: new_batches
-- Batches that were just submitted, those of a paused processor left out.
SELECT 'charge.' || processor AS lane, id, practice_id, processor_account
FROM batch
WHERE id = ANY (%(ids)s::uuid[]) AND processor <> ALL (ARRAY(SELECT processor FROM processor_pause))
ORDER BY id;

-- name: take_hints
-- Of each batch the first due rows; and where these are fewer than wanted, the first queued payments that nobody was hinted
-- about, without a row's id, in the order of theirs. Who holds the batch's row moves its cursor; one without any such
-- payment is held too, with null. What was canceled meanwhile is passed over.
WITH turn AS MATERIALIZED (
  SELECT batch_id, most FROM unnest(%(batches)s::uuid[], %(most)s::integer[]) AS turn (batch_id, most)
),
due AS MATERIALIZED (
  SELECT taken.*
  FROM turn
  CROSS JOIN LATERAL (
    SELECT o.id, o.batch_id, o.payment_id, o.available_at
    FROM outbox o
    WHERE o.lane = %(lane)s AND o.lane <> 'event' AND o.batch_id = turn.batch_id
      AND o.available_at <= statement_timestamp()
    ORDER BY o.available_at, o.id
    LIMIT turn.most
    FOR UPDATE SKIP LOCKED) taken
),
short AS MATERIALIZED (
  SELECT turn.batch_id, turn.most - (SELECT count(*) FROM due WHERE due.batch_id = turn.batch_id) AS most
  FROM turn
),
held AS MATERIALIZED (
  SELECT h.batch_id, h.after, h.last, short.most
  FROM short
  JOIN batch_hint h ON h.lane = %(lane)s AND h.batch_id = short.batch_id
  WHERE short.most > 0
  FOR UPDATE OF h SKIP LOCKED
)
SELECT id, batch_id, payment_id
FROM (
  SELECT id, batch_id, payment_id, available_at FROM due
  UNION ALL
  SELECT NULL, held.batch_id, unhinted.id, NULL
  FROM held
  LEFT JOIN LATERAL (
    SELECT p.id
    FROM payment p
    WHERE p.batch_id = held.batch_id AND p.id > held.after AND p.id <= held.last AND p.state = 'queued'
    ORDER BY p.id
    LIMIT held.most) unhinted ON true) found
ORDER BY available_at, id, batch_id, payment_id;

-- name: move_cursors
-- Of rows that are held, and forwards only. One beyond whose cursor nothing is queued any more is over: no payment comes to
-- a batch later, and what becomes queued again gets a row of the outbox with that step.
WITH moved AS MATERIALIZED (
  SELECT h.lane, h.batch_id, greatest(h.after, hinted.up_to) AS after, h.last
  FROM unnest(%(batches)s::uuid[], %(up_to)s::uuid[]) AS hinted (batch_id, up_to)
  JOIN batch_hint h ON h.lane = %(lane)s AND h.batch_id = hinted.batch_id
),
judged AS MATERIALIZED (
  SELECT moved.*, unhinted.id IS NULL AS over
  FROM moved
  LEFT JOIN LATERAL (
    SELECT p.id
    FROM payment p
    WHERE p.batch_id = moved.batch_id AND p.id > moved.after AND p.id <= moved.last AND p.state = 'queued'
    ORDER BY p.id
    LIMIT 1) unhinted ON true
),
ended AS (
  DELETE FROM batch_hint h USING judged
  WHERE h.lane = judged.lane AND h.batch_id = judged.batch_id AND judged.over
)
UPDATE batch_hint h SET after = judged.after
FROM judged
WHERE h.lane = judged.lane AND h.batch_id = judged.batch_id AND NOT judged.over AND h.after <> judged.after;

-- name: next_due
-- Seconds until the first hint of a lane's batches is due; null without any. What has no row of its own is due.
SELECT CASE
  WHEN EXISTS (SELECT FROM batch_hint WHERE lane = %(lane)s AND batch_id = ANY (%(batches)s::uuid[])) THEN 0
  ELSE (
    SELECT extract(epoch FROM min(first.available_at) - statement_timestamp())::float8
    FROM unnest(%(batches)s::uuid[]) AS turn (batch_id)
    CROSS JOIN LATERAL (
      SELECT o.available_at
      FROM outbox o
      WHERE o.lane = %(lane)s AND o.lane <> 'event' AND o.batch_id = turn.batch_id
      ORDER BY o.available_at
      LIMIT 1) first)
  END AS due_in_s;

-- name: write_event
INSERT INTO outbox (lane, batch_id, routing_key, body)
SELECT 'event', %(batch_id)s, %(routing_key)s, %(body)s FROM (SELECT pg_notify('batchpay_outbox', '')) notified;

-- name: notify
SELECT pg_notify('batchpay_outbox', '');

-- name: delete
DELETE FROM outbox WHERE id = ANY(%(ids)s::bigint[]);
