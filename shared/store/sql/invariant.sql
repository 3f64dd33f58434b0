-- What must never be: each statement returns the ids of the rows that break its rule, so a sound database answers
-- nothing. The sets of states are parameters, computed from the transition table. Rules: protocol, section 4.

-- name: i1_one_live_payment_per_invoice
SELECT invoice_id::text FROM payment
WHERE state = ANY(%(live)s) AND acknowledged_at IS NULL AND surplus_at IS NULL
GROUP BY invoice_id HAVING count(*) > 1;

-- name: i2_one_unreturned_success_per_invoice
SELECT p.invoice_id::text
FROM payment p
JOIN attempt a ON a.payment_id = p.id AND a.kind = 'charge' AND a.outcome IN ('approved', 'settled')
WHERE p.acknowledged_at IS NULL
  -- What was given back in the processor's dashboard has a finding and no attempt of ours.
  AND p.state NOT IN ('voided', 'refunded')
  AND NOT EXISTS (SELECT FROM attempt r WHERE r.parent_id = a.id AND r.outcome = 'confirmed')
GROUP BY p.invoice_id
HAVING count(*) > 1 AND NOT bool_or(p.review_reason IS NOT NULL);

-- name: i3_no_newer_attempt_while_an_older_one_is_open
SELECT DISTINCT a.payment_id::text
FROM attempt a JOIN attempt b ON b.payment_id = a.payment_id AND b.kind = a.kind AND b.n > a.n
WHERE a.kind = 'charge' AND a.outcome IS NULL;

-- name: i3_no_newer_attempt_before_absence_is_final
SELECT DISTINCT a.payment_id::text
FROM attempt a JOIN attempt b ON b.payment_id = a.payment_id AND b.kind = a.kind AND b.n > a.n
WHERE a.kind = 'charge' AND a.outcome = 'not_executed' AND a.open_sends > 0 AND a.absence_final_at IS NULL;

-- name: i4_money_state_has_a_paid_attempt
SELECT p.id::text
FROM payment p LEFT JOIN attempt a ON a.id = p.current_attempt
WHERE p.state = ANY(%(taken)s)
  AND (a.outcome IS NULL OR a.outcome NOT IN ('approved', 'settled') OR a.processor_ref IS NULL);

-- name: i4_state_without_money_has_no_paid_attempt
SELECT p.id::text
FROM payment p JOIN attempt a ON a.payment_id = p.id AND a.kind = 'charge'
WHERE p.state IN ('declined', 'failed', 'skipped', 'canceled') AND a.outcome IN ('approved', 'settled')
  AND p.review_reason IS NULL;

-- name: i5_returned_money_is_confirmed
SELECT p.id::text FROM payment p
WHERE p.state IN ('voided', 'refunded')
  AND NOT EXISTS (SELECT FROM attempt r WHERE r.parent_id = p.current_attempt AND r.outcome = 'confirmed')
  AND NOT EXISTS (
    SELECT FROM finding f WHERE f.payment_id = p.id AND f.kind IN ('outside_void', 'outside_refund'));

-- name: i5_money_is_returned_once
SELECT parent_id::text FROM attempt
WHERE kind IN ('void', 'refund') AND outcome = 'confirmed'
GROUP BY parent_id HAVING count(*) > 1;

-- name: i6_sending_is_owned_and_nothing_else_is
SELECT id::text FROM payment
WHERE (state = 'sending') <> (claim_token IS NOT NULL AND lease_until IS NOT NULL)
  AND state NOT IN ('unknown', 'voiding', 'refunding');

-- name: i7_vantage_charge_is_sent_once
SELECT id::text FROM attempt WHERE processor = 'vantage' AND kind IN ('charge', 'refund') AND sends > 1;

-- name: i7_stripe_key_is_used_while_it_lives
SELECT id::text FROM attempt
WHERE processor = 'stripe' AND sends > 1 AND last_send_at > first_send_at + interval '20 hours';

-- name: i7_request_is_never_changed
SELECT id::text FROM attempt WHERE request_sha256 <> sha256(convert_to(request_text, 'UTF8'));

-- name: i8_one_charge_on_the_wire_per_card
SELECT token FROM payment WHERE on_wire GROUP BY token, processor HAVING count(*) > 1;

-- name: i8_processor_reference_is_unique
SELECT processor_ref FROM attempt
WHERE processor_ref IS NOT NULL AND kind = 'charge'
GROUP BY processor, account, processor_ref HAVING count(*) > 1;

-- name: i9_nothing_is_sent_after_void_was_asked_for
SELECT p.id::text FROM attempt a JOIN payment p ON p.id = a.payment_id
WHERE a.kind = 'charge' AND a.last_claimed_at > p.void_requested_at;

-- name: i10_nothing_is_forgotten
SELECT id::text FROM payment
WHERE state = ANY(%(unfinished)s) AND review_reason IS NULL
  AND (next_check_at IS NULL OR next_check_at < clock_timestamp() - %(forgotten_after)s::interval);

-- name: i11_batch_is_what_its_payments_are
WITH counted AS (
  SELECT
    p.batch_id, count(*) AS total, sum(p.amount_minor) AS total_minor,
    count(*) FILTER (WHERE g.name = 'approved') AS approved,
    COALESCE(sum(p.amount_minor) FILTER (WHERE g.name = 'approved'), 0) AS approved_minor,
    count(*) FILTER (WHERE g.name = 'declined') AS declined,
    COALESCE(sum(p.amount_minor) FILTER (WHERE g.name = 'declined'), 0) AS declined_minor,
    count(*) FILTER (WHERE g.name = 'canceled') AS canceled,
    COALESCE(sum(p.amount_minor) FILTER (WHERE g.name = 'canceled'), 0) AS canceled_minor,
    count(*) FILTER (WHERE g.name = 'returned') AS returned,
    COALESCE(sum(p.amount_minor) FILTER (WHERE g.name = 'returned'), 0) AS returned_minor,
    count(*) FILTER (WHERE g.name = 'unfinished') AS unfinished,
    COALESCE(sum(p.amount_minor) FILTER (WHERE g.name = 'unfinished'), 0) AS unfinished_minor,
    count(*) FILTER (WHERE p.state IN ('voiding', 'refunding')) AS returning,
    count(*) FILTER (WHERE p.state = 'approved') AS unsettled
  FROM payment p
  JOIN unnest(%(states)s::text[], %(groups)s::text[]) AS g(state, name) ON g.state = p.state
  GROUP BY p.batch_id
), stood AS (
  -- The same rules as shared/domain/batch.py, written a second time.
  SELECT
    x.*,
    CASE
      WHEN x.unfinished > 0 AND (b.void_requested_at IS NOT NULL OR x.returning = x.unfinished) THEN 'voiding'
      WHEN x.unfinished > 0 THEN 'processing'
      WHEN x.canceled + x.returned > 0 AND x.approved > 0 THEN 'partially_voided'
      WHEN x.canceled + x.returned > 0 THEN 'voided'
      WHEN x.approved > 0 AND x.declined > 0 THEN 'completed_with_errors'
      WHEN x.approved > 0 THEN 'completed'
      ELSE 'failed'
    END AS status,
    CASE WHEN x.unfinished + x.unsettled > 0 THEN 'pending' ELSE 'posted' END AS posting
  FROM counted x JOIN batch b ON b.id = x.batch_id
)
SELECT b.id::text
FROM batch b LEFT JOIN stood x ON x.batch_id = b.id
WHERE (b.total, b.total_minor) IS DISTINCT FROM (x.total, x.total_minor)
  OR (b.updated_at < clock_timestamp() - %(settled_down)s::interval
    AND (b.status, b.posting, b.approved, b.approved_minor, b.declined, b.declined_minor, b.canceled, b.canceled_minor,
         b.returned, b.returned_minor, b.unfinished, b.unfinished_minor)
      IS DISTINCT FROM
        (x.status, x.posting, x.approved, x.approved_minor, x.declined, x.declined_minor, x.canceled, x.canceled_minor,
         x.returned, x.returned_minor, x.unfinished, x.unfinished_minor));

-- name: i11_events_leave_the_outbox
SELECT id::text FROM outbox
WHERE lane = 'event' AND created_at < clock_timestamp() - %(settled_down)s::interval;

-- name: i12_every_step_is_in_the_transition_table
SELECT e.id::text
FROM payment_event e LEFT JOIN legal_transition t USING (from_state, event, to_state)
WHERE t.event IS NULL;

-- name: i12_amounts_never_change
SELECT a.id::text FROM attempt a JOIN payment p ON p.id = a.payment_id WHERE a.amount_minor <> p.amount_minor;

-- name: invoice_knows_what_was_taken
-- Its events add up to what its payments took, and what upstream does not count yet to those after the included one.
SELECT i.id::text
FROM invoice i LEFT JOIN payment p ON p.invoice_id = i.id AND p.state = ANY(%(taken)s) AND p.surplus_at IS NULL
GROUP BY i.id
HAVING (SELECT COALESCE(sum(d), 0) FROM unnest(i.deltas_minor) d) <> COALESCE(sum(p.amount_minor), 0)
  OR (SELECT COALESCE(sum(d), 0) FROM unnest(i.deltas_minor[i.included_sequence + 1:]) d) <> i.taken_minor;

-- name: money_in_rows_is_money_in_steps
SELECT p.id::text
FROM payment p LEFT JOIN money_step m ON m.payment_id = p.id
GROUP BY p.id
HAVING COALESCE(sum(m.charged - m.voided - m.refunded), 0) <> (p.state = ANY(%(taken)s) OR p.state = 'surplus')::integer;
