-- A database that was restored has forgotten charges. PostgreSQL goes on under a new timeline then, also where a standby
-- took over, and a copy in another cluster has another system identifier.
CREATE FUNCTION timeline_now() RETURNS text
LANGUAGE sql STABLE AS $$
  SELECT system_identifier || '/' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8) FROM pg_control_system()
$$;

-- The timeline on which sending is allowed. On any other one nothing is sent, from the first statement on, because every
-- claim compares the two; a flag that somebody must raise first would be raised too late. `seen_at` is written again and
-- again, so a restored row tells the restore point.
CREATE TABLE timeline (
  the_only_one boolean PRIMARY KEY DEFAULT true CHECK (the_only_one),
  name text NOT NULL,
  seen_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
INSERT INTO timeline (name) VALUES (timeline_now());

-- Accounts of a restored database. Nothing of them is sent until what was sent between `since` and `found_at` is known.
CREATE TABLE restore_hold (
  processor text NOT NULL,
  account text NOT NULL,
  since timestamptz NOT NULL,
  found_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  next_try_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  remembered integer NOT NULL DEFAULT 0,
  waits_for text NOT NULL DEFAULT 'nobody has looked yet',
  released_at timestamptz,
  PRIMARY KEY (processor, account, found_at)
);
CREATE INDEX restore_hold_open ON restore_hold (processor, account) WHERE released_at IS NULL;
