-- Preview and submit. In `blocked` the view's columns are null where the practice (or the clinician) has no such invoice.

-- name: find_submitted
SELECT b.id, b.number, b.submitted_at, b.submitted_by, b.processor, b.currency, b.total, b.total_minor, b.payment_number,
  b.first_payment_number, b.last_payment_number, b.request_sha256
FROM batch b
WHERE b.practice_id = %(practice_id)s AND b.idempotency_key = %(idempotency_key)s

-- name: matching_ready
SELECT coalesce(array_agg(e.invoice_external_id ORDER BY e.invoice_external_id), '{}') AS invoices
FROM (
  SELECT e.invoice_external_id
  FROM invoices_matching(%(practice_id)s::uuid, %(clinician_id)s::uuid, %(filter)s::jsonb) e
  WHERE e.reasons = '{}' AND e.reopened_at IS NULL
  LIMIT %(limit)s
) e

-- name: retryable
-- What a batch failed to charge and may be tried again, as far as it can be charged.
WITH candidate AS (
  SELECT payment_id, invoice_external_id, from_at
  FROM retry_chance
  WHERE batch_id = %(batch_id)s AND practice_id = %(practice_id)s AND chargeable AND allowed
    AND (%(clinician_id)s::uuid IS NULL OR clinician_id = %(clinician_id)s)
)
SELECT
  coalesce(
    array_agg(invoice_external_id ORDER BY payment_id) FILTER (WHERE from_at IS NULL OR from_at <= statement_timestamp()),
    '{}') AS invoices,
  count(*) FILTER (WHERE from_at > statement_timestamp()) AS resting,
  min(from_at) FILTER (WHERE from_at > statement_timestamp()) AS resting_until
FROM candidate

-- name: chances
-- Of these soft declines: whether and from when each may be tried again.
SELECT payment_id AS id, declines, from_at, chargeable, allowed
FROM retry_chance
WHERE payment_id = ANY (%(payments)s::uuid[]) AND practice_id = %(practice_id)s AND state = 'declined'

-- name: weigh
SELECT count(*) AS ready, coalesce(sum(amount_due_minor), 0)::bigint AS ready_minor
FROM invoice_eligibility e
WHERE e.practice_id = %(practice_id)s AND e.invoice_external_id = ANY (%(invoices)s::text[])
  AND e.reasons = '{}' AND (%(clinician_id)s::uuid IS NULL OR e.clinician_id = %(clinician_id)s)

-- name: blocked
WITH found AS MATERIALIZED (
  SELECT e.*
  FROM invoice_eligibility e
  WHERE e.practice_id = %(practice_id)s AND e.invoice_external_id = ANY (%(invoices)s::text[])
    AND (%(clinician_id)s::uuid IS NULL OR e.clinician_id = %(clinician_id)s)
)
SELECT wanted.external_id, e.invoice_number, coalesce(e.reasons, '{invoice_not_found}') AS reasons,
  e.currency, e.amount_due_minor, e.exp_month, e.exp_year, e.method_processor, e.processor,
  pr.name AS practice_name, pr.currency AS practice_currency, pr.locale, pr.invoice_limit_minor,
  running.number AS running_batch_number
FROM unnest(%(invoices)s::text[]) WITH ORDINALITY AS wanted (external_id, place)
JOIN practice pr ON pr.id = %(practice_id)s
LEFT JOIN found e ON e.invoice_external_id = wanted.external_id
LEFT JOIN batch running ON running.id = e.running_batch_id
WHERE e.reasons IS DISTINCT FROM '{}'
ORDER BY wanted.place

-- name: submit
-- All or nothing in one statement: what is selected is judged, and only a selection without any reason and with the
-- control totals that the user confirmed gets numbers, a batch, its payments, the row of their first hints and the audit
-- entry. The practice's row is locked by `numbered` only, the last step that another submit could have to wait for.
-- The long arrays come in binary: as text, writing them takes Python four times as long.
WITH selected AS MATERIALIZED (
  -- Only what is written: a column more is carried along for every invoice, and a table more is joined.
  SELECT e.invoice_external_id, e.invoice_id, e.client_id, e.method_id, e.processor, e.processor_account, e.payer_id,
    e.token, e.method_type, e.amount_due_minor, e.currency
  FROM invoice_eligibility e
  -- ANY, not a join with unnest: it walks the index of this practice's invoices whatever else the table holds.
  WHERE e.practice_id = %(practice_id)s AND e.invoice_external_id = ANY (%(invoices)b::text[])
    AND e.reasons = '{}' AND (%(clinician_id)s::uuid IS NULL OR e.clinician_id = %(clinician_id)s)
), weighed AS MATERIALIZED (
  SELECT count(*) AS total, sum(amount_due_minor)::bigint AS total_minor FROM selected
), numbered AS (
  UPDATE practice SET
    last_batch_number = last_batch_number + CASE WHEN %(number)s::bigint IS NULL THEN 1 ELSE 0 END,
    last_payment_number = last_payment_number
      + CASE WHEN %(payment_number)s::text IS NULL THEN weighed.total ELSE 0 END
  FROM weighed
  WHERE practice.id = %(practice_id)s AND weighed.total = cardinality(%(invoices)b::text[])
    AND weighed.total = %(control_count)s AND weighed.total_minor = %(control_minor)s
    -- Above the ceiling nothing is submitted without the second person, whoever forgets to ask.
    AND (weighed.total_minor <= practice.approval_ceiling_minor OR practice.approval_ceiling_minor IS NULL
      OR %(approved_by)s::text IS NOT NULL)
  RETURNING practice.id, last_batch_number, last_payment_number, processor, processor_account, currency,
    weighed.total, weighed.total_minor
), new_batch AS (
  INSERT INTO batch (id, practice_id, number, processor, processor_account, currency, payment_number,
    first_payment_number, last_payment_number, submitted_by, approved_by, approved_at, retry_of, idempotency_key,
    request_sha256,
    total, total_minor, unfinished, unfinished_minor)
  SELECT coalesce(%(id)s::uuid, uuid7()), id, coalesce(%(number)s::bigint, last_batch_number), processor, processor_account, currency, %(payment_number)s,
    CASE WHEN %(payment_number)s::text IS NULL THEN last_payment_number - total + 1 END,
    CASE WHEN %(payment_number)s::text IS NULL THEN last_payment_number END,
    %(actor)s, %(approved_by)s, CASE WHEN %(approved_by)s::text IS NOT NULL THEN clock_timestamp() END,
    %(retry_of)s::uuid, %(idempotency_key)s, %(request_sha256)s, total, total_minor, total, total_minor
  FROM numbered
  RETURNING *
), new_payments AS (
  INSERT INTO payment (id, batch_id, practice_id, invoice_id, client_id, method_id, processor, account, payer_id, token,
    method_type, amount_minor, currency, number, due_at, next_check_at)
  SELECT wanted.payment_id, b.id, b.practice_id, s.invoice_id, s.client_id, s.method_id, s.processor, s.processor_account, s.payer_id,
    s.token, s.method_type, s.amount_due_minor, s.currency,
    coalesce(b.payment_number, (b.first_payment_number - 1 + wanted.place)::text),
    b.submitted_at, b.submitted_at + make_interval(secs => %(first_check_s)s)
  FROM new_batch b
  CROSS JOIN unnest(%(invoices)b::text[], %(payment_ids)b::uuid[]) WITH ORDINALITY
    AS wanted (external_id, payment_id, place)
  JOIN selected s ON s.invoice_external_id = wanted.external_id
), hints AS (
  INSERT INTO batch_hint (lane, batch_id, last)
  SELECT 'charge.' || processor, id, (%(payment_ids)b::uuid[])[cardinality(%(payment_ids)b::uuid[])] FROM new_batch
), audited AS (
  INSERT INTO audit_entry (practice_id, actor, source, action, batch_id, detail)
  SELECT practice_id, %(actor)s, %(source)s, 'batch.submitted', id,
    jsonb_strip_nulls(jsonb_build_object(
      'count', total, 'total_minor', total_minor, 'currency', currency, 'retry_of', retry_of))
  FROM new_batch
)
SELECT b.id, b.number, b.submitted_at, b.submitted_by, b.processor, b.currency, b.total, b.total_minor, b.payment_number,
  b.first_payment_number, b.last_payment_number, b.request_sha256
FROM new_batch b
CROSS JOIN LATERAL (SELECT pg_notify('batchpay_submitted', b.id::text)) told

-- name: used_number
-- Where a typed payment number was used before: typed for a whole batch, or taken from the practice's sequence.
WITH used AS (
  SELECT b.id, b.number, b.submitted_at, CASE WHEN b.payment_number IS NULL THEN 1 ELSE b.total END AS payments
  FROM batch b
  WHERE b.practice_id = %(practice_id)s AND b.id IS DISTINCT FROM %(except_batch)s::uuid
    AND (b.payment_number = %(number)s
      OR b.id = (SELECT o.id FROM batch o
                 WHERE o.practice_id = %(practice_id)s AND o.first_payment_number <= %(as_integer)s::bigint
                   AND o.last_payment_number >= %(as_integer)s::bigint
                 ORDER BY o.first_payment_number DESC LIMIT 1))
    AND (%(before)s::timestamptz IS NULL OR b.submitted_at < %(before)s)
), visible AS (
  SELECT u.number AS batch_number, u.submitted_at, i.number AS invoice_number, c.name AS client_name
  -- The latest first, one at a time: a number that is typed every evening is in all of them.
  FROM (SELECT * FROM used ORDER BY submitted_at DESC) u
  CROSS JOIN LATERAL (
    SELECT p.invoice_id, p.client_id
    FROM payment p JOIN client c ON c.id = p.client_id
    WHERE p.batch_id = u.id AND p.number = %(number)s
      AND (%(clinician_id)s::uuid IS NULL OR c.clinician_id = %(clinician_id)s)
    ORDER BY p.id
    LIMIT 1
  ) p
  JOIN invoice i ON i.id = p.invoice_id
  JOIN client c ON c.id = p.client_id
  ORDER BY u.submitted_at DESC
  LIMIT 1
)
SELECT (SELECT sum(payments) FROM used)::bigint AS payments, v.batch_number, v.submitted_at, v.invoice_number, v.client_name,
  pr.timezone, pr.locale
FROM practice pr LEFT JOIN visible v ON true
WHERE pr.id = %(practice_id)s AND EXISTS (SELECT FROM used)

-- name: next_numbers
SELECT last_payment_number + 1 AS next_payment_number, currency, processor FROM practice WHERE id = %(practice_id)s
