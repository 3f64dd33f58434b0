-- Rows have time-ordered ids (UUIDv7), so that inserts land at the right edge of every index.
CREATE FUNCTION uuid7() RETURNS uuid
LANGUAGE sql VOLATILE PARALLEL SAFE AS $$
  SELECT encode(
    set_bit(set_bit(
      overlay(uuid_send(gen_random_uuid())
              PLACING substring(int8send((extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3) FROM 1 FOR 6),
      52, 1), 53, 1), 'hex')::uuid
$$;

-- Text as people compare it: without case and without accents. For sorting and searching names.
CREATE FUNCTION fold(words text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT CASE WHEN words ~ '^[ -~]*$' THEN lower(words)
              ELSE lower(regexp_replace(normalize(words, NFD), U&'[\0300-\036F]', '', 'g')) END
$$;

CREATE FUNCTION forbid_change() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'rows of % are kept: % is refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'restrict_violation';
END $$;

-- What upstream pushes ------------------------------------------------------------------------------------------------

CREATE TABLE practice (
  id uuid PRIMARY KEY DEFAULT uuid7(),
  external_id text NOT NULL UNIQUE,
  name text NOT NULL,
  timezone text NOT NULL,
  locale text NOT NULL DEFAULT 'en_US',
  currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
  processor text NOT NULL CHECK (processor IN ('vantage', 'stripe')),
  processor_account text NOT NULL,
  enrolled boolean NOT NULL,
  invoice_limit_minor bigint CHECK (invoice_limit_minor > 0),
  -- A batch above it waits for a second person; null: none waits.
  approval_ceiling_minor bigint CHECK (approval_ceiling_minor > 0),
  -- A declined card is tried again after this pause, and not after so many declines in 30 days. Ten is the least of what
  -- the networks allow: Visa 15 in 30 days, Mastercard 10 in a day and 35 in 30 days.
  retry_pause interval NOT NULL DEFAULT '1 day' CHECK (retry_pause >= '0'),
  declines_at_most integer NOT NULL DEFAULT 3 CHECK (declines_at_most BETWEEN 1 AND 10),
  last_batch_number bigint NOT NULL DEFAULT 1000,
  last_payment_number bigint NOT NULL DEFAULT 100000,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE clinician (
  id uuid PRIMARY KEY DEFAULT uuid7(),
  practice_id uuid NOT NULL REFERENCES practice,
  external_id text NOT NULL,
  name text NOT NULL,
  UNIQUE (practice_id, external_id)
);

CREATE TABLE client (
  id uuid PRIMARY KEY DEFAULT uuid7(),
  practice_id uuid NOT NULL REFERENCES practice,
  external_id text NOT NULL,
  name text NOT NULL,
  -- Sorting fifty thousand invoices by client would fold every name each time.
  name_key text NOT NULL GENERATED ALWAYS AS (fold(name)) STORED,
  email text,
  clinician_id uuid REFERENCES clinician,
  UNIQUE (practice_id, external_id)
);

CREATE TABLE payment_method (
  id uuid PRIMARY KEY DEFAULT uuid7(),
  practice_id uuid NOT NULL REFERENCES practice,
  external_id text NOT NULL,
  client_id uuid NOT NULL REFERENCES client,
  processor text NOT NULL CHECK (processor IN ('vantage', 'stripe')),
  type text NOT NULL CHECK (type IN ('card', 'us_bank_account')),
  brand text NOT NULL,
  last4 text NOT NULL CHECK (last4 ~ '^[0-9]{4}$'),
  exp_month smallint CHECK (exp_month BETWEEN 1 AND 12),
  exp_year smallint CHECK (exp_year BETWEEN 2000 AND 2100),
  payer_id text NOT NULL,
  token text NOT NULL,
  is_default boolean NOT NULL,
  first_charged_on date,
  removed_at timestamptz,
  UNIQUE (practice_id, external_id),
  CHECK ((type = 'card') = (exp_month IS NOT NULL AND exp_year IS NOT NULL))
);
CREATE UNIQUE INDEX payment_method_default ON payment_method (client_id) WHERE is_default AND removed_at IS NULL;

-- amount_due_minor is what is still owed: upstream's figure less what we took and upstream does not count yet. A stale
-- push can therefore not make a paid invoice look open again.
CREATE TABLE invoice (
  id uuid PRIMARY KEY DEFAULT uuid7(),
  practice_id uuid NOT NULL REFERENCES practice,
  external_id text NOT NULL,
  number text NOT NULL,
  client_id uuid NOT NULL REFERENCES client,
  currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
  total_minor bigint NOT NULL CHECK (total_minor >= 0),
  pushed_due_minor bigint NOT NULL CHECK (pushed_due_minor >= 0),
  taken_minor bigint NOT NULL DEFAULT 0 CHECK (taken_minor >= 0),
  amount_due_minor bigint NOT NULL GENERATED ALWAYS AS (pushed_due_minor - taken_minor) STORED,
  issued_on date NOT NULL,
  status text NOT NULL CHECK (status IN ('open', 'closed')),
  first_service_on date,
  last_service_on date,
  session_count integer NOT NULL DEFAULT 0,
  reopened_at timestamptz,
  -- Counts this invoice's events: their `sequence`.
  version integer NOT NULL DEFAULT 0,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  UNIQUE (practice_id, external_id)
);
CREATE INDEX invoice_open ON invoice (practice_id, id) WHERE status = 'open' AND amount_due_minor > 0;
CREATE INDEX invoice_client ON invoice (client_id);

CREATE TABLE session (
  id uuid PRIMARY KEY DEFAULT uuid7(),
  practice_id uuid NOT NULL REFERENCES practice,
  external_id text NOT NULL,
  invoice_id uuid NOT NULL REFERENCES invoice,
  service_date date NOT NULL,
  clinician_id uuid REFERENCES clinician,
  description text NOT NULL,
  amount_minor bigint NOT NULL,
  UNIQUE (practice_id, external_id)
);
CREATE INDEX session_invoice ON session (invoice_id, service_date);
CREATE INDEX session_service_date ON session (practice_id, service_date);

-- A merchant's account at its processor. While held, nothing of it is claimed (wrong credentials, account trouble).
CREATE TABLE merchant_account (
  processor text NOT NULL CHECK (processor IN ('vantage', 'stripe')),
  account text NOT NULL,
  held_until timestamptz,
  held_reason text,
  PRIMARY KEY (processor, account),
  CHECK ((held_until IS NULL) = (held_reason IS NULL))
);

-- What we do ----------------------------------------------------------------------------------------------------------

CREATE TABLE batch (
  id uuid PRIMARY KEY DEFAULT uuid7(),
  practice_id uuid NOT NULL REFERENCES practice,
  number bigint NOT NULL,
  processor text NOT NULL,
  processor_account text NOT NULL,
  currency text NOT NULL,
  payment_number text,
  -- The range taken from the practice's sequence; empty where a payment number was typed.
  first_payment_number bigint,
  last_payment_number bigint,
  submitted_by text NOT NULL,
  submitted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  -- The second person, where the total was above the practice's ceiling.
  approved_by text CHECK (approved_by <> submitted_by),
  approved_at timestamptz,
  -- The batch whose declines this one tries again.
  retry_of uuid REFERENCES batch,
  idempotency_key text NOT NULL,
  request_sha256 bytea NOT NULL,
  total integer NOT NULL CHECK (total > 0),
  total_minor bigint NOT NULL CHECK (total_minor > 0),
  status text NOT NULL DEFAULT 'processing' CHECK (status IN
    ('processing', 'voiding', 'completed', 'completed_with_errors', 'failed', 'voided', 'partially_voided')),
  posting text NOT NULL DEFAULT 'pending' CHECK (posting IN ('pending', 'posted')),
  approved integer NOT NULL DEFAULT 0,
  approved_minor bigint NOT NULL DEFAULT 0,
  declined integer NOT NULL DEFAULT 0,
  declined_minor bigint NOT NULL DEFAULT 0,
  unfinished integer NOT NULL,
  unfinished_minor bigint NOT NULL,
  returned integer NOT NULL DEFAULT 0,
  returned_minor bigint NOT NULL DEFAULT 0,
  canceled integer NOT NULL DEFAULT 0,
  canceled_minor bigint NOT NULL DEFAULT 0,
  in_review integer NOT NULL DEFAULT 0,
  -- Counts this batch's events: their `sequence`.
  version integer NOT NULL DEFAULT 0,
  void_requested_at timestamptz,
  void_requested_by text,
  -- When the status was last known to be that of the payments.
  updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  finished_at timestamptz,
  posted_at timestamptz,
  UNIQUE (practice_id, number),
  UNIQUE (practice_id, idempotency_key),
  CHECK ((approved_by IS NULL) = (approved_at IS NULL)),
  CHECK (first_payment_number IS NULL OR (payment_number IS NULL AND last_payment_number >= first_payment_number))
);
CREATE INDEX batch_payment_number ON batch (practice_id, payment_number, number) WHERE payment_number IS NOT NULL;
CREATE INDEX batch_own_payment_numbers ON batch (practice_id, first_payment_number)
  WHERE first_payment_number IS NOT NULL;
CREATE INDEX batch_history ON batch (practice_id, submitted_at DESC, id DESC);
CREATE INDEX batch_unfinished ON batch (updated_at) WHERE posting = 'pending';

CREATE TABLE payment (
  id uuid PRIMARY KEY DEFAULT uuid7(),
  batch_id uuid NOT NULL,
  practice_id uuid NOT NULL,
  invoice_id uuid NOT NULL,
  client_id uuid NOT NULL,
  method_id uuid NOT NULL,
  processor text NOT NULL,
  account text NOT NULL,
  payer_id text NOT NULL,
  token text NOT NULL,
  method_type text NOT NULL,
  amount_minor bigint NOT NULL CHECK (amount_minor > 0),
  currency text NOT NULL,
  number text NOT NULL,
  state text NOT NULL DEFAULT 'queued' CHECK (state IN
    ('queued', 'sending', 'unknown', 'processing', 'approved', 'settled', 'voiding', 'refunding',
     'declined', 'failed', 'skipped', 'canceled', 'voided', 'refunded', 'surplus')),
  due_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  next_check_at timestamptz,
  claim_token uuid,
  lease_until timestamptz,
  on_wire boolean NOT NULL DEFAULT false,
  version integer NOT NULL DEFAULT 0,
  attempts smallint NOT NULL DEFAULT 0,
  current_attempt uuid,
  void_requested_at timestamptz,
  void_requested_by text,
  reason_code text,
  reason_category text,
  reason_raw_code text,
  review_reason text,
  -- When it turned out to be a second payment of its invoice: it holds no invoice and can only be given back.
  surplus_at timestamptz,
  acknowledged_at timestamptz,
  finished_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT payment_claim_held CHECK (state <> 'sending' OR (claim_token IS NOT NULL AND lease_until IS NOT NULL)),
  CONSTRAINT payment_claim_free CHECK (
    state IN ('sending', 'unknown', 'voiding', 'refunding') OR (claim_token IS NULL AND lease_until IS NULL)),
  CONSTRAINT payment_looked_after CHECK (
    next_check_at IS NOT NULL OR review_reason IS NOT NULL
    OR state NOT IN ('queued', 'sending', 'unknown', 'processing', 'approved', 'voiding', 'refunding', 'surplus'))
);
-- One live payment per invoice: the last line against charging an invoice twice.
CREATE UNIQUE INDEX payment_live_invoice ON payment (invoice_id)
  WHERE state IN ('queued', 'sending', 'unknown', 'processing', 'approved', 'settled', 'voiding', 'refunding')
    AND acknowledged_at IS NULL AND surplus_at IS NULL;
-- One charge on the wire per card. The card is its token: siblings may be stored with the same one.
CREATE UNIQUE INDEX payment_on_wire ON payment (token, processor) WHERE on_wire;
CREATE INDEX payment_batch ON payment (batch_id, id);
CREATE INDEX payment_queued_card ON payment (token, id) WHERE state = 'queued';
CREATE INDEX payment_in_review ON payment (practice_id, id) WHERE review_reason IS NOT NULL;
CREATE INDEX payment_declined_card ON payment (token, finished_at) WHERE state = 'declined';
CREATE INDEX payment_next_check ON payment (next_check_at)
  WHERE state IN ('queued', 'sending', 'unknown', 'processing', 'approved', 'voiding', 'refunding', 'surplus');

-- Foreign keys look up one row at a time, three for each payment: more than all else of a submit of 10,000. This looks
-- them all up at once and sees more: everything that a payment refers to is of its practice and its client.
CREATE FUNCTION check_payment_references() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (
    SELECT FROM added a
    LEFT JOIN batch b ON b.id = a.batch_id AND b.practice_id = a.practice_id
    LEFT JOIN invoice i ON i.id = a.invoice_id AND i.practice_id = a.practice_id AND i.client_id = a.client_id
    LEFT JOIN payment_method m ON m.id = a.method_id AND m.client_id = a.client_id
    WHERE b.id IS NULL OR i.id IS NULL OR m.id IS NULL
  ) THEN
    RAISE EXCEPTION 'a payment refers to a batch, invoice or method that its practice or client does not have'
      USING ERRCODE = 'foreign_key_violation';
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER payment_references AFTER INSERT ON payment REFERENCING NEW TABLE AS added
  FOR EACH STATEMENT EXECUTE FUNCTION check_payment_references();
-- The other side of those references: nothing is deleted.
CREATE TRIGGER batch_kept BEFORE DELETE OR TRUNCATE ON batch FOR EACH STATEMENT EXECUTE FUNCTION forbid_change();
CREATE TRIGGER invoice_kept BEFORE DELETE OR TRUNCATE ON invoice FOR EACH STATEMENT EXECUTE FUNCTION forbid_change();
CREATE TRIGGER method_kept BEFORE DELETE OR TRUNCATE ON payment_method
  FOR EACH STATEMENT EXECUTE FUNCTION forbid_change();
CREATE TRIGGER payment_kept BEFORE DELETE OR TRUNCATE ON payment FOR EACH STATEMENT EXECUTE FUNCTION forbid_change();

-- No foreign keys here: an attempt is written by the statement that changes its locked payment, and by no other, and
-- the checks took a tenth of a charge's time. An invariant watches instead.
CREATE TABLE attempt (
  id uuid PRIMARY KEY DEFAULT uuid7(),
  payment_id uuid NOT NULL,
  n smallint NOT NULL CHECK (n > 0),
  kind text NOT NULL CHECK (kind IN ('charge', 'void', 'refund')),
  parent_id uuid,
  -- Unique because it is made of the payment's id and n; an index more would only cost every charge.
  reference text NOT NULL CHECK (length(reference) <= 50),
  processor text NOT NULL,
  account text NOT NULL,
  amount_minor bigint NOT NULL,
  request_text text NOT NULL,
  request_sha256 bytea NOT NULL,
  open_sends smallint NOT NULL CHECK (open_sends >= 0),
  sends smallint NOT NULL CHECK (sends >= open_sends),
  first_send_at timestamptz NOT NULL,
  last_send_at timestamptz NOT NULL,
  last_claimed_at timestamptz NOT NULL,
  lookups smallint NOT NULL DEFAULT 0,
  outcome text CHECK (outcome IN ('approved', 'settled', 'processing', 'declined', 'not_executed', 'confirmed', 'refused')),
  outcome_code text,
  outcome_detail text,
  processor_ref text,
  history_ref text,
  absence_final_at timestamptz,
  surplus_at timestamptz,
  finished_at timestamptz,
  UNIQUE (payment_id, n),
  CHECK ((kind = 'charge') = (parent_id IS NULL))
);
CREATE UNIQUE INDEX attempt_processor_ref ON attempt (processor, account, processor_ref) WHERE processor_ref IS NOT NULL;
-- Read when an absence is proven, a few times a day: its rows lie in the order of time, so a block range index does.
CREATE INDEX attempt_day ON attempt USING brin (first_send_at, last_send_at) WITH (autosummarize = on);
-- One open void or refund per charge, and one that gave the money back.
CREATE UNIQUE INDEX attempt_open_return ON attempt (parent_id) WHERE parent_id IS NOT NULL AND outcome IS NULL;
CREATE UNIQUE INDEX attempt_confirmed_return ON attempt (parent_id) WHERE parent_id IS NOT NULL AND outcome = 'confirmed';

-- Every step of every payment, for ever. Submission itself is the payment's row.
CREATE TABLE payment_event (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  payment_id uuid NOT NULL,
  attempt_id uuid,
  at timestamptz NOT NULL DEFAULT clock_timestamp(),
  event text NOT NULL,
  from_state text NOT NULL,
  to_state text NOT NULL,
  actor text NOT NULL,
  detail jsonb
);
CREATE INDEX payment_event_payment ON payment_event (payment_id, id);
CREATE TRIGGER payment_event_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON payment_event
  FOR EACH STATEMENT EXECUTE FUNCTION forbid_change();

CREATE TABLE legal_transition (
  from_state text NOT NULL,
  event text NOT NULL,
  to_state text NOT NULL,
  PRIMARY KEY (from_state, event, to_state)
);

-- What was frozen at submit is charged, whatever happens to the client's record meanwhile. AFTER, because a BEFORE
-- trigger makes PostgreSQL lock every row once more; the condition needs no function call while it is false.
CREATE TRIGGER payment_frozen AFTER UPDATE OF
  amount_minor, currency, invoice_id, method_id, token, payer_id, account, processor ON payment
  FOR EACH ROW WHEN (
    (OLD.amount_minor, OLD.currency, OLD.invoice_id, OLD.method_id, OLD.token, OLD.payer_id, OLD.account, OLD.processor)
    IS DISTINCT FROM
    (NEW.amount_minor, NEW.currency, NEW.invoice_id, NEW.method_id, NEW.token, NEW.payer_id, NEW.account, NEW.processor))
  EXECUTE FUNCTION forbid_change();

-- A difference between us and the processor, or money where none should be: for people, until resolved.
CREATE TABLE finding (
  id uuid PRIMARY KEY DEFAULT uuid7(),
  practice_id uuid NOT NULL,
  payment_id uuid NOT NULL REFERENCES payment,
  attempt_id uuid,
  kind text NOT NULL,
  detail text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  resolved_at timestamptz
);
CREATE INDEX finding_payment ON finding (payment_id);

-- What a person says about a payment under review. The janitor looks at the processor before it believes it, and
-- answers: with a refusal, or null where it is done.
CREATE TABLE resolution (
  id uuid PRIMARY KEY DEFAULT uuid7(),
  payment_id uuid NOT NULL REFERENCES payment,
  verdict text NOT NULL CHECK (verdict IN ('charged', 'not_executed', 'acknowledged')),
  processor_ref text,
  note text NOT NULL CHECK (note <> ''),
  asked_by text NOT NULL CHECK (asked_by <> ''),
  source text NOT NULL,
  asked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  answered_at timestamptz,
  refusal text CHECK (answered_at IS NOT NULL OR refusal IS NULL),
  CHECK ((verdict = 'charged') = (processor_ref IS NOT NULL))
);
CREATE INDEX resolution_payment ON resolution (payment_id);
CREATE INDEX resolution_unanswered ON resolution (asked_at) WHERE answered_at IS NULL;

-- What must leave for RabbitMQ. lane is a command queue or 'event'; a command is only the payment's id.
CREATE TABLE outbox (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  lane text NOT NULL,
  batch_id uuid NOT NULL,
  payment_id uuid,
  routing_key text,
  body text,
  available_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  CHECK ((lane = 'event') = (routing_key IS NOT NULL AND body IS NOT NULL)),
  CHECK (lane = 'event' OR payment_id IS NOT NULL)
);
CREATE INDEX outbox_event ON outbox (id) WHERE lane = 'event';
CREATE INDEX outbox_command ON outbox (lane, batch_id, available_at, id) WHERE lane <> 'event';
-- Every row is deleted soon: without frequent vacuums each look would step over the dead ones.
ALTER TABLE outbox SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000,
  autovacuum_vacuum_cost_delay = 0, autovacuum_analyze_scale_factor = 0,
  autovacuum_analyze_threshold = 10000, autovacuum_vacuum_insert_threshold = -1);

-- How much of each limited rate is left; all relays draw on it.
CREATE TABLE rate_level (
  key text PRIMARY KEY,
  level double precision NOT NULL,
  refilled_at timestamptz NOT NULL
);

CREATE TABLE audit_entry (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  practice_id uuid NOT NULL,
  at timestamptz NOT NULL DEFAULT clock_timestamp(),
  actor text NOT NULL,
  source text NOT NULL,
  action text NOT NULL,
  batch_id uuid,
  payment_id uuid,
  detail jsonb
);
CREATE INDEX audit_entry_practice ON audit_entry (practice_id, id);
CREATE TRIGGER audit_entry_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_entry
  FOR EACH STATEMENT EXECUTE FUNCTION forbid_change();

-- The console ---------------------------------------------------------------------------------------------------------

-- How people are called, from their last sign-in. Everywhere else a person is the subject of a token.
CREATE TABLE person (
  practice_id uuid NOT NULL REFERENCES practice,
  subject text NOT NULL,
  name text NOT NULL,
  PRIMARY KEY (practice_id, subject)
);

-- A sign-in token works once.
CREATE TABLE used_sign_in (
  token_sha256 bytea PRIMARY KEY,
  expires_at timestamptz NOT NULL
);

-- Sessions live here and not in the cookie, so that signing out ends them wherever the cookie was copied to.
CREATE TABLE console_session (
  key_sha256 bytea PRIMARY KEY,
  practice_id uuid NOT NULL REFERENCES practice,
  clinician_id uuid REFERENCES clinician,
  subject text NOT NULL,
  permissions text[] NOT NULL,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  ended_at timestamptz
);

-- A batch in the making. Its selection is rows and not a filter, so that what is charged is what was ticked.
CREATE TABLE draft (
  id uuid PRIMARY KEY DEFAULT uuid7(),
  practice_id uuid NOT NULL REFERENCES practice,
  clinician_id uuid REFERENCES clinician,
  owner text NOT NULL,
  payment_number text,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  submitted_at timestamptz,
  retry_of uuid REFERENCES batch,
  -- What a second person was asked about; kept as long as the answer.
  for_approval boolean NOT NULL DEFAULT false
);
CREATE INDEX draft_age ON draft (practice_id, updated_at) WHERE NOT for_approval;
CREATE INDEX draft_owner ON draft (practice_id, owner, updated_at DESC) WHERE submitted_at IS NULL;

CREATE TABLE draft_invoice (
  draft_id uuid NOT NULL REFERENCES draft ON DELETE CASCADE,
  invoice_id uuid NOT NULL REFERENCES invoice,
  amount_minor bigint NOT NULL CHECK (amount_minor > 0),
  -- Taken out by "Clear", which can be undone.
  cleared boolean NOT NULL DEFAULT false,
  PRIMARY KEY (draft_id, invoice_id)
);

-- A submit above the practice's ceiling. There is no batch and nothing to publish until a second person approves; it
-- binds count and total, and its number is the batch's.
CREATE TABLE approval (
  id uuid PRIMARY KEY DEFAULT uuid7(),
  practice_id uuid NOT NULL REFERENCES practice,
  number bigint NOT NULL,
  draft_id uuid NOT NULL UNIQUE REFERENCES draft,
  currency text NOT NULL,
  total integer NOT NULL CHECK (total > 0),
  total_minor bigint NOT NULL CHECK (total_minor > ceiling_minor),
  ceiling_minor bigint NOT NULL,
  requested_by text NOT NULL,
  requested_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  expires_at timestamptz NOT NULL,
  idempotency_key text NOT NULL,
  request_sha256 bytea NOT NULL,
  decision text CHECK (decision IN ('approved', 'sent_back', 'changed')),
  decided_by text CHECK (decided_by <> requested_by),
  decided_at timestamptz,
  reason text,
  UNIQUE (practice_id, number),
  UNIQUE (practice_id, idempotency_key),
  CHECK ((decision IS NULL) = (decided_by IS NULL) AND (decision IS NULL) = (decided_at IS NULL))
);
CREATE INDEX approval_open ON approval (practice_id, requested_at) WHERE decision IS NULL;

-- Eligibility: the one place that decides whether an invoice can be charged now, with every reason why not. Preview,
-- submit and the wizard read it; the words are in shared/domain/eligibility.py.
CREATE VIEW invoice_eligibility AS
SELECT
  i.practice_id, i.id AS invoice_id, i.external_id AS invoice_external_id, i.number AS invoice_number,
  i.client_id, i.currency, i.total_minor, i.amount_due_minor, i.issued_on, i.first_service_on, i.last_service_on,
  i.session_count, i.status AS invoice_status, i.reopened_at, c.name AS client_name,
  c.name_key AS client_key, c.external_id AS client_external_id, c.clinician_id, cn.name AS clinician_name,
  m.id AS method_id, m.type AS method_type, m.brand, m.last4, m.exp_month, m.exp_year, m.processor AS method_processor,
  m.payer_id, m.token, pr.processor, pr.processor_account, live.batch_id AS running_batch_id,
  array_remove(ARRAY[
    CASE WHEN NOT pr.enrolled THEN 'practice_not_enrolled' END,
    CASE WHEN live.id IS NOT NULL THEN 'in_running_batch' END,
    CASE WHEN live.id IS NULL AND NOT (i.status = 'open' AND i.amount_due_minor > 0) THEN 'invoice_not_open' END,
    CASE WHEN i.currency <> pr.currency THEN 'currency_differs' END,
    CASE WHEN i.amount_due_minor > pr.invoice_limit_minor THEN 'over_invoice_limit' END,
    CASE WHEN m.id IS NULL THEN 'no_payment_method' END,
    CASE WHEN m.first_charged_on IS NULL AND m.id IS NOT NULL THEN 'method_never_charged' END,
    CASE WHEN make_date(m.exp_year, m.exp_month, 1) + interval '1 month' <= clock_timestamp() AT TIME ZONE pr.timezone
      THEN 'method_expired' END,
    CASE WHEN m.processor <> pr.processor THEN 'method_of_other_processor' END
  ], NULL) AS reasons
FROM invoice i
JOIN practice pr ON pr.id = i.practice_id
JOIN client c ON c.id = i.client_id
LEFT JOIN clinician cn ON cn.id = c.clinician_id
LEFT JOIN payment_method m ON m.client_id = i.client_id AND m.is_default AND m.removed_at IS NULL
LEFT JOIN payment live ON live.invoice_id = i.id AND live.acknowledged_at IS NULL AND live.surplus_at IS NULL
  AND live.state IN ('queued', 'sending', 'unknown', 'processing', 'approved', 'settled', 'voiding', 'refunding');

-- A payment as people read it.
CREATE VIEW payment_report AS
SELECT p.id, p.practice_id, p.batch_id, b.number AS batch_number, b.submitted_at, b.submitted_by, p.state,
  p.amount_minor, p.currency, p.number, p.processor, p.reason_code, p.reason_category, p.reason_raw_code,
  p.review_reason, p.void_requested_at, p.void_requested_by, p.created_at, p.next_check_at, p.finished_at,
  i.external_id AS invoice_external_id, i.number AS invoice_number, i.first_service_on, i.last_service_on,
  i.session_count, c.external_id AS client_external_id, c.name AS client_name, c.clinician_id, m.type AS method_type,
  m.brand, m.last4, m.exp_month, m.exp_year, charge.processor_ref, charge.history_ref, charge.reference
FROM payment p
JOIN batch b ON b.id = p.batch_id
JOIN invoice i ON i.id = p.invoice_id
JOIN client c ON c.id = p.client_id
JOIN payment_method m ON m.id = p.method_id
LEFT JOIN LATERAL (
  SELECT a.processor_ref, a.history_ref, a.reference
  FROM attempt a
  WHERE a.payment_id = p.id AND a.kind = 'charge'
  ORDER BY a.n DESC
  LIMIT 1
) charge ON true;

-- The open invoices that a wizard's filter leaves, eligible or not. One function, so that "all that match" charges what
-- the list showed. An absent key filters nothing; an invoice matches if any of its sessions is in the range of dates.
CREATE FUNCTION invoices_matching(practice uuid, clinician uuid, filter jsonb) RETURNS SETOF invoice_eligibility
LANGUAGE sql STABLE PARALLEL SAFE AS $$
  SELECT e.* FROM invoice_eligibility e
  WHERE e.practice_id = practice
    AND (clinician IS NULL OR e.clinician_id = clinician)
    AND e.invoice_status = 'open' AND e.amount_due_minor > 0
    AND (filter ->> 'invoice' IS NULL OR strpos(fold(e.invoice_number), fold(filter ->> 'invoice')) > 0)
    AND (filter ->> 'client' IS NULL OR strpos(e.client_key, fold(filter ->> 'client')) > 0)
    AND (filter ->> 'clinician' IS NULL OR strpos(fold(e.clinician_name), fold(filter ->> 'clinician')) > 0)
    AND (filter ->> 'card' IS NULL OR strpos(fold(concat_ws(' ', e.brand, e.last4)), fold(filter ->> 'card')) > 0)
    AND (filter ->> 'amount_from_minor' IS NULL OR e.amount_due_minor >= (filter ->> 'amount_from_minor')::bigint)
    AND (filter ->> 'amount_to_minor' IS NULL OR e.amount_due_minor <= (filter ->> 'amount_to_minor')::bigint)
    AND (filter ->> 'sessions_from' IS NULL OR e.session_count >= (filter ->> 'sessions_from')::integer)
    AND (filter ->> 'sessions_to' IS NULL OR e.session_count <= (filter ->> 'sessions_to')::integer)
    AND (coalesce(filter ->> 'service_from', filter ->> 'service_to') IS NULL OR EXISTS (
      SELECT FROM session s
      WHERE s.invoice_id = e.invoice_id AND s.practice_id = practice
        AND s.service_date BETWEEN coalesce((filter ->> 'service_from')::date, '-infinity')
                               AND coalesce((filter ->> 'service_to')::date, 'infinity')))
$$;

-- The transition table of shared/domain/payment.py; a test keeps the two the same.
INSERT INTO legal_transition (from_state, event, to_state) VALUES
  ('approved', 'observe', 'approved'),
  ('approved', 'request_void', 'voiding'),
  ('approved', 'seen_refunded', 'refunded'),
  ('approved', 'seen_voided', 'voided'),
  ('approved', 'settle', 'settled'),
  ('canceled', 'evidence_paid', 'approved'),
  ('canceled', 'evidence_paid', 'settled'),
  ('canceled', 'evidence_paid', 'surplus'),
  ('canceled', 'evidence_paid', 'voiding'),
  ('canceled', 'observe', 'canceled'),
  ('declined', 'evidence_paid', 'approved'),
  ('declined', 'evidence_paid', 'settled'),
  ('declined', 'evidence_paid', 'surplus'),
  ('declined', 'evidence_paid', 'voiding'),
  ('declined', 'observe', 'declined'),
  ('failed', 'evidence_paid', 'approved'),
  ('failed', 'evidence_paid', 'settled'),
  ('failed', 'evidence_paid', 'surplus'),
  ('failed', 'evidence_paid', 'voiding'),
  ('failed', 'observe', 'failed'),
  ('processing', 'decline', 'declined'),
  ('processing', 'observe', 'processing'),
  ('processing', 'settle', 'settled'),
  ('queued', 'cancel', 'canceled'),
  ('queued', 'claim', 'sending'),
  ('queued', 'evidence_paid', 'approved'),
  ('queued', 'evidence_paid', 'settled'),
  ('queued', 'evidence_paid', 'surplus'),
  ('queued', 'evidence_paid', 'voiding'),
  ('queued', 'observe', 'queued'),
  ('queued', 'skip', 'skipped'),
  ('refunded', 'observe', 'refunded'),
  ('refunded', 'refund_failed', 'settled'),
  ('refunding', 'confirm_refund', 'refunded'),
  ('refunding', 'observe', 'refunding'),
  ('refunding', 'refund_open', 'refunding'),
  ('refunding', 'reject_refund', 'settled'),
  ('sending', 'approve', 'approved'),
  ('sending', 'approve', 'voiding'),
  ('sending', 'decline', 'declined'),
  ('sending', 'lose_track', 'unknown'),
  ('sending', 'mark_void', 'sending'),
  ('sending', 'not_executed', 'canceled'),
  ('sending', 'not_executed', 'failed'),
  ('sending', 'not_executed', 'queued'),
  ('sending', 'observe', 'sending'),
  ('sending', 'process', 'processing'),
  ('sending', 'seen_refunded', 'refunded'),
  ('sending', 'seen_voided', 'voided'),
  ('sending', 'settle', 'settled'),
  ('settled', 'observe', 'settled'),
  ('settled', 'request_refund', 'refunding'),
  ('settled', 'seen_refunded', 'refunded'),
  ('settled', 'seen_voided', 'voided'),
  ('skipped', 'evidence_paid', 'approved'),
  ('skipped', 'evidence_paid', 'settled'),
  ('skipped', 'evidence_paid', 'surplus'),
  ('skipped', 'evidence_paid', 'voiding'),
  ('skipped', 'observe', 'skipped'),
  ('surplus', 'observe', 'surplus'),
  ('surplus', 'request_refund', 'refunding'),
  ('surplus', 'request_void', 'voiding'),
  ('unknown', 'approve', 'approved'),
  ('unknown', 'approve', 'voiding'),
  ('unknown', 'decline', 'declined'),
  ('unknown', 'mark_void', 'unknown'),
  ('unknown', 'not_executed', 'canceled'),
  ('unknown', 'not_executed', 'failed'),
  ('unknown', 'not_executed', 'queued'),
  ('unknown', 'observe', 'unknown'),
  ('unknown', 'process', 'processing'),
  ('unknown', 'resend', 'sending'),
  ('unknown', 'seen_refunded', 'refunded'),
  ('unknown', 'seen_voided', 'voided'),
  ('unknown', 'settle', 'settled'),
  ('voided', 'observe', 'voided'),
  ('voided', 'seen_settled', 'settled'),
  ('voiding', 'confirm_void', 'voided'),
  ('voiding', 'observe', 'voiding'),
  ('voiding', 'too_late', 'settled'),
  ('voiding', 'void_open', 'voiding');

-- The last line against a state that is simply assigned: no program takes a payment where no event of the table leads.
-- The table's steps are written into the trigger's condition, so that a legal step costs a comparison and no lookup; a
-- migration that changes the table makes the trigger anew.
CREATE FUNCTION forbid_illegal_state() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'no event leads a payment from % to %', OLD.state, NEW.state USING ERRCODE = 'restrict_violation';
END $$;
DO $$ BEGIN
  EXECUTE format(
    'CREATE TRIGGER payment_legal_state AFTER UPDATE OF state ON payment FOR EACH ROW
     WHEN (OLD.state <> NEW.state AND OLD.state || ''>'' || NEW.state <> ALL (%L::text[]))
     EXECUTE FUNCTION forbid_illegal_state()',
    (SELECT array_agg(DISTINCT from_state || '>' || to_state) FROM legal_transition));
END $$;
