-- Batch Payment History. Who sees all clients reads the counts that the aggregator keeps on the batch; who sees only own
-- clients gets counts of the own rows, and only batches that have some.

-- name: newest
-- Its own statement although `sorted` could do it: this is the page that everyone opens, and it walks an index.
SELECT b.*, NULL::jsonb AS own_counts, '' AS key_text, (extract(epoch FROM b.submitted_at) * 1000000)::bigint AS key_number
FROM batch b
WHERE b.practice_id = %(practice_id)s
  AND (%(posting)s::text IS NULL OR b.posting = %(posting)s)
  AND (%(search)s::text IS NULL OR 'bp-' || b.number = lower(%(search)s) OR b.number::text = %(search)s
    OR strpos(fold(b.payment_number), fold(%(search)s)) > 0
    OR %(search_number)s::bigint BETWEEN b.first_payment_number AND b.last_payment_number)
  AND (%(after_id)s::uuid IS NULL OR (b.submitted_at, b.id)
    < (timestamptz 'epoch' + %(after_number)s::bigint * interval '1 microsecond', %(after_id)s))
ORDER BY b.submitted_at DESC, b.id DESC
LIMIT %(limit)s

-- name: sorted
WITH keyed AS (
  SELECT b.*,
    CASE %(sort)s::text WHEN 'status' THEN b.status WHEN 'submitted_by' THEN fold(b.submitted_by) ELSE '' END
      COLLATE "C" AS key_text,
    CASE %(sort)s::text
      WHEN 'submitted' THEN (extract(epoch FROM b.submitted_at) * 1000000)::bigint WHEN 'number' THEN b.number
      WHEN 'total' THEN b.total_minor WHEN 'approved' THEN b.approved_minor WHEN 'declined' THEN b.declined_minor
      WHEN 'unfinished' THEN b.unfinished_minor ELSE 0 END AS key_number
  FROM batch b
  WHERE b.practice_id = %(practice_id)s AND (%(posting)s::text IS NULL OR b.posting = %(posting)s)
    AND (%(search)s::text IS NULL OR 'bp-' || b.number = lower(%(search)s) OR b.number::text = %(search)s
      OR strpos(fold(b.payment_number), fold(%(search)s)) > 0
      OR %(search_number)s::bigint BETWEEN b.first_payment_number AND b.last_payment_number)
)
SELECT k.*, NULL::jsonb AS own_counts
FROM keyed k
WHERE %(after_id)s::uuid IS NULL OR CASE WHEN %(descending)s
  THEN (k.key_text, k.key_number, k.id) < (%(after_text)s COLLATE "C", %(after_number)s, %(after_id)s)
  ELSE (k.key_text, k.key_number, k.id) > (%(after_text)s COLLATE "C", %(after_number)s, %(after_id)s) END
ORDER BY
  CASE WHEN %(descending)s THEN k.key_text END DESC, CASE WHEN NOT %(descending)s THEN k.key_text END,
  CASE WHEN %(descending)s THEN k.key_number END DESC, CASE WHEN NOT %(descending)s THEN k.key_number END,
  CASE WHEN %(descending)s THEN k.id END DESC, CASE WHEN NOT %(descending)s THEN k.id END
LIMIT %(limit)s

-- name: newest_own
SELECT b.*, own.counts AS own_counts, '' AS key_text,
  (extract(epoch FROM b.submitted_at) * 1000000)::bigint AS key_number
FROM batch b
CROSS JOIN LATERAL (
  SELECT jsonb_agg(jsonb_build_array(s.state, s.in_review, s.count, s.amount_minor)) AS counts,
    bool_or(s.state = ANY (%(pending_states)s)) AS pending
  FROM (
    SELECT p.state, p.review_reason IS NOT NULL AS in_review, count(*), sum(p.amount_minor) AS amount_minor
    FROM payment p JOIN client c ON c.id = p.client_id
    WHERE p.batch_id = b.id AND c.clinician_id = %(clinician_id)s
    GROUP BY 1, 2
  ) s
) own
WHERE b.practice_id = %(practice_id)s AND own.counts IS NOT NULL
  AND (%(posting)s::text IS NULL OR own.pending = (%(posting)s = 'pending'))
  AND (%(id)s::uuid IS NULL OR b.id = %(id)s) AND (%(number)s::bigint IS NULL OR b.number = %(number)s)
  -- Not by payment number: it is not shown to who sees own clients only.
  AND (%(search)s::text IS NULL OR 'bp-' || b.number = lower(%(search)s) OR b.number::text = %(search)s)
  AND (%(after_id)s::uuid IS NULL OR (b.submitted_at, b.id)
    < (timestamptz 'epoch' + %(after_number)s::bigint * interval '1 microsecond', %(after_id)s))
ORDER BY b.submitted_at DESC, b.id DESC
LIMIT %(limit)s

-- name: one
SELECT b.*, NULL::jsonb AS own_counts, '' AS key_text, 0::bigint AS key_number
FROM batch b
WHERE b.practice_id = %(practice_id)s
  AND (%(id)s::uuid IS NULL OR b.id = %(id)s) AND (%(number)s::bigint IS NULL OR b.number = %(number)s)
  AND coalesce(%(id)s::text, %(number)s::text) IS NOT NULL

-- name: breakdown
-- What the progress line and the error marker of these batches tell.
SELECT p.batch_id, p.state, p.reason_code, p.review_reason IS NOT NULL AS in_review,
  p.void_requested_at IS NOT NULL AS void_asked, count(*) AS payments, sum(p.amount_minor)::bigint AS amount_minor
FROM payment p
JOIN client c ON c.id = p.client_id
WHERE p.practice_id = %(practice_id)s AND p.batch_id = ANY (%(batch_ids)s::uuid[])
  AND (%(clinician_id)s::uuid IS NULL OR c.clinician_id = %(clinician_id)s)
GROUP BY 1, 2, 3, 4, 5

-- name: counts
SELECT count(*) FILTER (WHERE posting = 'pending') AS pending, count(*) FILTER (WHERE posting = 'posted') AS posted
FROM batch WHERE practice_id = %(practice_id)s
