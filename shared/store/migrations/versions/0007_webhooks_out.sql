-- Webhooks out: who is told of a practice's events, and every delivery of one event to one of them.

CREATE TABLE subscription (
  id uuid PRIMARY KEY DEFAULT uuid7(),
  practice_id uuid NOT NULL REFERENCES practice,
  url text NOT NULL,
  -- Types of events, `payment.*` for all of a kind; null: everything.
  types text[] CHECK (cardinality(types) > 0),
  state text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'disabled', 'deleted')),
  -- The failure budget: requests that failed since the last one that did not.
  failures integer NOT NULL DEFAULT 0 CHECK (failures >= 0),
  failing_since timestamptz,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  created_by text NOT NULL CHECK (created_by <> ''),
  disabled_at timestamptz,
  disabled_by text,
  disabled_why text CHECK (disabled_why IN ('failing', 'gone', 'asked')),
  CHECK ((failures = 0) = (failing_since IS NULL)),
  CHECK (state = 'deleted' OR (state = 'active') = (disabled_at IS NULL)),
  CHECK ((disabled_at IS NULL) = (disabled_by IS NULL) AND (disabled_at IS NULL) = (disabled_why IS NULL))
);
CREATE INDEX subscription_practice ON subscription (practice_id, id) WHERE state <> 'deleted';
CREATE INDEX subscription_disabled ON subscription (id) WHERE state = 'disabled';

-- Without a date it is the current one. The one before is valid for a while longer: receivers change theirs meanwhile.
CREATE TABLE subscription_secret (
  id uuid PRIMARY KEY DEFAULT uuid7(),
  subscription_id uuid NOT NULL REFERENCES subscription,
  secret text NOT NULL CHECK (secret LIKE 'whsec\_%'),
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  expires_at timestamptz
);
CREATE INDEX subscription_secret_of ON subscription_secret (subscription_id, id);
CREATE UNIQUE INDEX subscription_secret_current ON subscription_secret (subscription_id) WHERE expires_at IS NULL;

-- Written once for each event and subscription, however often the event comes. `held` was not sent because the
-- subscription was disabled; a replay sends it. These are copies of events, and the only rows that are deleted: when they
-- have been done for long.
CREATE TABLE delivery (
  id uuid PRIMARY KEY DEFAULT uuid7(),
  subscription_id uuid NOT NULL REFERENCES subscription,
  event_id text NOT NULL,
  type text NOT NULL,
  body text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'delivered', 'failed', 'held')),
  -- While a request is under way: when it would be taken for lost, and made again.
  next_try_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  attempts integer NOT NULL DEFAULT 0,
  last_try_at timestamptz,
  last_status integer,
  last_failure text,
  done_at timestamptz,
  UNIQUE (subscription_id, event_id),
  CHECK ((state = 'waiting') = (done_at IS NULL))
);
CREATE INDEX delivery_waiting ON delivery (subscription_id, next_try_at, id) WHERE state = 'waiting';
CREATE INDEX delivery_of ON delivery (subscription_id, id);
CREATE INDEX delivery_done ON delivery (done_at) WHERE done_at IS NOT NULL;
