-- Whoever reads on behalf of a person becomes `batchpay_member` for one transaction and says whose rows it wants
-- (shared/store/scope.py). The role owns nothing and cannot bypass row-level security, so a statement that forgets its
-- WHERE shows nothing of others, and a transaction that says nothing sees nothing. Every other role sees what it saw.
DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'batchpay_member') THEN
    CREATE ROLE batchpay_member NOLOGIN NOBYPASSRLS;
  END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; -- another database of this server was faster
END $$;
DO $$
BEGIN
  -- Without INHERIT: who logs in is not restricted until it becomes the role. A superuser may become any role.
  IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
    IF current_setting('server_version_num')::integer < 160000 THEN
      RAISE EXCEPTION 'PostgreSQL % cannot do it: use 16 or newer, or migrate as a superuser',
        current_setting('server_version');
    END IF;
    -- As text, because older servers cannot read it.
    EXECUTE 'GRANT batchpay_member TO CURRENT_USER WITH INHERIT FALSE, SET TRUE';
  END IF;
END $$;

CREATE FUNCTION seen_practice() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE
RETURN nullif(current_setting('batchpay.practice_id', true), '')::uuid;
-- NULL: all clients of the practice.
CREATE FUNCTION seen_clinician() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE
RETURN nullif(current_setting('batchpay.clinician_id', true), '')::uuid;

-- As subqueries the settings are read once and not for every row. CASE and not OR, because the planner expects half of the
-- rows to pass the one and almost none the other, and then looks up one by one what it should join.
DO $$
DECLARE
  own CONSTANT text := 'practice_id = (SELECT seen_practice())';
  unless_all CONSTANT text := own || ' AND CASE WHEN (SELECT seen_clinician()) IS NULL THEN true ELSE %s END';
  own_clients CONSTANT text := format(unless_all, 'client_id IN (SELECT c.id FROM client c)');
  of_payment CONSTANT text := 'EXISTS (SELECT FROM payment p WHERE p.id = payment_id)';
  rule record;
BEGIN
  FOR rule IN SELECT * FROM (VALUES
    ('practice', 'id = (SELECT seen_practice())'),
    ('clinician', own), ('person', own), ('batch', own), ('audit_entry', own),
    ('draft', format(unless_all, 'clinician_id = (SELECT seen_clinician())')),
    ('approval', format(unless_all, 'draft_id IN (SELECT d.id FROM draft d)')),
    ('client', format(unless_all, 'clinician_id = (SELECT seen_clinician())')),
    ('payment_method', own_clients), ('invoice', own_clients), ('payment', own_clients),
    ('session', format(unless_all, 'EXISTS (SELECT FROM invoice i WHERE i.id = invoice_id)')),
    ('draft_invoice', 'EXISTS (SELECT FROM draft d WHERE d.id = draft_id)'),
    ('attempt', of_payment), ('payment_event', of_payment), ('finding', of_payment), ('resolution', of_payment),
    ('dispute', of_payment),
    ('processor_fee', 'EXISTS (SELECT FROM attempt a WHERE a.id = attempt_id)')
  ) AS rules (of_table, seen)
  LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', rule.of_table);
    EXECUTE format('CREATE POLICY everyone ON %I USING (true) WITH CHECK (true)', rule.of_table);
    EXECUTE format('CREATE POLICY member ON %I AS RESTRICTIVE TO batchpay_member USING (%s) WITH CHECK (%2$s)',
      rule.of_table, rule.seen);
    EXECUTE format('GRANT SELECT ON %I TO batchpay_member', rule.of_table);
  END LOOP;
END $$;

ALTER VIEW invoice_eligibility SET (security_invoker = true);
ALTER VIEW payment_report SET (security_invoker = true);
ALTER VIEW money_step SET (security_invoker = true);
GRANT SELECT ON invoice_eligibility, payment_report, money_step TO batchpay_member;
GRANT INSERT, UPDATE, DELETE ON draft, draft_invoice TO batchpay_member;
REVOKE SELECT ON audit_entry FROM batchpay_member;
GRANT INSERT ON audit_entry TO batchpay_member;
