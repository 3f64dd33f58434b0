-- Sessions of the console. `idle` and `longest` are how long one lives without and with activity.

-- name: forget_old
WITH tokens AS (DELETE FROM used_sign_in WHERE expires_at < clock_timestamp())
DELETE FROM console_session WHERE created_at < clock_timestamp() - %(kept)s::interval

-- name: use_token
INSERT INTO used_sign_in (token_sha256, expires_at) VALUES (%(token_sha256)s, %(expires_at)s)
ON CONFLICT DO NOTHING
RETURNING token_sha256

-- name: sign_in
WITH named AS (
  INSERT INTO person (practice_id, subject, name) VALUES (%(practice_id)s, %(subject)s, %(name)s)
  ON CONFLICT (practice_id, subject) DO UPDATE SET name = EXCLUDED.name
)
INSERT INTO console_session (key_sha256, practice_id, clinician_id, subject, permissions)
VALUES (%(key_sha256)s, %(practice_id)s, %(clinician_id)s, %(subject)s, %(permissions)s)

-- name: keep_alive
UPDATE console_session SET seen_at = clock_timestamp()
WHERE key_sha256 = %(key_sha256)s AND ended_at IS NULL
  AND seen_at > clock_timestamp() - %(idle)s::interval AND created_at > clock_timestamp() - %(longest)s::interval

-- name: find
SELECT s.practice_id, s.clinician_id, s.subject, n.name, s.permissions,
  least(s.seen_at + %(idle)s::interval, s.created_at + %(longest)s::interval) AS ends_at,
  s.ended_at IS NULL AND s.seen_at > clock_timestamp() - %(idle)s::interval
    AND s.created_at > clock_timestamp() - %(longest)s::interval AS alive,
  p.name AS practice_name, p.timezone, p.locale, p.currency, p.processor, p.enrolled, p.approval_ceiling_minor,
  p.refund_limit_minor
FROM console_session s
JOIN practice p ON p.id = s.practice_id
JOIN person n ON n.practice_id = s.practice_id AND n.subject = s.subject
WHERE s.key_sha256 = %(key_sha256)s

-- name: sign_out
UPDATE console_session SET ended_at = clock_timestamp() WHERE key_sha256 = %(key_sha256)s AND ended_at IS NULL

-- name: practice_of
SELECT p.name, p.timezone, p.locale FROM practice p WHERE p.id = %(practice_id)s

-- name: people
SELECT subject, name FROM person WHERE practice_id = %(practice_id)s
