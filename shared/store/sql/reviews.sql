-- What waits for people.

-- name: waiting
SELECT
  (SELECT count(*) FROM payment p JOIN client c ON c.id = p.client_id
   WHERE p.practice_id = %(practice_id)s AND p.review_reason IS NOT NULL
     AND (%(clinician_id)s::uuid IS NULL OR c.clinician_id = %(clinician_id)s)) AS reviews,
  (SELECT count(*) FROM approval a
   WHERE a.practice_id = %(practice_id)s AND a.decision IS NULL AND a.expires_at > clock_timestamp())
  + (SELECT count(*) FROM refund_approval a
     WHERE a.practice_id = %(practice_id)s AND a.decision IS NULL AND a.expires_at > clock_timestamp()) AS approvals

-- name: cases
SELECT p.id, p.batch_id, b.number AS batch_number, p.state, p.amount_minor, p.currency, p.processor, p.review_reason,
  p.updated_at, p.next_check_at, i.number AS invoice_number, c.name AS client_name, m.brand, m.last4, charge.reference,
  charge.processor_ref, charge.first_send_at, charge.lookups,
  coalesce(found.kinds, '{}') AS kinds, found.since
FROM payment p
JOIN batch b ON b.id = p.batch_id
JOIN invoice i ON i.id = p.invoice_id
JOIN client c ON c.id = p.client_id
JOIN payment_method m ON m.id = p.method_id
LEFT JOIN LATERAL (
  SELECT a.reference, a.processor_ref, a.first_send_at, a.lookups
  FROM attempt a WHERE a.payment_id = p.id AND a.kind = 'charge' ORDER BY a.n DESC LIMIT 1
) charge ON true
LEFT JOIN LATERAL (
  SELECT array_agg(DISTINCT f.kind) AS kinds, min(f.created_at) AS since
  FROM finding f WHERE f.payment_id = p.id AND f.resolved_at IS NULL
) found ON true
WHERE p.practice_id = %(practice_id)s AND p.review_reason IS NOT NULL
  AND (%(clinician_id)s::uuid IS NULL OR c.clinician_id = %(clinician_id)s)
  AND (%(after_id)s::uuid IS NULL OR p.id > %(after_id)s)
ORDER BY p.id
LIMIT %(limit)s

-- name: resolved
-- What a person said and the processor's books confirmed, the newest first.
SELECT r.id, r.payment_id, b.number AS batch_number, p.state, p.amount_minor, p.currency, p.processor,
  i.number AS invoice_number, c.name AS client_name, m.brand, m.last4, r.verdict, r.processor_ref, r.note, r.asked_by,
  r.asked_at, r.answered_at
FROM resolution r
-- One lookup for each word that was taken: those are few, payments are many.
CROSS JOIN LATERAL (
  SELECT * FROM payment o WHERE o.id = r.payment_id AND o.practice_id = %(practice_id)s OFFSET 0
) p
CROSS JOIN LATERAL (SELECT number FROM batch o WHERE o.id = p.batch_id OFFSET 0) b
CROSS JOIN LATERAL (SELECT number FROM invoice o WHERE o.id = p.invoice_id OFFSET 0) i
CROSS JOIN LATERAL (SELECT name, clinician_id FROM client o WHERE o.id = p.client_id OFFSET 0) c
CROSS JOIN LATERAL (SELECT brand, last4 FROM payment_method o WHERE o.id = p.method_id OFFSET 0) m
WHERE r.answered_at IS NOT NULL AND r.refusal IS NULL
  AND (%(clinician_id)s::uuid IS NULL OR c.clinician_id = %(clinician_id)s)
  AND (%(before_id)s::uuid IS NULL OR (r.answered_at, r.id) < (
    SELECT o.answered_at, o.id FROM resolution o WHERE o.id = %(before_id)s))
ORDER BY r.answered_at DESC, r.id DESC
LIMIT %(limit)s

-- name: count_resolved
-- No further than a person takes in.
SELECT count(*) FROM (
  SELECT FROM resolution r
  CROSS JOIN LATERAL (
    SELECT client_id FROM payment o WHERE o.id = r.payment_id AND o.practice_id = %(practice_id)s OFFSET 0
  ) p
  CROSS JOIN LATERAL (SELECT clinician_id FROM client o WHERE o.id = p.client_id OFFSET 0) c
  WHERE r.answered_at IS NOT NULL AND r.refusal IS NULL
    AND (%(clinician_id)s::uuid IS NULL OR c.clinician_id = %(clinician_id)s)
  ORDER BY r.answered_at DESC, r.id DESC
  LIMIT %(limit)s
) counted
