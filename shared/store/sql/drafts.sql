-- Batches in the making: one person's selection, kept on the server. Rows that are `cleared` can come back by undo.

-- name: forget_old
DELETE FROM draft d
WHERE d.practice_id = %(practice_id)s AND d.updated_at < statement_timestamp() - %(kept)s::interval AND NOT d.for_approval

-- name: start
INSERT INTO draft (practice_id, clinician_id, owner, payment_number, retry_of)
VALUES (%(practice_id)s, %(clinician_id)s, %(owner)s, %(payment_number)s, %(retry_of)s)
RETURNING id

-- name: find
SELECT d.id, d.payment_number, d.updated_at, d.submitted_at, d.retry_of, sums.count, sums.total_minor
FROM draft d
CROSS JOIN LATERAL (
  SELECT count(*) AS count, coalesce(sum(amount_minor), 0)::bigint AS total_minor
  FROM draft_invoice WHERE draft_id = d.id AND NOT cleared
) sums
WHERE d.practice_id = %(practice_id)s AND d.owner = %(owner)s
  AND d.clinician_id IS NOT DISTINCT FROM %(clinician_id)s::uuid
  AND CASE WHEN %(id)s::uuid IS NULL THEN d.submitted_at IS NULL AND sums.count > 0 ELSE d.id = %(id)s END
ORDER BY d.updated_at DESC
LIMIT 1

-- name: save_number
UPDATE draft SET payment_number = %(payment_number)s, updated_at = clock_timestamp() WHERE id = %(id)s

-- name: touch
UPDATE draft SET updated_at = clock_timestamp() WHERE id = %(id)s

-- name: close
UPDATE draft SET submitted_at = clock_timestamp() WHERE id = %(id)s AND submitted_at IS NULL

-- name: add
INSERT INTO draft_invoice (draft_id, invoice_id, amount_minor)
SELECT %(id)s, e.invoice_id, e.amount_due_minor
FROM invoice_eligibility e
WHERE e.practice_id = %(practice_id)s AND e.invoice_id = ANY (%(invoices)s::uuid[]) AND e.reasons = '{}'
  AND (%(clinician_id)s::uuid IS NULL OR e.clinician_id = %(clinician_id)s)
ON CONFLICT (draft_id, invoice_id) DO UPDATE SET amount_minor = EXCLUDED.amount_minor, cleared = false

-- name: add_named
INSERT INTO draft_invoice (draft_id, invoice_id, amount_minor)
SELECT %(id)s, e.invoice_id, e.amount_due_minor
FROM invoice_eligibility e
WHERE e.practice_id = %(practice_id)s AND e.invoice_external_id = ANY (%(invoices)s::text[]) AND e.reasons = '{}'
  AND (%(clinician_id)s::uuid IS NULL OR e.clinician_id = %(clinician_id)s)
ON CONFLICT (draft_id, invoice_id) DO NOTHING

-- name: add_matching
INSERT INTO draft_invoice (draft_id, invoice_id, amount_minor)
SELECT %(id)s, e.invoice_id, e.amount_due_minor
FROM invoices_matching(%(practice_id)s::uuid, %(clinician_id)s::uuid, %(filter)s::jsonb) e
WHERE e.reasons = '{}' AND e.reopened_at IS NULL
LIMIT %(limit)s
ON CONFLICT (draft_id, invoice_id) DO UPDATE SET amount_minor = EXCLUDED.amount_minor, cleared = false

-- name: remove
DELETE FROM draft_invoice WHERE draft_id = %(id)s AND invoice_id = ANY (%(invoices)s::uuid[])

-- name: clear
WITH before AS (DELETE FROM draft_invoice WHERE draft_id = %(id)s AND cleared)
UPDATE draft_invoice SET cleared = true WHERE draft_id = %(id)s AND NOT cleared

-- name: undo_clear
UPDATE draft_invoice SET cleared = false WHERE draft_id = %(id)s AND cleared

-- name: invoices
-- The order in which the wizard shows them: payment numbers follow it.
SELECT coalesce(array_agg(i.external_id ORDER BY fold(c.name) COLLATE "C", i.number, i.id), '{}') AS invoices
FROM draft_invoice d
JOIN invoice i ON i.id = d.invoice_id
JOIN client c ON c.id = i.client_id
WHERE d.draft_id = %(id)s AND NOT d.cleared

-- name: summary
SELECT count(*) AS payments, coalesce(sum(d.amount_minor), 0)::bigint AS total_minor,
  count(DISTINCT i.client_id) AS clients, coalesce(sum(i.session_count), 0)::bigint AS sessions
FROM draft_invoice d
JOIN invoice i ON i.id = d.invoice_id
WHERE d.draft_id = %(id)s AND NOT d.cleared

-- name: same_card
SELECT c.name AS client_name, m.brand, m.last4, count(*) AS invoices
FROM draft_invoice d
JOIN invoice i ON i.id = d.invoice_id
JOIN client c ON c.id = i.client_id
JOIN payment_method m ON m.client_id = c.id AND m.is_default AND m.removed_at IS NULL
WHERE d.draft_id = %(id)s AND NOT d.cleared
GROUP BY c.id, c.name, m.brand, m.last4
HAVING count(*) > 1
ORDER BY count(*) DESC, fold(c.name)
LIMIT %(limit)s

-- name: sessions
SELECT i.number AS invoice_number, c.name AS client_name, m.brand, m.last4, d.amount_minor, i.currency,
  (SELECT coalesce(jsonb_agg(jsonb_build_array(s.service_date, s.description) ORDER BY s.service_date, s.id), '[]')
   FROM session s WHERE s.invoice_id = i.id) AS sessions
FROM draft_invoice d
JOIN invoice i ON i.id = d.invoice_id
JOIN client c ON c.id = i.client_id
LEFT JOIN payment_method m ON m.client_id = c.id AND m.is_default AND m.removed_at IS NULL
WHERE d.draft_id = %(id)s AND NOT d.cleared
ORDER BY CASE WHEN %(largest_first)s THEN d.amount_minor END DESC, fold(c.name) COLLATE "C", i.number, i.id
LIMIT %(limit)s OFFSET %(skip)s

-- name: differences
-- Selected invoices that are not what they were: with another amount, or not chargeable any more. ANY, here and in
-- `refresh`: a join with the view would begin with all invoices there ever were.
WITH now AS MATERIALIZED (
  SELECT e.*
  FROM invoice_eligibility e
  WHERE e.invoice_id = ANY (ARRAY(SELECT invoice_id FROM draft_invoice WHERE draft_id = %(id)s AND NOT cleared))
)
SELECT e.invoice_number, e.client_name, d.amount_minor AS then_minor, e.amount_due_minor AS now_minor, e.reasons,
  e.currency, e.exp_month, e.exp_year, e.method_processor, e.processor, pr.name AS practice_name,
  pr.currency AS practice_currency, pr.locale, pr.invoice_limit_minor, running.number AS running_batch_number
FROM draft_invoice d
JOIN now e ON e.invoice_id = d.invoice_id
JOIN practice pr ON pr.id = e.practice_id
LEFT JOIN batch running ON running.id = e.running_batch_id
WHERE d.draft_id = %(id)s AND (e.reasons <> '{}' OR e.amount_due_minor <> d.amount_minor)
ORDER BY fold(e.client_name) COLLATE "C", e.invoice_number
LIMIT %(limit)s

-- name: refresh
WITH now AS (
  SELECT d.invoice_id, e.amount_due_minor, e.reasons
  FROM draft_invoice d
  JOIN invoice_eligibility e ON e.invoice_id = d.invoice_id
  WHERE d.draft_id = %(id)s AND (e.reasons <> '{}' OR e.amount_due_minor <> d.amount_minor)
    AND e.invoice_id = ANY (ARRAY(SELECT invoice_id FROM draft_invoice WHERE draft_id = %(id)s AND NOT cleared))
), gone AS (
  DELETE FROM draft_invoice d USING now
  WHERE d.draft_id = %(id)s AND d.invoice_id = now.invoice_id AND now.reasons <> '{}'
)
UPDATE draft_invoice d SET amount_minor = now.amount_due_minor
FROM now
WHERE d.draft_id = %(id)s AND d.invoice_id = now.invoice_id AND now.reasons = '{}'
