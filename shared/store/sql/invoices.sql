-- The wizard's list. Both sort keys are always there (one is constant), so that one row comparison pages by any column.

-- name: page
WITH keyed AS (
  SELECT e.invoice_id,
    CASE %(sort)s::text
      WHEN 'client' THEN e.client_key WHEN 'invoice' THEN fold(e.invoice_number)
      WHEN 'clinician' THEN coalesce(fold(e.clinician_name), '')
      WHEN 'card' THEN fold(concat_ws(' ', e.brand, e.last4)) ELSE '' END COLLATE "C" AS key_text,
    coalesce(CASE %(sort)s::text
      WHEN 'amount' THEN e.amount_due_minor WHEN 'sessions' THEN e.session_count
      WHEN 'service_date' THEN e.first_service_on - date '1900-01-01' END, -1)::bigint AS key_number
  FROM invoices_matching(%(practice_id)s::uuid, %(clinician_id)s::uuid, %(filter)s::jsonb) e
  WHERE CASE %(show)s::text
    WHEN 'ready' THEN e.reasons = '{}' WHEN 'blocked' THEN e.reasons <> '{}'
    WHEN 'selected' THEN e.invoice_id IN (
      SELECT d.invoice_id FROM draft_invoice d WHERE d.draft_id = %(draft_id)s AND NOT d.cleared)
    ELSE true END
), chosen AS (
  -- Only ids and keys until the page is cut: PostgreSQL keeps one page in memory, and judges no invoice beside it.
  SELECT c.*, row_number() OVER () AS place
  FROM (
    SELECT k.* FROM keyed k
    WHERE %(after_id)s::uuid IS NULL OR CASE WHEN %(descending)s
      THEN (k.key_text, k.key_number, k.invoice_id) < (%(after_text)s COLLATE "C", %(after_number)s, %(after_id)s)
      ELSE (k.key_text, k.key_number, k.invoice_id) > (%(after_text)s COLLATE "C", %(after_number)s, %(after_id)s) END
    ORDER BY
      CASE WHEN %(descending)s THEN k.key_text END DESC, CASE WHEN NOT %(descending)s THEN k.key_text END,
      CASE WHEN %(descending)s THEN k.key_number END DESC, CASE WHEN NOT %(descending)s THEN k.key_number END,
      CASE WHEN %(descending)s THEN k.invoice_id END DESC, CASE WHEN NOT %(descending)s THEN k.invoice_id END
    LIMIT %(limit)s
  ) c
)
SELECT k.invoice_id, k.invoice_external_id, k.invoice_number, k.client_external_id, k.client_name, k.clinician_name,
  k.currency, k.total_minor, k.amount_due_minor, k.issued_on, k.first_service_on, k.last_service_on, k.session_count,
  k.reopened_at, k.method_id IS NOT NULL AS has_method, k.method_type, k.brand, k.last4, k.exp_month, k.exp_year,
  k.method_processor, k.processor, k.reasons, pr.name AS practice_name, pr.currency AS practice_currency, pr.locale,
  pr.invoice_limit_minor,
  (SELECT running.number FROM batch running WHERE running.id = k.running_batch_id) AS running_batch_number,
  (SELECT running.submitted_at FROM batch running WHERE running.id = k.running_batch_id) AS running_batch_at,
  (SELECT count(*) FROM session s
   WHERE s.invoice_id = k.invoice_id AND (s.service_date < (%(filter)s::jsonb ->> 'service_from')::date
     OR s.service_date > (%(filter)s::jsonb ->> 'service_to')::date))::integer AS sessions_outside,
  EXISTS (SELECT FROM draft_invoice d
          WHERE d.draft_id = %(draft_id)s AND d.invoice_id = k.invoice_id AND NOT d.cleared) AS selected,
  chosen.key_text, chosen.key_number
FROM chosen
-- OFFSET 0 keeps it a look at one invoice at a time; joined freely, the planner judges every invoice there is.
CROSS JOIN LATERAL (SELECT * FROM invoice_eligibility e WHERE e.invoice_id = chosen.invoice_id OFFSET 0) k
JOIN practice pr ON pr.id = k.practice_id
ORDER BY chosen.place

-- name: matching
SELECT count(*) AS all_count, coalesce(sum(amount_due_minor), 0)::bigint AS all_minor,
  count(*) FILTER (WHERE reasons = '{}') AS ready_count,
  coalesce(sum(amount_due_minor) FILTER (WHERE reasons = '{}'), 0)::bigint AS ready_minor,
  count(*) FILTER (WHERE reasons = '{}' AND reopened_at IS NOT NULL) AS ready_reopened
FROM invoices_matching(%(practice_id)s::uuid, %(clinician_id)s::uuid, %(filter)s::jsonb)
