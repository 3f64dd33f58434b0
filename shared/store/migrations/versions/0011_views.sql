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
