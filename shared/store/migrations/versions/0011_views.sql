-- What a bank or the processor may answer otherwise now, and whether and from when it may be tried again. Never what was
-- refused for good, also not where that was learnt later: another hard decline of the same card forbids it. Declines are
-- counted by card, not by invoice, as the networks count them.
CREATE VIEW retry_chance WITH (security_invoker = true) AS
SELECT p.id AS payment_id, p.practice_id, p.batch_id, p.state, e.invoice_external_id, e.clinician_id,
  declines.count AS declines, declines.last_at + pr.retry_pause AS from_at,
  e.reasons = '{}' AND declines.refused_for_good IS NOT TRUE AS chargeable,
  declines.count < pr.declines_at_most AS allowed
FROM payment p
JOIN practice pr ON pr.id = p.practice_id
-- OFFSET 0: looked up for each of these payments, never joined as a whole.
CROSS JOIN LATERAL (
  SELECT i.invoice_external_id, i.clinician_id, i.token, i.reasons
  FROM invoice_eligibility i
  WHERE i.invoice_id = p.invoice_id
  OFFSET 0
) e
CROSS JOIN LATERAL (
  SELECT count(*) AS count, max(d.finished_at) AS last_at,
    bool_or(d.reason_category <> 'soft' AND d.finished_at > p.finished_at) AS refused_for_good
  FROM payment d
  WHERE d.token = e.token AND d.state = 'declined' AND d.finished_at > statement_timestamp() - interval '30 days'
) declines
WHERE p.review_reason IS NULL
  AND (p.state = 'declined' AND p.reason_category = 'soft'
    OR p.state = 'failed' AND p.reason_code = 'not_executed'
    OR p.state = 'skipped' AND p.reason_code = 'card_on_hold');
GRANT SELECT ON retry_chance TO batchpay_member;

-- A payment as people read it: with its refund, as long as that is asked for or done, and whether its client's bank
-- disputes it.
CREATE OR REPLACE VIEW payment_report WITH (security_invoker = true) AS
SELECT p.id, p.practice_id, p.batch_id, b.number AS batch_number, b.submitted_at, b.submitted_by, p.state,
  p.amount_minor, p.currency, p.number, p.processor, p.reason_code, p.reason_category, p.reason_raw_code,
  p.review_reason, p.void_requested_at, p.void_requested_by, p.created_at, p.next_check_at, p.finished_at,
  i.external_id AS invoice_external_id, i.number AS invoice_number, i.first_service_on, i.last_service_on,
  i.session_count, c.external_id AS client_external_id, c.name AS client_name, c.clinician_id, m.type AS method_type,
  m.brand, m.last4, m.exp_month, m.exp_year, charge.processor_ref, charge.history_ref, charge.reference,
  coalesce((SELECT true FROM dispute d WHERE d.payment_id = p.id AND d.standing <> 'won' LIMIT 1), false) AS disputed,
  asked.by AS refund_asked_by, asked.at AS refund_asked_at, asked.reason AS refund_reason, asked.ref AS refund_ref
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
LEFT JOIN LATERAL (
  SELECT e.actor AS by, e.at, e.detail ->> 'reason' AS reason, (
    SELECT a.processor_ref FROM attempt a WHERE a.payment_id = p.id AND a.kind = 'refund' ORDER BY a.n DESC LIMIT 1) AS ref
  FROM payment_event e
  WHERE e.payment_id = p.id AND e.event = 'request_refund' AND p.state IN ('refunding', 'refunded')
  ORDER BY e.id DESC
  LIMIT 1
) asked ON true;
