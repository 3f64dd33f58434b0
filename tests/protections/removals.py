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
KEPT_OPEN: Final = """\
        case Unknown():
            return returning.still_open(
                payment,
                said,
"""
ENGINE: Final = "shared/store/migrations/versions/0001_engine.sql"

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
        "if self.late_s > 0:",
        "if self.late_s > 1e9:",
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
        "tests/integration/test_invariants.py::test_a_charge_has_one_open_void_or_refund",
    ),
    Removal(
        "unique index: one charge on the wire per card",
        ENGINE,
        "CREATE UNIQUE INDEX payment_on_wire",
        "CREATE INDEX payment_on_wire",
        "tests/integration/test_protocol_traces.py"
        "::test_trace_23_a_key_is_not_sent_again_while_another_charge_of_its_card_is_on_the_wire",
    ),
    Removal(
        "unique index: one charge per number of the processor",
        ENGINE,
        "CREATE UNIQUE INDEX attempt_processor_ref",
        "CREATE INDEX attempt_processor_ref",
        "tests/integration/test_payments_store.py::test_an_answer_that_cannot_be_recorded_does_not_stop_its_neighbours",
    ),
    Removal(
        "on_wire slot: the claim takes it",
        "shared/domain/claiming.py",
        "        on_wire=True,\n",
        "        on_wire=False,\n",
        "tests/integration/test_payments_store.py::test_siblings_on_one_card_are_charged_one_after_the_other",
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
        "workers/processors/vantage/answers.py",
        "        if answer.sent:\n            return Unknown(code=answer.code, detail=answer.detail)\n",
        "",
        "tests/contract/vantage/test_vantage_wire.py"
        "::TestVantageConnections::test_an_answer_without_end_ends_at_the_total_deadline",
    ),
    Removal(
        "intent commit: the open send is written before the first byte",
        "shared/domain/claiming.py",
        "        open_sends=1,",
        "        open_sends=0,",
        "tests/unit/test_claiming.py::test_a_claim_commits_the_intent_before_the_first_byte",
    ),
    Removal(
        "final absence at Vantage: its reports must be out",
        "workers/janitor/reports.py",
        "    if not all(report_is_out(report.day, report.as_of) for report in reports):\n        return False\n",
        "",
        "tests/integration/test_janitor.py::test_without_a_key_nothing_is_ever_sent_again",
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
        "            self._connection.abort()\n        self._end(answer)\n",
        "            self._connection.abort()\n"
        "        if isinstance(answer, Trouble) and not vars(self).setdefault('again', False):\n"
        "            self.again = True\n"
        "            return self._begin()\n"
        "        self._end(answer)\n",
        "tests/contract/vantage/test_vantage_wire.py"
        "::TestVantageConnections::test_trace_2_a_cold_connection_that_ends_got_exactly_one_request",
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
        "restored databases: an account is held until it is known what was forgotten",
        "shared/store/sql/payment.sql",
        "h.account = p.account AND h.released_at IS NULL)",
        "h.account = p.account AND h.released_at IS NULL AND false)",
        "tests/integration/test_restoring.py::test_a_person_can_say_that_the_database_was_restored",
    ),
    Removal(
        "send budget: asked right before the first byte",
        "workers/processors/http.py",
        "not self._departure.may_go():",
        "not AT_ONCE.may_go():",
        "tests/contract/vantage/test_vantage_wire.py::TestVantageDepartures"
        "::test_trace_4_a_process_that_stood_still_while_its_request_waited_sends_nothing_more",
    ),
    Removal(
        "void guard at the claim",
        "workers/charge/claiming.py",
        "    if recheck.void_requested_by is not None:\n"
        "        return claiming.cancel(payment, by=recheck.void_requested_by, now=now)\n",
        "",
        "tests/integration/test_payments_store.py::test_trace_17_a_payment_whose_void_was_asked_for_is_never_sent",
    ),
    Removal(
        "void guard after a refused send: canceled, not queued",
        CHARGING,
        "    if payment.void_requested_at:\n",
        "    if payment.void_requested_at and payment.state is State.QUEUED:\n",
        "tests/unit/test_charging.py::test_trace_17_the_outcome_of_a_marked_payment",
    ),
    Removal(
        "void guard at the outcome: voiding, not approved",
        "shared/domain/taken.py",
        "return State.VOIDING if payment.void_requested_at else State.APPROVED",
        "return State.APPROVED",
        "tests/unit/test_charging.py::test_trace_17_the_outcome_of_a_marked_payment",
    ),
    Removal(
        "one void or refund at a time: the lease of whoever is at it",
        "workers/voids/claiming.py",
        "    if row.payment.lease_until and row.payment.lease_until > row.now:\n        return None\n",
        "",
        "tests/integration/test_protocol_traces.py::test_trace_9_hints_that_come_twice_void_once",
    ),
    Removal(
        "refund: a look at the charge immediately before",
        "workers/voids/refunding.py",
        "return held_back or _claimed(asked, returner)",
        "return _claimed(asked, returner) if held_back is None or disputed is False else held_back",
        "tests/integration/test_refunds.py"
        "::test_trace_13_what_was_refunded_outside_a_moment_before_is_not_refunded_again",
    ),
    Removal(
        "refund without a key: sent once",
        "workers/janitor/refunds.py",
        "timing.key_lifetime is not None and refund.sends",
        "timing.key_lifetime is None or refund.sends",
        "tests/integration/test_refunds.py"
        "::test_trace_10_without_a_key_only_complete_reports_prove_that_a_refund_never_executed",
    ),
    Removal(
        "final absence at Vantage: the next day's report too where a send touches the cut-off",
        "shared/domain/settlement_day.py",
        "return (first,) if first == last else (first, last)",
        "return (first,)",
        "tests/integration/test_protocol_traces.py"
        "::test_trace_5_a_charge_that_hangs_over_the_cut_off_is_not_given_up_by_the_report_of_its_first_day",
    ),
    Removal(
        "final absence at Vantage: a report that misses a known charge proves nothing",
        "workers/janitor/reports.py",
        "    return known <= shown\n",
        "    return bool(known) <= True\n",
        "tests/integration/test_janitor.py::test_a_report_that_misses_a_charge_we_know_of_proves_no_absence",
    ),
    Removal(
        "an answer that names nothing ends its connection",
        "workers/processors/http.py",
        "            self._connection.abort()\n        self._end(answer)\n",
        "            self._client.keep(self._connection)\n        self._end(answer)\n",
        "tests/contract/vantage/test_vantage_wire.py"
        "::TestVantageConnections::test_an_answer_that_names_nothing_ends_its_connection[charge]",
    ),
    Removal(
        "what a claim remembers is believed only of a row that nobody has changed",
        "shared/store/payments.py",
        "if (payment := known[payment_id]).version == version and payment.next_check_at == next_check_at",
        "if (payment := known[payment_id]).next_check_at == next_check_at",
        "tests/integration/test_payments_store.py"
        "::test_what_a_claim_remembers_is_not_believed_of_a_row_that_has_changed[version = version + 1]",
    ),
    Removal(
        "a look that something has overtaken proves nothing negative",
        "shared/domain/sightings.py",
        "if unchanged and sighting.decline and",
        "if sighting.decline and",
        "tests/unit/test_charging.py::test_a_look_that_was_overtaken_cannot_decline",
    ),
    Removal(
        "people too: not executed only when absence is final",
        "workers/janitor/resolving.py",
        '            return Refused(f"absence is not final: {fact}")\n',
        "            as_of = case.now\n",
        "tests/integration/test_resolving.py::test_trace_7_not_executed_is_refused_before_absence_is_final",
    ),
    Removal(
        "no new attempt by itself on a later settlement day",
        CHARGING,
        "schedule.retry_pause(payment.attempts) and same_day and not payment.review_reason",
        "schedule.retry_pause(payment.attempts) and not payment.review_reason",
        "tests/unit/test_charging.py::test_absence_proven_on_a_later_day_surprises_nobody_with_a_charge",
    ),
    Removal(
        "no new attempt by itself while a person has to look",
        CHARGING,
        "schedule.retry_pause(payment.attempts) and same_day and not payment.review_reason",
        "schedule.retry_pause(payment.attempts) and same_day",
        "tests/unit/test_charging.py::test_nothing_is_sent_again_by_itself_while_a_person_has_to_look",
    ),
    Removal(
        "late money is never dropped",
        "shared/domain/taken.py",
        "    if payment.state in _NOTHING_TAKEN:\n",
        "    if payment.state is State.QUEUED:\n",
        "tests/unit/test_charging.py::test_trace_8_a_late_success_is_accepted_for_a_payment_that_was_given_up",
    ),
    Removal(
        "pause: nothing is claimed",
        "workers/charge/claiming.py",
        "if recheck.paused or recheck.held_until is not None or payment.review_reason is not None:",
        "if recheck.held_until is not None or payment.review_reason is not None:",
        "tests/integration/test_pause.py::test_while_a_processor_is_paused_nothing_of_it_is_claimed_and_afterwards_all",
    ),
    Removal(
        "pause: nothing is sent again",
        "workers/janitor/unclear.py",
        "        await pauses.must_run(connection, case.payment.processor)\n",
        "",
        "tests/integration/test_pause.py"
        "::test_a_lookup_goes_on_but_nothing_is_sent_again_while_the_processor_is_paused",
    ),
    Removal(
        "a step is written only onto the version that it was decided on",
        "shared/store/sql/payment.sql",
        "WHERE p.id = s.id AND p.version = s.version - 1",
        "WHERE p.id = s.id",
        "tests/integration/test_payments_store.py::test_a_step_of_a_stale_version_is_refused_and_leaves_nothing",
    ),
    Removal(
        "the transition table as the last line in the database",
        ENGINE,
        "CREATE TRIGGER payment_legal_state AFTER UPDATE OF state ON payment FOR EACH ROW",
        "CREATE TRIGGER payment_legal_state AFTER UPDATE OF due_at ON payment FOR EACH ROW",
        "tests/integration/test_invariants.py::test_a_state_that_is_simply_assigned_is_refused",
    ),
    Removal(
        "two levels of success at Vantage",
        "workers/processors/vantage/answers.py",
        "    if outer.code not in {SUCCESS, inner.code}:\n",
        "    if outer.code < 0:\n",
        "tests/contract/vantage/test_vantage_answers.py"
        "::test_an_answer_that_contradicts_itself_or_lacks_a_part_is_unknown",
    ),
    Removal(
        "a success of Stripe's is ours only with our reference, amount and currency",
        "workers/processors/stripe/answers.py",
        'if not ref or not same or reference_of(intent) != request["idempotency_key"]:',
        "if not ref:",
        "tests/contract/stripe/test_stripe_answers.py::test_a_success_that_is_not_exactly_ours_is_unknown",
    ),
    Removal(
        "relay: a row leaves the outbox when its message is confirmed",
        "services/relay/hints.py",
        "zip(hints, confirmed, strict=True) if safe}",
        "zip(hints, confirmed, strict=True)}",
        "tests/integration/test_first_hints.py::test_a_row_of_the_outbox_stays_until_its_hint_is_confirmed",
    ),
    Removal(
        "relay: an event leaves the outbox when every queue of ours that it is for has it",
        "services/relay/events.py",
        "all(safe[message.message_id] for message in group)",
        "safe[group[0].message_id]",
        "tests/integration/test_relay.py::test_an_event_stays_until_every_queue_of_ours_has_it",
    ),
    Removal(
        "relay: a batch's cursor passes confirmed hints only",
        "services/relay/hints.py",
        "        if first not in arrived:\n",
        "        if first not in taken.firsts:\n",
        "tests/integration/test_first_hints.py"
        "::test_the_cursor_stops_before_a_hint_that_was_not_confirmed_and_it_is_taken_again",
    ),
    Removal(
        "relay: a batch's row stays while a payment behind its cursor is queued",
        "shared/store/sql/outbox.sql",
        "unhinted.id IS NULL AS over",
        "true AS over",
        "tests/integration/test_first_hints.py::test_a_relay_that_dies_anywhere_hints_every_payment_at_least_once",
    ),
    Removal(
        "relay: one at a time takes the first hints of a batch",
        "shared/store/sql/outbox.sql",
        "  FOR UPDATE OF h SKIP LOCKED\n",
        "",
        "tests/integration/test_first_hints.py"
        "::test_a_batch_that_another_relay_holds_is_looked_at_again_soon_and_not_at_once",
    ),
    Removal(
        "relay: a new batch is left to the line of first hints",
        "shared/store/sql/outbox.sql",
        "statement_timestamp() - make_interval(secs => %(left_s)s)",
        "statement_timestamp() + make_interval(secs => 100 + %(left_s)s)",
        "tests/integration/test_first_hints.py"
        "::test_the_other_line_leaves_a_new_batch_to_the_line_of_first_hints_and_looks_again_soon",
    ),
    Removal(
        "janitor: a payment that its batch's cursor has passed is hinted again",
        "shared/store/sql/sweep.sql",
        " AND h.after < p.id)",
        ")",
        "tests/integration/test_first_hints.py"
        "::test_the_janitor_hints_what_its_batch_has_hinted_before_and_nothing_that_still_waits_for_that",
    ),
    Removal(
        "aggregator: it locks the batch before it reads its payments",
        "shared/store/sql/batch_status.sql",
        "FOR UPDATE OF b;",
        ";",
        "tests/integration/test_aggregator.py"
        "::test_trace_20_an_aggregator_that_waited_does_not_write_what_it_saw_before",
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
        '            return _still_open(payment, void, left, fact=f"void refused: {answer.code}", now=now)\n',
        "            return returning.confirmed(payment, left, now=now)\n",
        "tests/unit/test_voiding.py::test_trace_11_only_a_look_decides_after_anything_but_a_confirmation",
    ),
    Removal(
        "a refund whose answer is lost is not over",
        "shared/domain/refunding.py",
        KEPT_OPEN,
        "        case Unknown():\n            return _rejected(payment, _over(said, now), Reason.REFUND_NOT_EXECUTED)\n"
        f"{KEPT_OPEN}",
        "tests/unit/test_refunding.py::test_trace_10_a_lost_answer_leaves_the_refund_open_for_a_look",
    ),
    Removal(
        "refund above the limit: nothing is asked before a second person",
        "shared/store/refunds.py",
        "        if decided.step and limit.is_passed_by(amount_minor):\n",
        "        if decided.step and limit.is_passed_by(-limit.before_minor):\n",
        "tests/integration/test_refund_approvals.py"
        "::test_above_the_limit_nothing_is_sent_until_another_person_approves",
    ),
    Removal(
        "refund of a batch above the limit: nothing is asked before a second person",
        "shared/store/refunds.py",
        "        if limit.is_passed_by(total_minor):\n",
        "        if limit.is_passed_by(-limit.before_minor):\n",
        "tests/integration/test_refund_approvals.py::test_the_interface_refunds_a_batch_with_its_limit",
    ),
    Removal(
        "refund limit: what a batch refunds counts together, however it is asked for",
        "shared/store/refunds.py",
        "self.before_minor + amount_minor > self.limit_minor",
        "amount_minor > self.limit_minor",
        "tests/integration/test_refund_approvals.py"
        "::test_what_one_batch_refunds_counts_together_however_it_is_asked_for",
    ),
    Removal(
        "refund limit: the second of two requests waits for the first and counts it",
        "shared/store/sql/refund.sql",
        "FOR NO KEY UPDATE OF b;",
        ";",
        "tests/integration/test_refund_approvals.py"
        "::test_of_two_refunds_of_a_batch_at_once_the_second_counts_the_first",
    ),
    Removal(
        "void of a batch: no more than was shown",
        "shared/store/voids.py",
        "        if shown and not shown.covers(*await _reached(connection, batch_id)):\n",
        "        if shown and shown.payments < 0:\n",
        "tests/integration/test_console_voids.py::test_more_than_what_was_shown_is_not_voided",
    ),
)
