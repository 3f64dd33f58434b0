-- An upstream product says of an invoice which of our events its figures already include.

-- deltas_minor: what each of this invoice's events took (or gave back, below zero), in the order of their `sequence`.
-- included_sequence: the last event that upstream's figures include. taken_minor is the sum of those after it; it is
-- below zero where upstream knows of a payment and not yet that it was given back.
ALTER TABLE invoice
  ADD COLUMN deltas_minor bigint[] NOT NULL DEFAULT '{}',
  ADD COLUMN included_sequence integer NOT NULL DEFAULT 0,
  DROP CONSTRAINT invoice_taken_minor_check;
-- Events of an earlier release were not kept apart: all they took counts as taken by the last one. A push that includes
-- only some of them leaves the invoice owing too little until it includes all; never too much.
UPDATE invoice SET deltas_minor = array_fill(0::bigint, ARRAY[version - 1]) || taken_minor WHERE version > 0;
ALTER TABLE invoice
  ADD CHECK (cardinality(deltas_minor) = version),
  ADD CHECK (included_sequence BETWEEN 0 AND version);
