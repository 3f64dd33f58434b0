-- The batch report and a payment's timeline.

-- name: payments
SELECT r.id, r.batch_id, r.batch_number, r.submitted_at, r.submitted_by, r.state, r.amount_minor, r.currency, r.number,
  r.processor, r.reason_code, r.reason_category, r.reason_raw_code, r.review_reason, r.void_requested_at,
  r.void_requested_by, r.created_at, r.next_check_at, r.finished_at, r.invoice_external_id, r.invoice_number,
  r.first_service_on, r.last_service_on, r.session_count, r.client_external_id, r.client_name, r.method_type, r.brand,
  r.last4, r.exp_month, r.exp_year, r.processor_ref, r.history_ref, r.reference, r.disputed, r.refund_asked_by,
  r.refund_asked_at, r.refund_reason, r.refund_ref,
  '' AS key_text, 0::bigint AS key_number
FROM payment_report r
WHERE r.practice_id = %(practice_id)s
  AND (%(clinician_id)s::uuid IS NULL OR r.clinician_id = %(clinician_id)s)
  AND (%(batch_id)s::uuid IS NULL OR r.batch_id = %(batch_id)s)
  AND (%(payment_id)s::uuid IS NULL OR r.id = %(payment_id)s)
  AND (%(after_id)s::uuid IS NULL OR r.id > %(after_id)s)
ORDER BY r.id
LIMIT %(limit)s

-- name: page
-- As people sort and search it; what needs them comes first unless they ask otherwise.
WITH keyed AS (
  SELECT r.*,
    CASE %(sort)s::text
      WHEN 'attention' THEN fold(r.client_name) WHEN 'client' THEN fold(r.client_name)
      WHEN 'invoice' THEN fold(r.invoice_number) WHEN 'card' THEN fold(concat_ws(' ', r.brand, r.last4))
      WHEN 'number' THEN lpad(r.number, 30) ELSE '' END COLLATE "C" AS key_text,
    coalesce(CASE %(sort)s::text
      WHEN 'attention' THEN coalesce(array_position(%(urgent)s::text[], r.state), 100)
        - CASE WHEN r.review_reason IS NULL THEN 0 ELSE 1000 END
      WHEN 'amount' THEN r.amount_minor WHEN 'service_date' THEN r.first_service_on - date '1900-01-01'
      WHEN 'finished' THEN (extract(epoch FROM r.finished_at) * 1000000)::bigint END, -1)::bigint AS key_number
  FROM payment_report r
  WHERE r.practice_id = %(practice_id)s AND r.batch_id = %(batch_id)s
    AND (%(clinician_id)s::uuid IS NULL OR r.clinician_id = %(clinician_id)s)
    AND (%(states)s::text[] IS NULL OR r.state = ANY (%(states)s)
      OR (%(or_in_review)s AND r.review_reason IS NOT NULL))
    AND (%(search)s::text IS NULL
      OR strpos(fold(concat_ws(' ', r.invoice_number, r.client_name, r.brand, r.last4, r.number, r.processor_ref)),
        fold(%(search)s)) > 0)
)
SELECT r.id, r.batch_id, r.batch_number, r.submitted_at, r.submitted_by, r.state, r.amount_minor, r.currency, r.number,
  r.processor, r.reason_code, r.reason_category, r.reason_raw_code, r.review_reason, r.void_requested_at,
  r.void_requested_by, r.created_at, r.next_check_at, r.finished_at, r.invoice_external_id, r.invoice_number,
  r.first_service_on, r.last_service_on, r.session_count, r.client_external_id, r.client_name, r.method_type, r.brand,
  r.last4, r.exp_month, r.exp_year, r.processor_ref, r.history_ref, r.reference, r.disputed, r.refund_asked_by,
  r.refund_asked_at, r.refund_reason, r.refund_ref,
  r.key_text, r.key_number
FROM keyed r
WHERE %(after_id)s::uuid IS NULL OR CASE WHEN %(descending)s
  THEN (r.key_number, r.key_text, r.id) < (%(after_number)s, %(after_text)s COLLATE "C", %(after_id)s)
  ELSE (r.key_number, r.key_text, r.id) > (%(after_number)s, %(after_text)s COLLATE "C", %(after_id)s) END
ORDER BY
  CASE WHEN %(descending)s THEN r.key_number END DESC, CASE WHEN NOT %(descending)s THEN r.key_number END,
  CASE WHEN %(descending)s THEN r.key_text END DESC, CASE WHEN NOT %(descending)s THEN r.key_text END,
  CASE WHEN %(descending)s THEN r.id END DESC, CASE WHEN NOT %(descending)s THEN r.id END
LIMIT %(limit)s

-- name: events
SELECT at, event, from_state, to_state, actor, detail
FROM payment_event
WHERE payment_id = %(payment_id)s
ORDER BY id

-- name: attempts
SELECT n, kind, reference, amount_minor, processor_ref, outcome, outcome_code, first_send_at, finished_at
FROM attempt
WHERE payment_id = %(payment_id)s
ORDER BY n

-- name: said
-- What people said about a payment under review, oldest first.
SELECT verdict, processor_ref, note, asked_by, asked_at, answered_at, refusal
FROM resolution
WHERE payment_id = %(payment_id)s
ORDER BY asked_at
