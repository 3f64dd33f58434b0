-- Everything that is known about one payment or batch, for support. No client's name, no free text of a person but what
-- support and staff wrote themselves.

-- name: batches_named
SELECT b.id, pr.external_id AS practice
FROM batch b JOIN practice pr ON pr.id = b.practice_id
WHERE b.number = %(number)s AND (%(practice)s::text IS NULL OR pr.external_id = %(practice)s)
ORDER BY pr.external_id;

-- name: batch
SELECT b.id, b.number, pr.external_id AS practice, b.processor, b.processor_account AS account, b.currency, b.status,
  b.posting, b.total, b.total_minor, b.in_review,
  (SELECT jsonb_object_agg(counted.state, counted.n) FROM (
    SELECT p.state, count(*) AS n FROM payment p WHERE p.batch_id = b.id GROUP BY p.state) counted) AS states
FROM batch b JOIN practice pr ON pr.id = b.practice_id
WHERE b.id = %(id)s;

-- name: payment
SELECT p.id, p.batch_id, b.number, pr.external_id AS practice, i.external_id AS invoice, p.processor, p.account,
  p.amount_minor, p.currency, p.state, p.attempts, p.on_wire, p.lease_until, p.due_at, p.next_check_at, p.reason_code,
  p.reason_raw_code, p.review_reason, z.paused_at, z.paused_by
FROM payment p
JOIN batch b ON b.id = p.batch_id
JOIN practice pr ON pr.id = p.practice_id
JOIN invoice i ON i.id = p.invoice_id
LEFT JOIN processor_pause z ON z.processor = p.processor AND p.state = 'queued'
WHERE p.id = %(id)s;

-- name: payment_moments
SELECT b.submitted_at AS at, b.submitted_by AS who, 'submitted' AS what, NULL::jsonb AS detail
FROM payment p JOIN batch b ON b.id = p.batch_id WHERE p.id = %(id)s
UNION ALL
SELECT e.at, e.actor, 'step', jsonb_build_object('event', e.event, 'from', e.from_state, 'to', e.to_state)
  || coalesce(e.detail, '{}')
FROM payment_event e WHERE e.payment_id = %(id)s
UNION ALL
SELECT a.finished_at, a.processor, 'answer', jsonb_build_object('kind', a.kind, 'attempt', a.n, 'reference', a.reference,
  'sends', a.sends, 'lookups', a.lookups, 'outcome', a.outcome, 'code', a.outcome_code, 'detail', a.outcome_detail,
  'processor_reference', a.processor_ref)
FROM attempt a WHERE a.payment_id = %(id)s AND a.outcome IS NOT NULL
UNION ALL
SELECT a.last_send_at, a.processor, 'no_answer', jsonb_build_object('kind', a.kind, 'attempt', a.n,
  'reference', a.reference, 'sends', a.sends, 'lookups', a.lookups)
FROM attempt a WHERE a.payment_id = %(id)s AND a.outcome IS NULL
UNION ALL
SELECT e.at, e.actor, 'audit', jsonb_build_object('action', e.action, 'source', e.source)
FROM payment p JOIN audit_entry e ON e.batch_id = p.batch_id AND (e.payment_id IS NULL OR e.payment_id = p.id)
WHERE p.id = %(id)s
UNION ALL
SELECT f.created_at, 'batchpay', 'finding', jsonb_build_object('kind', f.kind, 'detail', f.detail)
FROM finding f WHERE f.payment_id = %(id)s
UNION ALL
SELECT f.resolved_at, coalesce(f.resolved_by, 'batchpay'), 'finding_resolved',
  jsonb_build_object('kind', f.kind, 'note', f.resolution)
FROM finding f WHERE f.payment_id = %(id)s AND f.resolved_at IS NOT NULL
UNION ALL
SELECT r.asked_at, r.asked_by, 'resolution', jsonb_build_object('verdict', r.verdict, 'note', r.note,
  'answered', r.answered_at IS NOT NULL, 'refusal', r.refusal)
FROM resolution r WHERE r.payment_id = %(id)s
UNION ALL
SELECT d.opened_at, d.processor, 'dispute', jsonb_build_object('standing', d.standing)
FROM dispute d WHERE d.payment_id = %(id)s
ORDER BY at;

-- name: batch_moments
SELECT b.submitted_at AS at, b.submitted_by AS who, 'submitted' AS what, NULL::jsonb AS detail
FROM batch b WHERE b.id = %(id)s
UNION ALL
SELECT min(e.at), min(e.actor), 'steps', jsonb_build_object('event', e.event, 'from', e.from_state, 'to', e.to_state,
  'payments', count(DISTINCT e.payment_id), 'until', max(e.at))
FROM payment p JOIN payment_event e ON e.payment_id = p.id WHERE p.batch_id = %(id)s
GROUP BY e.event, e.from_state, e.to_state
UNION ALL
SELECT e.at, e.actor, 'audit', jsonb_build_object('action', e.action, 'source', e.source)
FROM audit_entry e WHERE e.batch_id = %(id)s AND e.payment_id IS NULL
UNION ALL
SELECT b.finished_at, 'batchpay', 'finished', jsonb_build_object('status', b.status)
FROM batch b WHERE b.id = %(id)s AND b.finished_at IS NOT NULL
UNION ALL
SELECT b.posted_at, 'batchpay', 'posted', NULL FROM batch b WHERE b.id = %(id)s AND b.posted_at IS NOT NULL
ORDER BY at;

-- name: unclear
-- Payments of a batch that are not over, or that somebody has to look at.
SELECT p.id, p.state, p.reason_code, p.review_reason, p.next_check_at
FROM payment p
WHERE p.batch_id = %(id)s AND (p.review_reason IS NOT NULL OR p.state = ANY(%(states)s))
ORDER BY p.review_reason IS NULL, p.id LIMIT %(limit)s;
