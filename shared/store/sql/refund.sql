-- Asking for refunds.

-- name: of_batch
SELECT id FROM payment
WHERE batch_id = %(batch_id)s AND practice_id = %(practice_id)s AND id > %(after)s
ORDER BY id LIMIT %(limit)s;

-- name: lock_batch
-- One asks for a refund of the batch at a time.
SELECT b.id, p.refund_limit_minor FROM batch b JOIN practice p ON p.id = b.practice_id
WHERE b.id = %(batch_id)s AND b.practice_id = %(practice_id)s
FOR NO KEY UPDATE OF b;

-- name: refundable
SELECT id, amount_minor FROM payment WHERE batch_id = %(batch_id)s AND state = ANY (%(states)s) ORDER BY id;

-- name: unapproved
-- What this batch gives back without a second person, however many asked for it. What was refused or came back does not
-- count: that money is with the practice.
SELECT coalesce(sum(p.amount_minor), 0)::bigint
FROM payment p
CROSS JOIN LATERAL (
  SELECT e.detail FROM payment_event e
  WHERE e.payment_id = p.id AND e.event = 'request_refund' ORDER BY e.id DESC LIMIT 1
) asked
WHERE p.batch_id = %(batch_id)s AND p.state = ANY (%(states)s) AND asked.detail ->> 'approved_by' IS NULL;

-- name: of_payment
SELECT batch_id, amount_minor FROM payment WHERE id = %(payment_id)s AND practice_id = %(practice_id)s;
