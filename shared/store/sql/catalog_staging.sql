-- Where pushed rows wait while they are checked: tables of one transaction, one per kind.

-- name: practice
CREATE TEMPORARY TABLE staged_practice (line integer PRIMARY KEY, practice_id text, name text, timezone text,
  currency text, processor text, processor_account text, enrolled boolean, approval_ceiling_minor bigint,
  refund_limit_minor bigint) ON COMMIT DROP

-- name: clinician
CREATE TEMPORARY TABLE staged_clinician (line integer PRIMARY KEY, practice_id text, clinician_id text, name text)
  ON COMMIT DROP

-- name: client
CREATE TEMPORARY TABLE staged_client (line integer PRIMARY KEY, practice_id text, client_id text, name text, email text,
  clinician_id text) ON COMMIT DROP

-- name: payment_method
CREATE TEMPORARY TABLE staged_payment_method (line integer PRIMARY KEY, practice_id text, client_id text,
  payment_method_id text, processor text, type text, brand text, last4 text, exp_month smallint, exp_year smallint,
  payer_id text, token text, is_default boolean, first_charged_on date) ON COMMIT DROP

-- name: invoice
CREATE TEMPORARY TABLE staged_invoice (line integer PRIMARY KEY, practice_id text, invoice_id text, invoice_number text,
  client_id text, currency text, total_minor bigint, amount_due_minor bigint, issued_on date, status text,
  included_sequence integer)
  ON COMMIT DROP

-- name: session
CREATE TEMPORARY TABLE staged_session (line integer PRIMARY KEY, practice_id text, invoice_id text, session_id text,
  service_date date, clinician_id text, description text, amount_minor bigint) ON COMMIT DROP
