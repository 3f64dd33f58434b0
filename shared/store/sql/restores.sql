-- What a restored database has forgotten, and who may not be charged until it is known.

-- name: seen
UPDATE timeline SET seen_at = clock_timestamp() WHERE name = timeline_now() RETURNING true;

-- name: begin
-- Holds every account instead of everything: sending is allowed on this timeline again, account by account.
WITH restored AS (
  UPDATE timeline t SET name = timeline_now(), seen_at = clock_timestamp()
  FROM (SELECT seen_at FROM timeline FOR UPDATE) was
  WHERE t.name <> timeline_now() OR %(since)s::timestamptz IS NOT NULL
  RETURNING COALESCE(%(since)s, was.seen_at) AS since
)
INSERT INTO restore_hold (processor, account, since)
SELECT a.processor, a.account, r.since
FROM restored r, (
  SELECT processor, processor_account FROM practice
  UNION
  SELECT processor, account FROM payment
  WHERE state IN ('queued', 'sending', 'unknown', 'processing', 'approved', 'voiding', 'refunding', 'surplus')
) AS a (processor, account)
RETURNING processor, account, since;

-- name: held
SELECT EXISTS (SELECT FROM timeline WHERE name <> timeline_now())
  OR EXISTS (
    SELECT FROM restore_hold WHERE processor = %(processor)s AND account = %(account)s AND released_at IS NULL);

-- name: take
-- Taking moves the date of the next try, so that two janitors share the work and one that dies delays it only.
WITH due AS MATERIALIZED (
  SELECT processor, account, found_at FROM restore_hold
  WHERE released_at IS NULL AND next_try_at <= clock_timestamp()
  FOR UPDATE SKIP LOCKED
)
UPDATE restore_hold h SET next_try_at = clock_timestamp() + %(again)s::interval
FROM due d WHERE (h.processor, h.account, h.found_at) = (d.processor, d.account, d.found_at)
RETURNING h.processor, h.account, h.since, h.found_at, clock_timestamp();

-- name: unfinished
-- Payments that may have been sent again since the restore point.
SELECT id FROM payment
WHERE processor = %(processor)s AND account = %(account)s AND state IN ('queued', 'sending', 'unknown')
  AND id > %(after)s
ORDER BY id LIMIT %(limit)s;

-- name: ask
-- Comparisons of the days between; whoever asks makes them at once.
INSERT INTO reconciliation (practice_id, processor, account, day, asked_by, planned, next_try_at)
SELECT pr.id, pr.processor, pr.processor_account, d.day, %(asked_by)s, false, 'infinity'
FROM practice pr CROSS JOIN unnest(%(days)s::date[]) AS d (day)
WHERE pr.processor = %(processor)s AND pr.processor_account = %(account)s
RETURNING id, practice_id, processor, account, day, planned,
  (SELECT currency FROM practice p WHERE p.id = practice_id) AS currency;

-- name: strangers
-- Charges under a reference of ours whose payment is forgotten, and of which no person has said what to do.
SELECT count(*) FROM finding f JOIN practice pr ON pr.id = f.practice_id
WHERE pr.processor = %(processor)s AND pr.processor_account = %(account)s
  AND f.kind = %(kind)s AND f.resolved_at IS NULL;

-- name: wait
UPDATE restore_hold SET waits_for = %(waits_for)s, next_try_at = %(next_try_at)s, remembered = remembered + %(more)s
WHERE processor = %(processor)s AND account = %(account)s AND found_at = %(found_at)s;

-- name: release
-- Who waits is hinted by the janitor's next pass.
UPDATE restore_hold SET
  waits_for = 'nothing', released_at = clock_timestamp(), remembered = remembered + %(more)s
WHERE processor = %(processor)s AND account = %(account)s AND found_at = %(found_at)s AND released_at IS NULL;

-- name: listed
SELECT processor, account, since, found_at, remembered, waits_for, released_at FROM restore_hold
WHERE found_at = (SELECT max(found_at) FROM restore_hold) OR released_at IS NULL
ORDER BY processor, account, found_at;
