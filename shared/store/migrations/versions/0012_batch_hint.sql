-- The payments of a batch, in the order of their ids, of which none behind `after` has been hinted yet. It stands for a
-- row of the outbox for each of them, and goes with the last one. Later hints of a payment are rows of the outbox.
-- A batch's ids follow each other closely: between `after` and `last` a look reads little on whichever index it goes.
CREATE TABLE batch_hint (
  lane text NOT NULL,
  batch_id uuid NOT NULL,
  after uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
  last uuid NOT NULL DEFAULT 'ffffffff-ffff-ffff-ffff-ffffffffffff',
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (lane, batch_id)
-- Updated in every round of the relay: in a page with room for that a row finds its next version beside it, and no index
-- learns of it.
) WITH (fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000,
  autovacuum_vacuum_cost_delay = 0, autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 1000,
  autovacuum_vacuum_insert_threshold = -1);
