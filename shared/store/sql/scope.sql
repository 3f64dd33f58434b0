-- name: resolve
SELECT p.id, c.id
FROM practice p
LEFT JOIN clinician c ON c.practice_id = p.id AND c.external_id = %(clinician)s
WHERE p.external_id = %(practice)s AND (%(clinician)s::text IS NULL OR c.id IS NOT NULL)
