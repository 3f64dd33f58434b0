-- Submits above a practice's ceiling, until a second person decides.

-- name: request
-- What was confirmed is copied, so that nothing that the maker selects later is approved with it.
WITH selected AS MATERIALIZED (
  SELECT e.invoice_id, e.amount_due_minor
  FROM invoice_eligibility e
  WHERE e.practice_id = %(practice_id)s AND e.invoice_external_id = ANY (%(invoices)s::text[])
    AND e.reasons = '{}' AND (%(clinician_id)s::uuid IS NULL OR e.clinician_id = %(clinician_id)s)
), weighed AS MATERIALIZED (
  SELECT count(*) AS total, sum(amount_due_minor)::bigint AS total_minor FROM selected
), numbered AS (
  UPDATE practice SET last_batch_number = last_batch_number + 1
  FROM weighed
  WHERE practice.id = %(practice_id)s AND weighed.total = cardinality(%(invoices)s::text[])
    AND weighed.total = %(control_count)s AND weighed.total_minor = %(control_minor)s
    AND weighed.total_minor > practice.approval_ceiling_minor
  RETURNING practice.id, last_batch_number, currency, timezone, approval_ceiling_minor, weighed.total,
    weighed.total_minor
), copied AS (
  INSERT INTO draft (practice_id, clinician_id, owner, payment_number, retry_of, submitted_at, for_approval)
  SELECT id, %(clinician_id)s, %(actor)s, %(payment_number)s, %(retry_of)s, clock_timestamp(), true FROM numbered
  RETURNING id
), copied_invoices AS (
  INSERT INTO draft_invoice (draft_id, invoice_id, amount_minor)
  SELECT copied.id, selected.invoice_id, selected.amount_due_minor FROM copied CROSS JOIN selected
), asked AS (
  INSERT INTO approval (practice_id, number, draft_id, currency, total, total_minor, ceiling_minor, requested_by,
    expires_at, idempotency_key, request_sha256)
  SELECT n.id, n.last_batch_number, copied.id, n.currency, n.total, n.total_minor, n.approval_ceiling_minor, %(actor)s,
    -- The end of the practice's day: amounts and cards of another day are looked at again.
    (date_trunc('day', clock_timestamp() AT TIME ZONE n.timezone) + interval '1 day') AT TIME ZONE n.timezone,
    %(idempotency_key)s, %(request_sha256)s
  FROM numbered n CROSS JOIN copied
  RETURNING *
), audited AS (
  INSERT INTO audit_entry (practice_id, actor, source, action, detail)
  SELECT practice_id, %(actor)s, %(source)s, 'approval.requested',
    jsonb_build_object('number', number, 'count', total, 'total_minor', total_minor, 'currency', currency)
  FROM asked
)
SELECT a.id, a.practice_id, a.number, a.draft_id, a.currency, a.total, a.total_minor, a.ceiling_minor, a.requested_by, a.requested_at,
  a.expires_at, a.expires_at < clock_timestamp() AS expired, a.decision, a.decided_by, a.decided_at, a.reason,
  %(payment_number)s::text AS payment_number, %(clinician_id)s::uuid AS clinician_id,
  %(retry_of)s::uuid AS retry_of, a.idempotency_key, a.request_sha256
FROM asked a

-- name: find
SELECT a.id, a.practice_id, a.number, a.draft_id, a.currency, a.total, a.total_minor, a.ceiling_minor, a.requested_by, a.requested_at,
  a.expires_at, a.expires_at < clock_timestamp() AS expired, a.decision, a.decided_by, a.decided_at, a.reason,
  d.payment_number, d.clinician_id, d.retry_of, a.idempotency_key, a.request_sha256
FROM approval a
JOIN draft d ON d.id = a.draft_id
WHERE a.practice_id = %(practice_id)s
  AND (%(number)s::bigint IS NULL OR a.number = %(number)s)
  AND (%(idempotency_key)s::text IS NULL OR a.idempotency_key = %(idempotency_key)s)
  AND coalesce(%(number)s::text, %(idempotency_key)s) IS NOT NULL
  AND (%(clinician_id)s::uuid IS NULL OR d.clinician_id = %(clinician_id)s)

-- name: lock
SELECT FROM approval WHERE id = %(id)s FOR UPDATE

-- name: waiting
SELECT a.id, a.practice_id, a.number, a.draft_id, a.currency, a.total, a.total_minor, a.ceiling_minor, a.requested_by, a.requested_at,
  a.expires_at, false AS expired, a.decision, a.decided_by, a.decided_at, a.reason, d.payment_number, d.clinician_id,
  d.retry_of, a.idempotency_key, a.request_sha256
FROM approval a
JOIN draft d ON d.id = a.draft_id
WHERE a.practice_id = %(practice_id)s AND a.decision IS NULL AND a.expires_at > clock_timestamp()
  AND (%(clinician_id)s::uuid IS NULL OR d.clinician_id = %(clinician_id)s)
ORDER BY a.requested_at
LIMIT %(limit)s

-- name: decide
UPDATE approval SET decision = %(decision)s, decided_by = %(by)s, decided_at = clock_timestamp(), reason = %(reason)s
WHERE id = %(id)s AND decision IS NULL AND expires_at > clock_timestamp() AND requested_by <> %(by)s
RETURNING id
