-- How people resolve payments that are under review. Services write what a person says; the janitor looks at the
-- processor and answers, because only workers talk to processors.

-- name: listed
SELECT
  p.id, pr.external_id AS practice, b.number AS batch_number, i.number AS invoice, p.state, p.amount_minor, p.currency,
  p.processor, charge.reference, charge.processor_ref, charge.last_send_at, p.review_reason AS reason
FROM payment p
JOIN practice pr ON pr.id = p.practice_id
JOIN batch b ON b.id = p.batch_id
JOIN invoice i ON i.id = p.invoice_id
LEFT JOIN attempt charge ON charge.id = p.current_attempt
WHERE p.review_reason IS NOT NULL AND (%(practice)s::text IS NULL OR pr.external_id = %(practice)s)
ORDER BY p.id;

-- name: ask
INSERT INTO resolution (payment_id, verdict, processor_ref, note, asked_by, source)
SELECT p.id, %(verdict)s, %(processor_ref)s, %(note)s, %(asked_by)s, %(source)s FROM payment p WHERE p.id = %(payment_id)s
RETURNING id;

-- name: answer_of
SELECT answered_at IS NOT NULL AS answered, refusal FROM resolution WHERE id = %(id)s;

-- name: newest
SELECT verdict, processor_ref, asked_by, asked_at, answered_at IS NOT NULL AS answered, refusal
FROM resolution WHERE payment_id = %(payment_id)s
ORDER BY asked_at DESC LIMIT 1;

-- name: unanswered
SELECT r.id, r.payment_id, p.practice_id, r.verdict, r.processor_ref, r.asked_by, r.source
FROM resolution r JOIN payment p ON p.id = r.payment_id
WHERE r.answered_at IS NULL
ORDER BY r.asked_at LIMIT %(limit)s;

-- name: answer
UPDATE resolution SET answered_at = clock_timestamp(), refusal = %(refusal)s
WHERE id = %(id)s AND answered_at IS NULL
RETURNING id;

-- name: close_findings
UPDATE finding SET resolved_at = clock_timestamp() WHERE payment_id = %(payment_id)s AND resolved_at IS NULL;
