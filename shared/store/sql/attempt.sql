-- Attempts as read under their payment's row lock.

-- name: by_id
SELECT
  id, payment_id, n, kind, parent_id, reference, processor, account, amount_minor, request_text, open_sends, sends,
  first_send_at, last_send_at, last_claimed_at, lookups, outcome, outcome_code, outcome_detail, processor_ref,
  history_ref, absence_final_at, surplus_at, finished_at
FROM attempt WHERE id = ANY(%(ids)s);

-- name: open_return
SELECT
  id, payment_id, n, kind, parent_id, reference, processor, account, amount_minor, request_text, open_sends, sends,
  first_send_at, last_send_at, last_claimed_at, lookups, outcome, outcome_code, outcome_detail, processor_ref,
  history_ref, absence_final_at, surplus_at, finished_at
FROM attempt WHERE parent_id = %(charge)s AND outcome IS NULL;

-- name: surplus
SELECT DISTINCT ON (payment_id)
  id, payment_id, n, kind, parent_id, reference, processor, account, amount_minor, request_text, open_sends, sends,
  first_send_at, last_send_at, last_claimed_at, lookups, outcome, outcome_code, outcome_detail, processor_ref,
  history_ref, absence_final_at, surplus_at, finished_at
FROM attempt WHERE payment_id = ANY(%(payments)s) AND kind = 'charge' AND surplus_at IS NOT NULL
ORDER BY payment_id, n DESC;
