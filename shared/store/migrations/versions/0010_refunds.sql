-- What the batch had given back without approval when this refund was asked for: the practice's limit counts it too.
ALTER TABLE refund_approval ADD COLUMN before_minor bigint NOT NULL DEFAULT 0 CHECK (before_minor >= 0);
ALTER TABLE refund_approval DROP CONSTRAINT refund_approval_check1;
ALTER TABLE refund_approval ADD CONSTRAINT refund_approval_above CHECK (total_minor + before_minor > limit_minor);

-- The code of a charge that took money is its approval's; that of an earlier send without an answer stood there before.
UPDATE attempt SET outcome_code = NULL WHERE kind = 'charge' AND outcome IN ('approved', 'settled') AND outcome_code IS NOT NULL;
