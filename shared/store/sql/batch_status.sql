-- Batches recomputed from their payments, under the batch's row lock.

-- name: lock
-- In id order, so that two aggregators cannot deadlock. The payments are counted by the next statement, whose snapshot
-- is taken after the lock is held: an aggregator that waited here must not write what it saw before it waited.
SELECT
  b.id, b.number, pr.external_id AS practice_external_id, b.currency, b.status, b.posting, b.version,
  b.void_requested_at IS NOT NULL AS void_requested,
  b.approved, b.approved_minor, b.declined, b.declined_minor, b.unfinished, b.unfinished_minor, b.returned,
  b.returned_minor, b.canceled, b.canceled_minor, b.in_review,
  clock_timestamp() - b.updated_at > %(confirm_after)s::interval AS confirm
FROM batch b JOIN practice pr ON pr.id = b.practice_id
WHERE b.id = ANY(%(ids)s)
ORDER BY b.id
FOR UPDATE OF b;

-- name: count_payments
SELECT
  p.batch_id, p.state, p.review_reason IS NOT NULL AS in_review, count(*)::integer AS count,
  sum(p.amount_minor)::bigint AS amount_minor, clock_timestamp() AS now
FROM payment p
WHERE p.batch_id = ANY(%(ids)s)
GROUP BY p.batch_id, p.state, p.review_reason IS NOT NULL;

-- name: write
-- finished_at and posted_at are the latest times at which the batch became so.
WITH x AS (
  SELECT * FROM json_to_recordset(%(batches)s::json) AS x(
    id uuid, status text, posting text, version integer, approved integer, approved_minor bigint, declined integer,
    declined_minor bigint, unfinished integer, unfinished_minor bigint, returned integer, returned_minor bigint,
    canceled integer, canceled_minor bigint, in_review integer, became_finished boolean, became_posted boolean)
), written AS (
  UPDATE batch b SET
    status = x.status, posting = x.posting, version = x.version, approved = x.approved,
    approved_minor = x.approved_minor, declined = x.declined, declined_minor = x.declined_minor,
    unfinished = x.unfinished, unfinished_minor = x.unfinished_minor, returned = x.returned,
    returned_minor = x.returned_minor, canceled = x.canceled, canceled_minor = x.canceled_minor,
    in_review = x.in_review, updated_at = %(now)s,
    finished_at = CASE WHEN x.became_finished THEN %(now)s ELSE b.finished_at END,
    posted_at = CASE WHEN x.became_posted THEN %(now)s ELSE b.posted_at END
  -- ANY: an index scan also while there are few batches and a join would read them all.
  FROM x WHERE b.id = x.id AND b.id = ANY (ARRAY(SELECT x.id FROM x))
), told AS (
  INSERT INTO outbox (lane, batch_id, routing_key, body)
  SELECT 'event', e.batch_id, e.routing_key, e.body
  FROM json_to_recordset(%(events)s::json) AS e(place integer, batch_id uuid, routing_key text, body text)
  ORDER BY e.place
)
SELECT pg_notify('batchpay_outbox', '') WHERE %(events)s::text <> '[]';

-- name: confirm
-- Nothing differs: the status is known to be right as of now.
UPDATE batch SET updated_at = clock_timestamp() WHERE id = ANY(%(ids)s);

-- name: stale
-- Batches whose events may have been lost: pending ones that nobody has looked at lately, and posted ones that a recent
-- step came after (a refund, a late finding). Bounded: the index of pending batches, and the newest events.
(SELECT b.id
 FROM batch b
 WHERE b.posting = 'pending' AND b.updated_at < statement_timestamp() - %(stale_after)s::interval
 ORDER BY b.updated_at
 LIMIT %(limit)s)
UNION
(SELECT b.id
 FROM (SELECT payment_id, at FROM payment_event ORDER BY id DESC LIMIT %(events)s) e
 JOIN payment p ON p.id = e.payment_id
 JOIN batch b ON b.id = p.batch_id
 WHERE b.posting = 'posted' AND b.updated_at < clock_timestamp() - %(stale_after)s::interval
   -- A step is dated before its commit: one that seems a little older than the look may have come after it.
   AND b.updated_at < e.at + %(stale_after)s::interval
 LIMIT %(limit)s);
