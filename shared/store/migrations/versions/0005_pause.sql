-- The kill switch of a processor: while it has a row here, no charge of it begins. Who and why stays in the audit log.
CREATE TABLE processor_pause (
  processor text PRIMARY KEY CHECK (processor IN ('vantage', 'stripe')),
  paused_by text NOT NULL CHECK (paused_by <> ''),
  reason text NOT NULL CHECK (reason <> ''),
  paused_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- What an operator does may concern every practice: then it has none.
ALTER TABLE audit_entry ALTER COLUMN practice_id DROP NOT NULL;

-- Support asks for everything that was done to one batch.
CREATE INDEX audit_entry_batch ON audit_entry (batch_id) WHERE batch_id IS NOT NULL;
