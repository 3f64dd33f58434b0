-- The outbox: what must leave for RabbitMQ. Every statement that takes rows locks them until its transaction ends, and
-- passes over rows that another relay has locked. Nothing reads on from a last id: a transaction that commits late has
-- written smaller ones.

-- name: take_events
SELECT id, routing_key, body
FROM outbox
WHERE lane = 'event'
ORDER BY id
LIMIT %(at_most)s
FOR UPDATE SKIP LOCKED;

-- name: waiting_batches
-- For each turn (a lane and the batch after which it begins): the batches with rows in the lane, in the order of their
-- ids. One index probe for each batch, however many rows it has. Charges of a paused processor wait here, not in a queue.
WITH RECURSIVE waiting AS (
  SELECT turn.n AS turn, turn.lane, first.batch_id, 1 AS n
  FROM unnest(%(lanes)s::text[], %(after)s::uuid[]) WITH ORDINALITY AS turn (lane, after, n)
  CROSS JOIN LATERAL (
    SELECT o.batch_id
    FROM outbox o
    WHERE o.lane = turn.lane AND o.lane <> 'event' AND o.batch_id > turn.after
    ORDER BY o.batch_id
    LIMIT 1) first
  WHERE turn.lane <> ALL (ARRAY(SELECT 'charge.' || processor FROM processor_pause))
  UNION ALL
  SELECT waiting.turn, waiting.lane, following.batch_id, waiting.n + 1
  FROM waiting
  CROSS JOIN LATERAL (
    SELECT o.batch_id
    FROM outbox o
    WHERE o.lane = waiting.lane AND o.lane <> 'event' AND o.batch_id > waiting.batch_id
    ORDER BY o.batch_id
    LIMIT 1) following
  WHERE waiting.n < %(at_most)s
)
SELECT waiting.lane, waiting.batch_id, COALESCE(b.practice_id, waiting.batch_id) AS practice_id, b.processor_account
FROM waiting LEFT JOIN batch b ON b.id = waiting.batch_id
ORDER BY waiting.turn, waiting.n;

-- name: new_batches
-- Batches that were just submitted, those of a paused processor left out.
SELECT 'charge.' || processor AS lane, id, practice_id, processor_account
FROM batch
WHERE id = ANY (%(ids)s::uuid[]) AND processor <> ALL (ARRAY(SELECT processor FROM processor_pause))
ORDER BY id;

-- name: take_commands
-- The first due rows of each batch.
SELECT taken.id, taken.batch_id, taken.payment_id
FROM unnest(%(batches)s::uuid[], %(most)s::integer[]) AS turn (batch_id, most)
CROSS JOIN LATERAL (
  SELECT o.id, o.batch_id, o.payment_id
  FROM outbox o
  WHERE o.lane = %(lane)s AND o.lane <> 'event' AND o.batch_id = turn.batch_id
    AND o.available_at <= statement_timestamp()
  ORDER BY o.available_at, o.id
  LIMIT turn.most
  FOR UPDATE SKIP LOCKED) taken;

-- name: next_due
-- Seconds until the first row of a lane's batches is due; null without rows.
SELECT extract(epoch FROM min(first.available_at) - statement_timestamp())::float8 AS due_in_s
FROM unnest(%(batches)s::uuid[]) AS turn (batch_id)
CROSS JOIN LATERAL (
  SELECT o.available_at
  FROM outbox o
  WHERE o.lane = %(lane)s AND o.lane <> 'event' AND o.batch_id = turn.batch_id
  ORDER BY o.available_at
  LIMIT 1) first;

-- name: write_event
INSERT INTO outbox (lane, batch_id, routing_key, body)
SELECT 'event', %(batch_id)s, %(routing_key)s, %(body)s FROM (SELECT pg_notify('batchpay_outbox', '')) notified;

-- name: delete
DELETE FROM outbox WHERE id = ANY(%(ids)s::bigint[]);
