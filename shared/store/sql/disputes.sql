-- Disputes of charges, as their processor showed them last.

-- name: charge_of
SELECT a.payment_id, a.id AS attempt_id FROM attempt a
WHERE a.processor = %(processor)s AND a.account = %(account)s AND a.processor_ref = %(charge_ref)s AND a.kind = 'charge';

-- name: standing_of
SELECT standing FROM dispute
WHERE processor = %(processor)s AND account = %(account)s AND processor_ref = %(processor_ref)s
FOR UPDATE;

-- name: write
-- A closed dispute does not open again: what says so is older.
INSERT INTO dispute (processor, account, processor_ref, payment_id, attempt_id, amount_minor, standing, closed_at)
VALUES (%(processor)s, %(account)s, %(processor_ref)s, %(payment_id)s, %(attempt_id)s, %(amount_minor)s, %(standing)s,
  CASE WHEN %(standing)s <> 'open' THEN clock_timestamp() END)
ON CONFLICT (processor, account, processor_ref) DO UPDATE SET standing = excluded.standing, closed_at = excluded.closed_at
WHERE dispute.standing = 'open' AND excluded.standing <> 'open';

-- name: settle_finding
UPDATE finding SET resolved_at = clock_timestamp(), resolution = 'the practice won the dispute'
WHERE payment_id = %(payment_id)s AND kind = %(kind)s AND starts_with(detail, %(processor_ref)s || ':')
  AND resolved_at IS NULL;

-- name: tell
INSERT INTO outbox (lane, batch_id, payment_id, routing_key, body)
VALUES ('event', %(batch_id)s, %(payment_id)s, %(routing_key)s, %(body)s);

-- name: disputed
SELECT DISTINCT payment_id FROM dispute WHERE payment_id = ANY(%(payments)s::uuid[]) AND standing <> 'won';
