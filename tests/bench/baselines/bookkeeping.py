"""The statements of the baselines: one before each charge, one after it."""

from typing import Final

_CLAIM: Final = """
  UPDATE payment SET state = 'sending', version = version + 1, claim_token = %(token)s,
    lease_until = clock_timestamp() + interval '1 minute', next_check_at = clock_timestamp() + interval '1 minute',
    on_wire = true, attempts = attempts + 1, updated_at = clock_timestamp()
  WHERE id = %(payment)s AND state = 'queued' AND due_at <= clock_timestamp()
"""
_RESULT: Final = """
  UPDATE payment SET state = %(state)s::text, version = version + 1, claim_token = NULL, lease_until = NULL,
    next_check_at = CASE WHEN %(state)s::text = 'approved' THEN clock_timestamp() + interval '1 day' END,
    on_wire = false, finished_at = clock_timestamp(), updated_at = clock_timestamp()
  WHERE id = %(payment)s AND claim_token = %(token)s AND state = 'sending'
"""
_FROZEN: Final = "invoice_id::text, account, payer_id, token, amount_minor"

_LIGHT: Final = (f"{_CLAIM} RETURNING {_FROZEN}", _RESULT)

_SAME_ROWS_BEFORE: Final = f"""
WITH claimed AS ({_CLAIM} RETURNING *),
tried AS (
  INSERT INTO attempt (id, payment_id, n, kind, reference, processor, account, amount_minor, request_text,
    request_sha256, open_sends, sends, first_send_at, last_send_at, last_claimed_at)
  SELECT %(attempt)s, id, attempts, 'charge', %(reference)s, processor, account, amount_minor, token,
    sha256(convert_to(token, 'UTF8')), 1, 1, clock_timestamp(), clock_timestamp(), clock_timestamp()
  FROM claimed
),
told AS (
  INSERT INTO payment_event (payment_id, attempt_id, event, from_state, to_state, actor)
  SELECT id, %(attempt)s, 'claim', 'queued', 'sending', 'bench' FROM claimed
)
SELECT {_FROZEN} FROM claimed
"""  # noqa: S608 - put together from constants of this file
_SAME_ROWS_AFTER: Final = f"""
WITH moved AS ({_RESULT} RETURNING *),
tried AS (
  UPDATE attempt SET outcome = %(state)s::text, processor_ref = %(number)s, open_sends = 0,
    finished_at = clock_timestamp()
  WHERE id = %(attempt)s
),
told AS (
  INSERT INTO payment_event (payment_id, attempt_id, event, from_state, to_state, actor)
  SELECT id, %(attempt)s, 'approve', 'sending', %(state)s::text, 'bench' FROM moved
),
owed AS (
  UPDATE invoice i SET taken_minor = i.taken_minor + m.amount_minor, updated_at = clock_timestamp()
  FROM moved m WHERE i.id = m.invoice_id
)
INSERT INTO outbox (lane, batch_id, payment_id, routing_key, body)
SELECT 'event', batch_id, id, 'payment.' || state,
  json_build_object('payment_id', id, 'state', state, 'amount_minor', amount_minor)::text
FROM moved
"""  # noqa: S608 - put together from constants of this file

STATEMENTS: Final = {"light": _LIGHT, "same_rows": (_SAME_ROWS_BEFORE, _SAME_ROWS_AFTER)}
