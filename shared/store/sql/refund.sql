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

-- name: of_payment
SELECT p.batch_id, p.amount_minor, pr.refund_limit_minor
FROM payment p JOIN practice pr ON pr.id = p.practice_id
WHERE p.id = %(payment_id)s AND p.practice_id = %(practice_id)s;
