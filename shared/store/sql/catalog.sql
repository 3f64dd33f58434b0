-- What upstream pushes, from the staging tables of catalog_staging.sql into ours. `reject_*` takes out the rows that
-- cannot land and says why; `land_*` writes what differs and nothing else, so that the same push again changes nothing
-- and locks nothing that a charge waits for. Of the columns that are ours only taken_minor is written: it counts what
-- upstream's figures do not include yet, and these say what they include.

-- name: begin
-- One push of a practice at a time: two would meet in their rows in any order. A hundred thousand rows take seconds,
-- on a busy machine more than a statement may otherwise have.
SELECT pg_try_advisory_xact_lock(hashtextextended('catalog ' || %(practice_id)s::text, 0))
FROM (SELECT set_config('statement_timeout', %(timeout_ms)s::text, true)) bounded

-- name: reject_practice
DELETE FROM staged_practice s
USING (SELECT line, min(line) OVER (PARTITION BY practice_id) AS other_line FROM staged_practice) bad
WHERE s.line = bad.line AND bad.line <> bad.other_line
RETURNING s.line, 'duplicate_id' AS code, bad.other_line

-- name: land_practice
-- A limit that is left out stays as it is; 0 takes it away.
WITH wanted AS (
  SELECT s.practice_id, s.name, s.timezone, s.currency, s.processor, s.processor_account, s.enrolled,
    nullif(coalesce(s.approval_ceiling_minor, t.approval_ceiling_minor), 0) AS approval_ceiling_minor,
    nullif(coalesce(s.refund_limit_minor, t.refund_limit_minor), 0) AS refund_limit_minor
  FROM staged_practice s
  LEFT JOIN practice t ON t.external_id = s.practice_id
), landed AS (
  INSERT INTO practice (external_id, name, timezone, currency, processor, processor_account, enrolled,
    approval_ceiling_minor, refund_limit_minor)
  SELECT s.practice_id, s.name, s.timezone, s.currency, s.processor, s.processor_account, s.enrolled,
    s.approval_ceiling_minor, s.refund_limit_minor
  FROM wanted s
  LEFT JOIN practice t ON t.external_id = s.practice_id
  WHERE (t.name, t.timezone, t.currency, t.processor, t.processor_account, t.enrolled, t.approval_ceiling_minor,
      t.refund_limit_minor)
    IS DISTINCT FROM (s.name, s.timezone, s.currency, s.processor, s.processor_account, s.enrolled,
      s.approval_ceiling_minor, s.refund_limit_minor)
  ORDER BY t.id
  ON CONFLICT (external_id) DO UPDATE SET name = EXCLUDED.name, timezone = EXCLUDED.timezone,
    currency = EXCLUDED.currency, processor = EXCLUDED.processor, processor_account = EXCLUDED.processor_account,
    enrolled = EXCLUDED.enrolled, approval_ceiling_minor = EXCLUDED.approval_ceiling_minor,
    refund_limit_minor = EXCLUDED.refund_limit_minor, updated_at = clock_timestamp()
  RETURNING id AS practice_id, processor, processor_account, xmax = 0 AS added
), accounts AS (
  INSERT INTO merchant_account (processor, account)
  SELECT DISTINCT processor, processor_account FROM landed
  ON CONFLICT DO NOTHING
)
SELECT practice_id, count(*) FILTER (WHERE added) AS added, count(*) FILTER (WHERE NOT added) AS changed
FROM landed GROUP BY practice_id

-- name: reject_clinician
DELETE FROM staged_clinician s
USING (
  SELECT c.line, min(c.line) OVER (PARTITION BY c.practice_id, c.clinician_id) AS other_line, p.id IS NULL AS no_practice
  FROM staged_clinician c LEFT JOIN practice p ON p.external_id = c.practice_id
) bad
WHERE s.line = bad.line AND (bad.line <> bad.other_line OR bad.no_practice)
RETURNING s.line, CASE WHEN bad.no_practice THEN 'unknown_practice' ELSE 'duplicate_id' END AS code, bad.other_line

-- name: land_clinician
WITH landed AS (
  INSERT INTO clinician (practice_id, external_id, name)
  SELECT p.id, s.clinician_id, s.name
  FROM staged_clinician s
  JOIN practice p ON p.external_id = s.practice_id
  LEFT JOIN clinician t ON t.practice_id = p.id AND t.external_id = s.clinician_id
  WHERE t.name IS DISTINCT FROM s.name
  ORDER BY t.id
  ON CONFLICT (practice_id, external_id) DO UPDATE SET name = EXCLUDED.name
  RETURNING practice_id, xmax = 0 AS added
)
SELECT practice_id, count(*) FILTER (WHERE added) AS added, count(*) FILTER (WHERE NOT added) AS changed
FROM landed GROUP BY practice_id

-- name: reject_client
DELETE FROM staged_client s
USING (
  SELECT c.line, first.line AS other_line, CASE
    WHEN p.id IS NULL THEN 'unknown_practice'
    WHEN first.line <> c.line THEN 'duplicate_id'
    WHEN c.clinician_id IS NOT NULL AND n.id IS NULL THEN 'unknown_clinician' END AS code
  FROM staged_client c
  JOIN (SELECT practice_id, client_id, min(line) AS line FROM staged_client GROUP BY 1, 2) first
    USING (practice_id, client_id)
  LEFT JOIN practice p ON p.external_id = c.practice_id
  LEFT JOIN clinician n ON n.practice_id = p.id AND n.external_id = c.clinician_id
) bad
WHERE s.line = bad.line AND bad.code IS NOT NULL
RETURNING s.line, bad.code, bad.other_line

-- name: land_client
WITH landed AS (
  INSERT INTO client (practice_id, external_id, name, email, clinician_id)
  SELECT p.id, s.client_id, s.name, s.email, n.id
  FROM staged_client s
  JOIN practice p ON p.external_id = s.practice_id
  LEFT JOIN clinician n ON n.practice_id = p.id AND n.external_id = s.clinician_id
  LEFT JOIN client t ON t.practice_id = p.id AND t.external_id = s.client_id
  WHERE t.id IS NULL OR (t.name, t.email, t.clinician_id) IS DISTINCT FROM (s.name, s.email, n.id)
  ORDER BY t.id
  ON CONFLICT (practice_id, external_id) DO UPDATE SET name = EXCLUDED.name, email = EXCLUDED.email,
    clinician_id = EXCLUDED.clinician_id
  RETURNING practice_id, xmax = 0 AS added
)
SELECT practice_id, count(*) FILTER (WHERE added) AS added, count(*) FILTER (WHERE NOT added) AS changed
FROM landed GROUP BY practice_id

-- name: reject_payment_method
-- Of two defaults neither lands: which card to charge is not for us to guess.
DELETE FROM staged_payment_method s
USING (
  SELECT m.line, CASE WHEN m.first_line <> m.line THEN m.first_line ELSE d.other_line END AS other_line, CASE
    WHEN p.id IS NULL THEN 'unknown_practice'
    WHEN m.first_line <> m.line THEN 'duplicate_id'
    WHEN c.id IS NULL THEN 'unknown_client'
    WHEN t.client_id <> c.id THEN 'method_moved'
    WHEN d.other_line IS NOT NULL THEN 'two_defaults' END AS code
  FROM (
    SELECT *, min(line) OVER (PARTITION BY practice_id, payment_method_id) AS first_line FROM staged_payment_method
  ) m
  LEFT JOIN LATERAL (
    SELECT min(o.line) AS other_line
    FROM staged_payment_method o
    WHERE m.is_default AND o.is_default AND (o.practice_id, o.client_id) = (m.practice_id, m.client_id)
      AND o.payment_method_id <> m.payment_method_id
  ) d ON true
  LEFT JOIN practice p ON p.external_id = m.practice_id
  LEFT JOIN client c ON c.practice_id = p.id AND c.external_id = m.client_id
  LEFT JOIN payment_method t ON t.practice_id = p.id AND t.external_id = m.payment_method_id
) bad
WHERE s.line = bad.line AND bad.code IS NOT NULL
RETURNING s.line, bad.code, bad.other_line

-- name: demote_payment_method
-- A client's new default pushes the old one out, also if the old one is not in this push.
WITH demoted AS (
  UPDATE payment_method m SET is_default = false
  FROM staged_payment_method s
  JOIN practice p ON p.external_id = s.practice_id
  JOIN client c ON c.practice_id = p.id AND c.external_id = s.client_id
  WHERE s.is_default AND m.client_id = c.id AND m.is_default AND m.external_id <> s.payment_method_id
    AND NOT EXISTS (SELECT FROM staged_payment_method o
                    WHERE o.practice_id = s.practice_id AND o.payment_method_id = m.external_id)
  RETURNING m.practice_id
)
SELECT practice_id, 0 AS added, count(*) AS changed FROM demoted GROUP BY practice_id

-- name: land_payment_method
-- Defaults last: the index that allows one default per client is checked row by row.
WITH landed AS (
  INSERT INTO payment_method (practice_id, external_id, client_id, processor, type, brand, last4, exp_month, exp_year,
    payer_id, token, is_default, first_charged_on)
  SELECT p.id, s.payment_method_id, c.id, s.processor, s.type, s.brand, s.last4, s.exp_month, s.exp_year, s.payer_id,
    s.token, s.is_default, s.first_charged_on
  FROM staged_payment_method s
  JOIN practice p ON p.external_id = s.practice_id
  JOIN client c ON c.practice_id = p.id AND c.external_id = s.client_id
  LEFT JOIN payment_method t ON t.practice_id = p.id AND t.external_id = s.payment_method_id
  WHERE (t.processor, t.type, t.brand, t.last4, t.exp_month, t.exp_year, t.payer_id, t.token, t.is_default,
      t.first_charged_on, t.removed_at)
    IS DISTINCT FROM (s.processor, s.type, s.brand, s.last4, s.exp_month, s.exp_year, s.payer_id, s.token, s.is_default,
      s.first_charged_on, NULL::timestamptz)
  ORDER BY s.is_default, t.id
  ON CONFLICT (practice_id, external_id) DO UPDATE SET processor = EXCLUDED.processor, type = EXCLUDED.type,
    brand = EXCLUDED.brand, last4 = EXCLUDED.last4, exp_month = EXCLUDED.exp_month, exp_year = EXCLUDED.exp_year,
    payer_id = EXCLUDED.payer_id, token = EXCLUDED.token, is_default = EXCLUDED.is_default,
    first_charged_on = EXCLUDED.first_charged_on, removed_at = NULL
  RETURNING practice_id, xmax = 0 AS added
)
SELECT practice_id, count(*) FILTER (WHERE added) AS added, count(*) FILTER (WHERE NOT added) AS changed
FROM landed GROUP BY practice_id

-- name: reject_invoice
DELETE FROM staged_invoice s
USING (
  SELECT i.line, first.line AS other_line, CASE
    WHEN p.id IS NULL THEN 'unknown_practice'
    WHEN first.line <> i.line THEN 'duplicate_id'
    WHEN c.id IS NULL THEN 'unknown_client'
    WHEN t.client_id <> c.id THEN 'invoice_moved'
    WHEN i.included_sequence > COALESCE(t.version, 0) THEN 'event_unknown'
    WHEN i.included_sequence < t.included_sequence THEN 'figures_outdated' END AS code
  FROM staged_invoice i
  JOIN (SELECT practice_id, invoice_id, min(line) AS line FROM staged_invoice GROUP BY 1, 2) first
    USING (practice_id, invoice_id)
  LEFT JOIN practice p ON p.external_id = i.practice_id
  LEFT JOIN client c ON c.practice_id = p.id AND c.external_id = i.client_id
  LEFT JOIN invoice t ON t.practice_id = p.id AND t.external_id = i.invoice_id
) bad
WHERE s.line = bad.line AND bad.code IS NOT NULL
RETURNING s.line, bad.code, bad.other_line

-- name: lock_invoice
-- Payments before their invoice, and in the order in which everybody locks them.
SELECT FROM payment p
JOIN invoice i ON i.id = p.invoice_id
JOIN staged_invoice s ON s.invoice_id = i.external_id AND s.included_sequence > 0
JOIN practice pr ON pr.id = i.practice_id AND pr.external_id = s.practice_id
WHERE p.state = ANY (%(standing)s) AND p.acknowledged_at IS NULL AND p.surplus_at IS NULL
ORDER BY p.token, p.id
FOR UPDATE OF p

-- name: land_invoice
-- What was taken is counted anew from the row as it is when it is locked: a charge may have been recorded meanwhile.
WITH landed AS (
  INSERT INTO invoice (practice_id, external_id, number, client_id, currency, total_minor, pushed_due_minor, issued_on,
    status, included_sequence, version, deltas_minor)
  SELECT p.id, s.invoice_id, s.invoice_number, c.id, s.currency, s.total_minor, s.amount_due_minor, s.issued_on, s.status,
    s.included_sequence, COALESCE(t.version, 0), COALESCE(t.deltas_minor, '{}')
  FROM staged_invoice s
  JOIN practice p ON p.external_id = s.practice_id
  JOIN client c ON c.practice_id = p.id AND c.external_id = s.client_id
  LEFT JOIN invoice t ON t.practice_id = p.id AND t.external_id = s.invoice_id
  WHERE (t.number, t.currency, t.total_minor, t.pushed_due_minor, t.issued_on, t.status, t.included_sequence)
    IS DISTINCT FROM
    (s.invoice_number, s.currency, s.total_minor, s.amount_due_minor, s.issued_on, s.status, s.included_sequence)
  ORDER BY t.id
  ON CONFLICT (practice_id, external_id) DO UPDATE SET number = EXCLUDED.number, currency = EXCLUDED.currency,
    total_minor = EXCLUDED.total_minor, pushed_due_minor = EXCLUDED.pushed_due_minor, issued_on = EXCLUDED.issued_on,
    status = EXCLUDED.status, included_sequence = EXCLUDED.included_sequence,
    taken_minor = (SELECT COALESCE(sum(delta), 0)
                   FROM unnest(invoice.deltas_minor[EXCLUDED.included_sequence + 1:]) delta),
    updated_at = clock_timestamp()
  WHERE invoice.included_sequence <= EXCLUDED.included_sequence
  RETURNING practice_id, xmax = 0 AS added
)
SELECT practice_id, count(*) FILTER (WHERE added) AS added, count(*) FILTER (WHERE NOT added) AS changed
FROM landed GROUP BY practice_id

-- name: acknowledge_invoice
-- A payment that upstream's figures include, with all that came after it, holds its invoice no longer.
UPDATE payment p SET acknowledged_at = clock_timestamp()
FROM staged_invoice s
JOIN practice pr ON pr.external_id = s.practice_id
JOIN invoice i ON i.practice_id = pr.id AND i.external_id = s.invoice_id
WHERE p.invoice_id = i.id AND s.included_sequence > 0 AND i.included_sequence = i.version
  AND p.state = ANY (%(standing)s) AND p.acknowledged_at IS NULL AND p.surplus_at IS NULL

-- name: reject_session
DELETE FROM staged_session s
USING (
  SELECT n.line, first.line AS other_line, CASE
    WHEN p.id IS NULL THEN 'unknown_practice'
    WHEN first.line <> n.line THEN 'duplicate_id'
    WHEN i.id IS NULL THEN 'unknown_invoice'
    WHEN n.clinician_id IS NOT NULL AND c.id IS NULL THEN 'unknown_clinician'
    WHEN t.invoice_id <> i.id THEN 'session_moved' END AS code
  FROM staged_session n
  JOIN (SELECT practice_id, session_id, min(line) AS line FROM staged_session GROUP BY 1, 2) first
    USING (practice_id, session_id)
  LEFT JOIN practice p ON p.external_id = n.practice_id
  LEFT JOIN invoice i ON i.practice_id = p.id AND i.external_id = n.invoice_id
  LEFT JOIN clinician c ON c.practice_id = p.id AND c.external_id = n.clinician_id
  LEFT JOIN session t ON t.practice_id = p.id AND t.external_id = n.session_id
) bad
WHERE s.line = bad.line AND bad.code IS NOT NULL
RETURNING s.line, bad.code, bad.other_line

-- name: land_session
WITH landed AS (
  INSERT INTO session (practice_id, external_id, invoice_id, service_date, clinician_id, description, amount_minor)
  SELECT p.id, s.session_id, i.id, s.service_date, c.id, s.description, s.amount_minor
  FROM staged_session s
  JOIN practice p ON p.external_id = s.practice_id
  JOIN invoice i ON i.practice_id = p.id AND i.external_id = s.invoice_id
  LEFT JOIN clinician c ON c.practice_id = p.id AND c.external_id = s.clinician_id
  LEFT JOIN session t ON t.practice_id = p.id AND t.external_id = s.session_id
  WHERE t.id IS NULL OR (t.service_date, t.clinician_id, t.description, t.amount_minor)
    IS DISTINCT FROM (s.service_date, c.id, s.description, s.amount_minor)
  ORDER BY t.id
  ON CONFLICT (practice_id, external_id) DO UPDATE SET service_date = EXCLUDED.service_date,
    clinician_id = EXCLUDED.clinician_id, description = EXCLUDED.description, amount_minor = EXCLUDED.amount_minor
  RETURNING practice_id, xmax = 0 AS added
)
SELECT practice_id, count(*) FILTER (WHERE added) AS added, count(*) FILTER (WHERE NOT added) AS changed
FROM landed GROUP BY practice_id

-- name: date_invoices
UPDATE invoice i
SET first_service_on = s.first_on, last_service_on = s.last_on, session_count = s.sessions,
  updated_at = clock_timestamp()
FROM (
  SELECT invoice_id, min(service_date) AS first_on, max(service_date) AS last_on, count(*)::integer AS sessions
  FROM session
  WHERE invoice_id IN (
    SELECT t.invoice_id
    FROM staged_session n
    JOIN practice p ON p.external_id = n.practice_id
    JOIN session t ON t.practice_id = p.id AND t.external_id = n.session_id)
  GROUP BY invoice_id
) s
WHERE i.id = s.invoice_id
  AND (i.first_service_on, i.last_service_on, i.session_count) IS DISTINCT FROM (s.first_on, s.last_on, s.sessions)
