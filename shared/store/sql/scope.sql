-- name: become
-- Until the end of the transaction this connection sees what the scope allows, whatever its statements say.
SELECT set_config('batchpay.practice_id', %(practice_id)s::text, true),
  set_config('batchpay.clinician_id', coalesce(%(clinician_id)s::text, ''), true),
  set_config('role', 'batchpay_member', true)

-- name: resolve
SELECT p.id, c.id
FROM practice p
LEFT JOIN clinician c ON c.practice_id = p.id AND c.external_id = %(clinician)s
WHERE p.external_id = %(practice)s AND (%(clinician)s::text IS NULL OR c.id IS NOT NULL)
