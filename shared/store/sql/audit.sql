-- name: write
INSERT INTO audit_entry (practice_id, actor, source, action, batch_id, payment_id, detail)
VALUES (%(practice_id)s, %(actor)s, %(source)s, %(action)s, %(batch_id)s, %(payment_id)s, %(detail)s)
