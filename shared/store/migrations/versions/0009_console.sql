-- That a processor is paused is told to everyone who reads for a practice; who paused it and why is not.
ALTER TABLE processor_pause ENABLE ROW LEVEL SECURITY;
CREATE POLICY everyone ON processor_pause USING (true) WITH CHECK (true);
CREATE POLICY member ON processor_pause AS RESTRICTIVE TO batchpay_member USING ((SELECT seen_practice()) IS NOT NULL);
GRANT SELECT (processor, paused_at) ON processor_pause TO batchpay_member;

-- Refunds above it wait for a second person; null: none waits.
ALTER TABLE practice ADD COLUMN refund_limit_minor bigint CHECK (refund_limit_minor > 0);

-- A refund above the practice's limit: of one payment, or of all of a batch that were settled. It binds these payments
-- with their count and total; nothing of it is asked of the processor before a second person approves.
CREATE TABLE refund_approval (
  id uuid PRIMARY KEY DEFAULT uuid7(),
  practice_id uuid NOT NULL REFERENCES practice,
  batch_id uuid NOT NULL REFERENCES batch,
  payment_id uuid REFERENCES payment,
  payments uuid[] NOT NULL,
  currency text NOT NULL,
  total integer NOT NULL CHECK (total > 0 AND total = cardinality(payments)),
  total_minor bigint NOT NULL CHECK (total_minor > limit_minor),
  limit_minor bigint NOT NULL,
  refund_reason text CHECK (length(refund_reason) BETWEEN 1 AND 200),
  requested_by text NOT NULL,
  requested_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  expires_at timestamptz NOT NULL,
  decision text CHECK (decision IN ('approved', 'sent_back', 'changed')),
  decided_by text CHECK (decided_by <> requested_by),
  decided_at timestamptz,
  decision_reason text,
  CHECK ((decision IS NULL) = (decided_by IS NULL) AND (decision IS NULL) = (decided_at IS NULL)),
  CHECK (payment_id IS NULL OR payments = ARRAY[payment_id])
);
CREATE INDEX refund_approval_open ON refund_approval (practice_id, requested_at) WHERE decision IS NULL;
CREATE INDEX refund_approval_batch ON refund_approval (batch_id);

ALTER TABLE refund_approval ENABLE ROW LEVEL SECURITY;
CREATE POLICY everyone ON refund_approval USING (true) WITH CHECK (true);
-- Of a whole batch only for who sees all clients.
CREATE POLICY member ON refund_approval AS RESTRICTIVE TO batchpay_member USING (
  practice_id = (SELECT seen_practice())
  AND CASE WHEN (SELECT seen_clinician()) IS NULL THEN true ELSE payment_id IN (SELECT p.id FROM payment p) END);
GRANT SELECT ON refund_approval TO batchpay_member;

-- The review list's resolved cases, the newest first: few, because people type them.
CREATE INDEX resolution_taken ON resolution (answered_at DESC, id DESC) WHERE answered_at IS NOT NULL AND refusal IS NULL;
