-- Asking for refunds.

-- name: of_batch
SELECT id FROM payment
WHERE batch_id = %(batch_id)s AND practice_id = %(practice_id)s AND id > %(after)s
ORDER BY id LIMIT %(limit)s;

-- name: of_payment
SELECT batch_id FROM payment WHERE id = %(payment_id)s AND practice_id = %(practice_id)s;
