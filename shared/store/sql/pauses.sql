-- The kill switch of each processor. Claims read it in their own statement, the relay in its look at the lanes.

-- name: pause
WITH paused AS (
  INSERT INTO processor_pause (processor, paused_by, reason) VALUES (%(processor)s, %(by)s, %(reason)s)
  ON CONFLICT (processor) DO NOTHING
  RETURNING processor, reason
), audited AS (
  INSERT INTO audit_entry (actor, source, action, detail)
  SELECT %(by)s, %(source)s, 'processor.paused', jsonb_build_object('processor', processor, 'reason', reason)
  FROM paused
)
SELECT processor FROM paused;

-- name: resume
WITH resumed AS (
  DELETE FROM processor_pause WHERE processor = %(processor)s RETURNING processor
), audited AS (
  INSERT INTO audit_entry (actor, source, action, detail)
  SELECT %(by)s, %(source)s, 'processor.resumed', jsonb_build_object('processor', processor) FROM resumed
)
SELECT processor, pg_notify('batchpay_outbox', '') FROM resumed;

-- name: paused
SELECT processor, paused_by, reason, paused_at FROM processor_pause ORDER BY processor;

-- name: is_paused
SELECT EXISTS (SELECT FROM processor_pause WHERE processor = %(processor)s);
