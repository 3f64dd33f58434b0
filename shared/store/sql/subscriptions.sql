-- Who is told of a practice's events by webhook.

-- name: subscribe
WITH created AS (
  INSERT INTO subscription (practice_id, url, types, created_by)
  SELECT %(practice_id)s::uuid, %(url)s, %(types)s::text[], %(by)s
  WHERE (SELECT count(*) FROM subscription WHERE practice_id = %(practice_id)s::uuid AND state <> 'deleted') < %(most)s
  RETURNING *
), secret AS (
  INSERT INTO subscription_secret (subscription_id, secret) SELECT id, %(secret)s FROM created
)
SELECT id, practice_id, url, types, state, failures, failing_since, created_at, created_by, disabled_at, disabled_by,
  disabled_why
FROM created;

-- name: page
SELECT id, practice_id, url, types, state, failures, failing_since, created_at, created_by, disabled_at, disabled_by,
  disabled_why
FROM subscription
WHERE practice_id = %(practice_id)s AND state <> 'deleted' AND id > %(after_id)s
ORDER BY id LIMIT %(limit)s;

-- name: one
SELECT id, practice_id, url, types, state, failures, failing_since, created_at, created_by, disabled_at, disabled_by,
  disabled_why
FROM subscription
WHERE id = %(id)s AND practice_id = %(practice_id)s AND state <> 'deleted';

-- name: practice_of
SELECT s.practice_id, p.external_id AS practice
FROM subscription s JOIN practice p ON p.id = s.practice_id
WHERE s.id = %(id)s AND s.state <> 'deleted';

-- name: lock
-- Rotations of one subscription come one after the other.
SELECT (SELECT count(*) FROM subscription_secret WHERE subscription_id = s.id
        AND (expires_at IS NULL OR expires_at > clock_timestamp())) AS valid_secrets
FROM subscription s
WHERE s.id = %(id)s AND s.practice_id = %(practice_id)s AND s.state <> 'deleted'
FOR NO KEY UPDATE OF s;

-- name: expire_secret
UPDATE subscription_secret SET expires_at = clock_timestamp() + %(valid)s::interval
WHERE subscription_id = %(id)s AND (expires_at IS NULL OR expires_at > clock_timestamp() + %(valid)s::interval)
RETURNING expires_at;

-- name: add_secret
INSERT INTO subscription_secret (subscription_id, secret) VALUES (%(id)s, %(secret)s);

-- name: disable
UPDATE subscription SET state = 'disabled', disabled_at = clock_timestamp(), disabled_by = %(by)s, disabled_why = %(why)s
WHERE id = %(id)s AND practice_id = %(practice_id)s AND state = 'active'
RETURNING id;

-- name: enable
-- What has waited since before is held, as far as it is not yet: it would otherwise all be sent, wanted or not.
WITH enabled AS (
  UPDATE subscription
  SET state = 'active', disabled_at = NULL, disabled_by = NULL, disabled_why = NULL, failures = 0, failing_since = NULL
  WHERE id = %(id)s AND practice_id = %(practice_id)s AND state = 'disabled'
  RETURNING id
), held AS (
  UPDATE delivery d SET state = 'held', done_at = clock_timestamp()
  FROM enabled WHERE d.subscription_id = enabled.id AND d.state = 'waiting'
)
SELECT id FROM enabled;

-- name: unsubscribe
-- The row stays: it says who was told, and until when.
WITH deleted AS (
  UPDATE subscription SET state = 'deleted', disabled_at = coalesce(disabled_at, clock_timestamp()),
    disabled_by = coalesce(disabled_by, %(by)s), disabled_why = coalesce(disabled_why, 'asked')
  WHERE id = %(id)s AND practice_id = %(practice_id)s AND state <> 'deleted'
  RETURNING id
), expired AS (
  UPDATE subscription_secret x SET expires_at = clock_timestamp() FROM deleted
  WHERE x.subscription_id = deleted.id AND (x.expires_at IS NULL OR x.expires_at > clock_timestamp())
)
SELECT id FROM deleted;
