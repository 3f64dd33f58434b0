-- What processors say without being asked by a payment of ours: their books, their webhooks, their disputes.

-- A finding may have no payment: money that moved without us. `subject` is the processor's name of it, so that looking
-- again finds nothing new.
ALTER TABLE finding
  ALTER COLUMN payment_id DROP NOT NULL,
  ADD COLUMN subject text,
  -- When `finding.opened` was written to the outbox; who writes a finding does not have to.
  ADD COLUMN told_at timestamptz,
  ADD COLUMN resolution text,
  ADD COLUMN resolved_by text,
  ADD CHECK (payment_id IS NOT NULL OR subject IS NOT NULL);
CREATE UNIQUE INDEX finding_subject ON finding (practice_id, kind, subject) WHERE subject IS NOT NULL;
CREATE INDEX finding_untold ON finding (id) WHERE told_at IS NULL;
CREATE INDEX finding_open ON finding (practice_id, created_at) WHERE resolved_at IS NULL;

-- Events of findings belong to no batch.
ALTER TABLE outbox ALTER COLUMN batch_id DROP NOT NULL, ADD CHECK (lane = 'event' OR batch_id IS NOT NULL);

-- One comparison of our books with a processor's, of one day as that processor counts days. The janitor plans its own;
-- people ask for others. `failure` says why it could not be made.
CREATE TABLE reconciliation (
  id uuid PRIMARY KEY DEFAULT uuid7(),
  practice_id uuid NOT NULL REFERENCES practice,
  processor text NOT NULL CHECK (processor IN ('vantage', 'stripe')),
  account text NOT NULL,
  day date NOT NULL,
  asked_by text NOT NULL CHECK (asked_by <> ''),
  planned boolean NOT NULL,
  next_try_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  answered_at timestamptz,
  failure text CHECK (answered_at IS NOT NULL OR failure IS NULL),
  -- Whether the day was over and its books complete.
  complete boolean,
  lines integer,
  caught_up integer,
  CHECK (answered_at IS NULL OR failure IS NOT NULL OR (complete, lines, caught_up) IS NOT NULL)
);
CREATE UNIQUE INDEX reconciliation_planned ON reconciliation (practice_id, processor, account, day) WHERE planned;
CREATE INDEX reconciliation_unanswered ON reconciliation (next_try_at) WHERE answered_at IS NULL;

-- A client's bank takes a charge back, and may lose. A flag of the payment, not a state of it.
CREATE TABLE dispute (
  processor text NOT NULL,
  account text NOT NULL,
  processor_ref text NOT NULL,
  payment_id uuid NOT NULL REFERENCES payment,
  attempt_id uuid NOT NULL,
  amount_minor bigint NOT NULL CHECK (amount_minor > 0),
  standing text NOT NULL CHECK (standing IN ('open', 'won', 'lost')),
  opened_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  closed_at timestamptz,
  PRIMARY KEY (processor, account, processor_ref),
  CHECK ((standing = 'open') = (closed_at IS NULL))
);
CREATE INDEX dispute_payment ON dispute (payment_id);
CREATE INDEX dispute_opened ON dispute (opened_at);

-- What a processor kept of a charge, as its books say.
CREATE TABLE processor_fee (
  attempt_id uuid PRIMARY KEY,
  fee_minor bigint NOT NULL,
  read_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Webhooks as they came, without what they hold of people: an event's id, and the charge that it is about.
CREATE TABLE webhook (
  processor text NOT NULL,
  event_id text NOT NULL,
  account text NOT NULL,
  type text NOT NULL,
  charge_ref text,
  reference text,
  received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  next_try_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  tries integer NOT NULL DEFAULT 0,
  handled_at timestamptz,
  outcome text,
  PRIMARY KEY (processor, event_id),
  CHECK ((handled_at IS NULL) = (outcome IS NULL))
);
CREATE INDEX webhook_unhandled ON webhook (next_try_at) WHERE handled_at IS NULL;

-- What each step of a payment did to money: +1 took it, -1 undid that; likewise for what was given back. Steps are
-- append-only, so sums over them say what the rows must say.
CREATE VIEW money_step AS
SELECT p.practice_id, p.batch_id, p.id AS payment_id, c.clinician_id, p.currency, p.amount_minor, p.state, f.fee_minor,
  e.at, (e.at AT TIME ZONE pr.timezone)::date AS day,
  (e.to_state = ANY (s.charged))::integer - (e.from_state = ANY (s.charged))::integer AS charged,
  (e.to_state = 'voided')::integer - (e.from_state = 'voided')::integer AS voided,
  (e.to_state = 'refunded')::integer - (e.from_state = 'refunded')::integer AS refunded
FROM payment_event e
CROSS JOIN (SELECT ARRAY['approved', 'settled', 'voiding', 'refunding', 'surplus', 'voided', 'refunded'] AS charged) s
JOIN payment p ON p.id = e.payment_id
JOIN practice pr ON pr.id = p.practice_id
JOIN client c ON c.id = p.client_id
LEFT JOIN processor_fee f ON f.attempt_id = p.current_attempt
WHERE e.from_state <> e.to_state;
-- Events lie in the order of time, so a block range index finds a span of days.
CREATE INDEX payment_event_at ON payment_event USING brin (at) WITH (autosummarize = on);
