-- The batch report and a payment's timeline.

-- name: payments
SELECT p.id, p.batch_id, b.number AS batch_number, p.state, p.amount_minor, p.currency, p.number, p.processor,
  p.reason_code, p.reason_category, p.reason_raw_code, p.review_reason, p.void_requested_at, p.void_requested_by,
  p.created_at, p.finished_at, i.external_id AS invoice_external_id, i.number AS invoice_number, i.first_service_on,
  i.last_service_on, i.session_count, c.external_id AS client_external_id, c.name AS client_name, m.type AS method_type,
  m.brand, m.last4, m.exp_month, m.exp_year, charge.processor_ref, charge.history_ref, charge.reference
FROM payment p
JOIN batch b ON b.id = p.batch_id
JOIN invoice i ON i.id = p.invoice_id
JOIN client c ON c.id = p.client_id
JOIN payment_method m ON m.id = p.method_id
LEFT JOIN LATERAL (
  SELECT a.processor_ref, a.history_ref, a.reference
  FROM attempt a
  WHERE a.payment_id = p.id AND a.kind = 'charge'
  ORDER BY a.n DESC
  LIMIT 1
) charge ON true
WHERE p.practice_id = %(practice_id)s
  AND (%(clinician_id)s::uuid IS NULL OR c.clinician_id = %(clinician_id)s)
  AND (%(batch_id)s::uuid IS NULL OR p.batch_id = %(batch_id)s)
  AND (%(payment_id)s::uuid IS NULL OR p.id = %(payment_id)s)
  AND (%(after_id)s::uuid IS NULL OR p.id > %(after_id)s)
ORDER BY p.id
LIMIT %(limit)s

-- name: events
SELECT at, event, from_state, to_state, actor
FROM payment_event
WHERE payment_id = %(payment_id)s
ORDER BY id

-- name: attempts
SELECT n, kind, reference, amount_minor, processor_ref, outcome, outcome_code, first_send_at, finished_at
FROM attempt
WHERE payment_id = %(payment_id)s
ORDER BY n
