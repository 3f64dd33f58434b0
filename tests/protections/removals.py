"""What each protection is in the code, and the test that is there for it."""

from pathlib import Path
from typing import Final, NamedTuple


class Removal(NamedTuple):
    """`there` in `file` is the protection; `instead` is the code without it."""

    protection: str
    file: str
    there: str
    instead: str
    test: str

    def take_out(self, copy: Path) -> None:
        path = copy / self.file
        code = path.read_text(encoding="utf-8")
        assert code.count(self.there) == 1, f"{self.protection}: {self.file} has changed"
        path.write_text(code.replace(self.there, self.instead), encoding="utf-8")


CHARGING: Final = "shared/domain/charging.py"
EXCHANGE: Final = "await connection.exchange(request, deadline_s=now_s + self._total_s, limit_bytes=limit_bytes)"
ENGINE: Final = "shared/store/migrations/versions/0001_engine.sql"
KEPT_OPEN: Final = """\
        case Unknown():
            return returning.still_open(
                payment,
                said,
"""

REMOVALS: Final = (
    Removal(
        "claim: compare and set",
        "shared/store/sql/payment.sql",
        "p.state = ANY(%(sources)s) AND p.due_at <= clock_timestamp()",
        "%(sources)s::text[] IS NOT NULL",
        "tests/integration/test_payments_store.py::test_a_payment_that_is_not_due_owned_or_over_is_not_claimed",
    ),
    Removal(
        "token check: a negative answer counts from the owner only",
        CHARGING,
        "mine = payment.claim_token == token and payment.current_attempt == attempt.id",
        "mine = token is not None",
        "tests/unit/test_charging.py::test_a_negative_answer_of_somebody_else_moves_nothing",
    ),
    Removal(
        "open-send count: a refused resend closes one send",
        CHARGING,
        "if left.open_sends > 0:",
        "if left.open_sends > 99:",
        "tests/unit/test_charging.py::test_trace_1_a_refused_resend_does_not_close_the_attempt",
    ),
    Removal(
        "send budget: nothing is sent after it",
        "workers/sending.py",
        "if late_s > 0:",
        "if late_s > 1e9:",
        "tests/integration/test_refunds.py::test_what_is_past_its_send_budget_is_not_sent_and_tried_again",
    ),
    Removal(
        "unique index: one live payment per invoice",
        ENGINE,
        "CREATE UNIQUE INDEX payment_live_invoice",
        "CREATE INDEX payment_live_invoice",
        "tests/integration/test_submit_api.py"
        "::test_of_two_submits_of_overlapping_invoices_exactly_one_wins_and_the_other_leaves_nothing",
    ),
    Removal(
        "unique index: one open void or refund per charge",
        ENGINE,
        "CREATE UNIQUE INDEX attempt_open_return",
        "CREATE INDEX attempt_open_return",
        "tests/integration/test_invariants.py",
    ),
    Removal(
        "on_wire slot: one charge on the wire per card",
        "shared/store/sql/payment.sql",
        "WHERE w.token = p.token AND w.processor = p.processor AND w.on_wire) AS card_busy",
        "WHERE false) AS card_busy",
        "tests/integration/test_payments_store.py",
    ),
    Removal(
        "epoch check: no prefetched copy of a lost connection is run",
        "shared/messaging/loop.py",
        "if message.epoch.ended:",
        "if message.epoch is None:",
        "tests/integration/test_worker.py::test_a_stale_copy_that_waited_is_not_run",
    ),
    Removal(
        "epoch check: an acknowledgement goes to the connection that delivered, or nowhere",
        "shared/messaging/consumer.py",
        "if not message.epoch.finish(message.tag, ack=ack):",
        "if not (self._epoch or message.epoch).finish(message.tag, ack=ack):",
        "tests/integration/test_broker.py::test_no_message_is_lost_when_work_outlives_its_connection",
    ),
    Removal(
        "unknown on timeout",
        "workers/processors/vantage_answers.py",
        "        if answer.sent:\n            return Unknown(code=answer.code, detail=answer.detail)\n",
        "",
        "tests/contract/vantage/test_vantage_wire.py",
    ),
    Removal(
        "intent commit: the open send is written before the first byte",
        "shared/domain/claiming.py",
        "        open_sends=1,",
        "        open_sends=0,",
        "tests/unit/test_claiming.py::test_a_claim_commits_the_intent_before_the_first_byte",
    ),
    Removal(
        "final absence at Vantage: reports that are out and complete",
        "workers/janitor/reports.py",
        "    if not all(report_is_out(report.day, report.as_of) for report in reports):\n        return False\n",
        "",
        "tests/integration/test_janitor.py::test_absence_is_final_when_the_reports_of_its_days_are_out",
    ),
    Removal(
        "final absence at Stripe: only after the key is forgotten",
        "workers/janitor/absence.py",
        "if case.now - case.attempt.last_send_at >= KEY_FORGOTTEN:",
        "if case.now is not None:",
        "tests/integration/test_janitor.py"
        "::test_trace_6_between_twenty_and_twenty_four_hours_a_key_is_neither_sent_nor_given_up",
    ),
    Removal(
        "void guard: nothing is resent after a void was asked for",
        "workers/janitor/unclear.py",
        "        and payment.void_requested_at is None\n",
        "",
        "tests/integration/test_janitor.py::test_a_key_is_not_sent_again_while_it_could_do_harm",
    ),
    Removal(
        "a resend only while the key lives",
        "workers/janitor/unclear.py",
        "        and now - attempt.first_send_at < timing.key_lifetime\n",
        "",
        "tests/integration/test_janitor.py"
        "::test_trace_6_between_twenty_and_twenty_four_hours_a_key_is_neither_sent_nor_given_up",
    ),
    Removal(
        "no-resend HTTP client",
        "workers/processors/http.py",
        f"            return {EXCHANGE}\n",
        f"            first = {EXCHANGE}\n"
        "            if not isinstance(first, Trouble):\n"
        "                return first\n"
        "            connection = await self._connection(now_s + self._connect_s)\n"
        f"            return {EXCHANGE}\n",
        "tests/contract/vantage/test_vantage_wire.py",
    ),
    Removal(
        "restored databases: claims compare timelines",
        "shared/store/sql/payment.sql",
        "    AND NOT EXISTS (SELECT FROM timeline WHERE name <> timeline_now())\n",
        "",
        "tests/integration/test_restoring.py"
        "::test_trace_14_a_restored_database_charges_nothing_from_its_first_statement_on",
    ),
    Removal(
        "webhooks: nothing connects to our own network",
        "services/notify/posting.py",
        "and not is_public(str(address[0])):",
        "and not str(address[0]):",
        "tests/integration/test_notify.py::test_outside_development_nothing_connects_to_our_own_network",
    ),
    Removal(
        "messages: headers that cannot be decoded are left out",
        "shared/messaging/properties.py",
        "    pika.spec.props[pika.BasicProperties.INDEX] = ReadableProperties",
        "    assert ReadableProperties",
        "tests/integration/test_ingress.py::test_properties_that_cannot_be_read_block_nothing",
    ),
    Removal(
        "row-level security: who reads for a person becomes the guarded role",
        "shared/store/sql/scope.sql",
        "set_config('role', 'batchpay_member', true)",
        "current_setting('role')",
        "tests/integration/test_row_security.py"
        "::test_without_a_where_each_practice_sees_its_half_and_nobody_sees_nothing",
    ),
    Removal(
        "refunds after a restore: a living key waits too",
        "workers/janitor/refunds.py",
        "        await restores.must_know(connection, case.payment.processor, case.payment.account)\n",
        "        assert connection\n",
        "tests/integration/test_restoring.py"
        "::test_a_refund_under_a_living_key_is_not_sent_again_before_it_is_known_what_was",
    ),
    Removal(
        "refund without key: given up only when its reports are out and complete",
        "workers/janitor/refunds.py",
        "if read and await absence_is_final(read, processor=processor, account=account, pool=janitor.pool):",
        "if read:",
        "tests/integration/test_refunds.py"
        "::test_trace_10_without_a_key_only_complete_reports_prove_that_a_refund_never_executed",
    ),
    Removal(
        "a refused void moves nothing: the charge is looked up",
        "shared/domain/voiding.py",
        'return returning.still_open(payment, left, fact=f"void refused: {answer.code}", look=look)',
        "return step(payment, Event.TOO_LATE, State.SETTLED, attempt=left, **RELEASED, next_check_at=None)",
        "tests/unit/test_life_of_a_payment.py",
    ),
    Removal(
        "a refund whose answer is lost is not over",
        "shared/domain/refunding.py",
        KEPT_OPEN,
        "        case Unknown():\n            return _rejected(payment, _over(said, now), Reason.REFUND_NOT_EXECUTED)\n"
        f"{KEPT_OPEN}",
        "tests/unit/test_life_of_a_payment.py",
    ),
)
