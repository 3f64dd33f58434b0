-- Where the money is, summed over the steps of payments. How a charge stands (pending, posted) is asked of its row.

-- name: of_batch
WITH moved AS (
  SELECT m.* FROM money_step m
  WHERE m.batch_id = %(batch_id)s AND (%(clinician_id)s::uuid IS NULL OR m.clinician_id = %(clinician_id)s)
), taken_back AS (
  -- LATERAL: by the batch's payments, not through all disputes there ever were.
  SELECT COALESCE(sum(d.amount_minor), 0)::bigint AS disputed_minor
  FROM payment p
  JOIN client c ON c.id = p.client_id
  CROSS JOIN LATERAL (SELECT * FROM dispute WHERE payment_id = p.id AND standing <> 'won' OFFSET 0) d
  WHERE p.batch_id = %(batch_id)s AND (%(clinician_id)s::uuid IS NULL OR c.clinician_id = %(clinician_id)s)
)
SELECT NULL::date AS day,
  COALESCE(sum(charged), 0)::integer AS charges,
  COALESCE(sum(charged * amount_minor), 0)::bigint AS gross_minor,
  count(*) FILTER (WHERE charged = 1 AND fee_minor IS NULL)::integer AS fees_unknown,
  COALESCE(sum(charged * fee_minor), 0)::bigint AS fees_minor,
  COALESCE(sum(voided * amount_minor), 0)::bigint AS voided_minor,
  COALESCE(sum(refunded * amount_minor), 0)::bigint AS refunded_minor,
  (SELECT disputed_minor FROM taken_back) AS disputed_minor,
  COALESCE(sum(amount_minor) FILTER (WHERE charged = 1 AND state IN ('approved', 'voiding')), 0)::bigint AS pending_minor,
  COALESCE(sum(amount_minor) FILTER (WHERE charged = 1 AND state IN ('settled', 'refunding', 'surplus')), 0)::bigint
    AS posted_minor
FROM moved;

-- name: of_days
-- By the practice's calendar: each amount on the day on which it moved. A day on which nothing did is left out.
WITH moved AS (
  SELECT m.* FROM money_step m
  WHERE m.practice_id = %(practice_id)s AND (%(clinician_id)s::uuid IS NULL OR m.clinician_id = %(clinician_id)s)
    -- The span in any time zone, for the index; the practice's own days decide.
    AND m.at >= %(first)s::date - interval '1 day' AND m.at < %(last)s::date + interval '2 days'
    AND m.day BETWEEN %(first)s AND %(last)s
    AND (m.charged, m.voided, m.refunded) <> (0, 0, 0)
), opened AS MATERIALIZED (
  SELECT * FROM dispute
  WHERE opened_at >= %(first)s::date - interval '1 day' AND opened_at < %(last)s::date + interval '2 days'
    AND standing <> 'won'
), taken_back AS (
  SELECT (d.opened_at AT TIME ZONE pr.timezone)::date AS day, sum(d.amount_minor) AS disputed_minor
  FROM opened d
  JOIN payment p ON p.id = d.payment_id
  JOIN client c ON c.id = p.client_id
  JOIN practice pr ON pr.id = p.practice_id
  WHERE p.practice_id = %(practice_id)s
    AND (%(clinician_id)s::uuid IS NULL OR c.clinician_id = %(clinician_id)s)
    AND (d.opened_at AT TIME ZONE pr.timezone)::date BETWEEN %(first)s AND %(last)s
  GROUP BY 1
), summed AS (
  SELECT day,
    sum(charged)::integer AS charges,
    sum(charged * amount_minor)::bigint AS gross_minor,
    count(*) FILTER (WHERE charged = 1 AND fee_minor IS NULL)::integer AS fees_unknown,
    COALESCE(sum(charged * fee_minor), 0)::bigint AS fees_minor,
    sum(voided * amount_minor)::bigint AS voided_minor,
    sum(refunded * amount_minor)::bigint AS refunded_minor,
    COALESCE(sum(amount_minor) FILTER (WHERE charged = 1 AND state IN ('approved', 'voiding')), 0)::bigint AS pending_minor,
    COALESCE(sum(amount_minor) FILTER (WHERE charged = 1 AND state IN ('settled', 'refunding', 'surplus')), 0)::bigint
      AS posted_minor
  FROM moved GROUP BY day
)
SELECT day, COALESCE(charges, 0) AS charges, COALESCE(gross_minor, 0) AS gross_minor,
  COALESCE(fees_unknown, 0) AS fees_unknown, COALESCE(fees_minor, 0) AS fees_minor,
  COALESCE(voided_minor, 0) AS voided_minor, COALESCE(refunded_minor, 0) AS refunded_minor,
  COALESCE(disputed_minor, 0)::bigint AS disputed_minor, COALESCE(pending_minor, 0) AS pending_minor,
  COALESCE(posted_minor, 0) AS posted_minor
FROM summed FULL JOIN taken_back USING (day)
ORDER BY day;
