-- Webhooks: each event once, whatever their order and however often they are sent.

-- name: keep
INSERT INTO webhook (processor, event_id, account, type, charge_ref, reference)
VALUES (%(processor)s, %(event_id)s, %(account)s, %(type)s, %(charge_ref)s, %(reference)s)
ON CONFLICT (processor, event_id) DO NOTHING
RETURNING event_id;

-- name: take
WITH due AS MATERIALIZED (
  SELECT processor, event_id FROM webhook
  WHERE handled_at IS NULL AND next_try_at <= clock_timestamp()
  ORDER BY next_try_at LIMIT %(limit)s
  FOR UPDATE SKIP LOCKED
)
UPDATE webhook w SET tries = w.tries + 1, next_try_at = clock_timestamp() + %(again)s::interval
FROM due d WHERE w.processor = d.processor AND w.event_id = d.event_id
RETURNING w.processor, w.event_id, w.account, w.type, w.charge_ref, w.reference, w.tries;

-- name: charge_of
-- Our charge that an event is about: by the processor's name of it, or, before an answer told us that, by our reference.
SELECT a.payment_id, a.id AS attempt_id, p.state, a.processor_ref
FROM attempt a JOIN payment p ON p.id = a.payment_id
WHERE a.processor = %(processor)s AND a.account = %(account)s AND a.kind = 'charge'
  AND (a.processor_ref = %(charge_ref)s OR (a.payment_id = %(payment_id)s AND a.n = %(n)s))
ORDER BY a.processor_ref = %(charge_ref)s DESC NULLS LAST LIMIT 1;

-- name: confirmed_refund
SELECT id FROM attempt WHERE parent_id = %(attempt_id)s AND kind = 'refund' AND outcome = 'confirmed';

-- name: look_soon
-- Its own worker is at it; it need not wait for its date.
UPDATE payment SET next_check_at = clock_timestamp()
WHERE id = %(payment_id)s AND state = ANY(%(states)s) AND next_check_at > clock_timestamp();

-- name: handled
UPDATE webhook SET handled_at = clock_timestamp(), outcome = %(outcome)s
WHERE processor = %(processor)s AND event_id = %(event_id)s AND handled_at IS NULL;
