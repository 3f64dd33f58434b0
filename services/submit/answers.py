"""Stored rows as the models of `schemas/http/`."""

from schemas import http
from services.submit.explain import batch_number, payment_reason, used_number, why
from services.submit.submission import Accepted, Previewed
from shared.domain.payment import State
from shared.domain.refund_requests import RefundResult, result_of_asking, words
from shared.store.approvals import Approval
from shared.store.batches import Batch
from shared.store.invoices import Matching, OpenInvoice
from shared.store.report import ReportRow, TimelineAttempt, TimelineEvent


def submitted(accepted: Accepted) -> http.SubmittedBatch:
    batch = accepted.batch
    return http.SubmittedBatch(
        id=batch.id,
        number=batch_number(batch.number),
        submitted_at=batch.submitted_at,
        submitted_by=batch.submitted_by,
        processor=batch.processor,
        currency=batch.currency,
        count=batch.total,
        total_minor=batch.total_minor,
        payment_number=batch.payment_number,
        first_payment_number=_text(batch.first_payment_number),
        last_payment_number=_text(batch.last_payment_number),
        warnings=used_number(batch.payment_number or "", accepted.used_number),
    )


def waiting(approval: Approval) -> http.WaitingBatch:
    return http.WaitingBatch(
        id=approval.id,
        number=batch_number(approval.number),
        status=approval.status,
        requested_by=approval.requested_by,
        requested_at=approval.requested_at,
        expires_at=approval.expires_at,
        currency=approval.currency,
        count=approval.total,
        total_minor=approval.total_minor,
        ceiling_minor=approval.ceiling_minor,
        decided_by=approval.decided_by,
        decided_at=approval.decided_at,
        reason=approval.reason,
    )


def preview(previewed: Previewed, *, number: str | None) -> http.Preview:
    ready = previewed.ready
    return http.Preview(
        selected=previewed.selected,
        control=http.ControlTotals(count=ready.ready, total_minor=ready.ready_minor) if ready.ready else None,
        currency=previewed.next_numbers.currency,
        processor=previewed.next_numbers.processor,
        next_payment_number=str(previewed.next_numbers.next_payment_number),
        blocked=[
            http.BlockedInvoice(invoice=row.external_id, number=row.invoice_number, reasons=why(row))
            for row in previewed.blocked
        ],
        warnings=used_number(number or "", previewed.used_number),
    )


def batch(row: Batch) -> http.BatchItem:
    tally = row.tally
    return http.BatchItem(
        id=row.id,
        number=batch_number(row.number),
        status=row.status.value,
        posting=row.posting.value,
        processor=row.processor,
        currency=row.currency,
        payment_number=row.payment_number,
        first_payment_number=_text(row.first_payment_number),
        last_payment_number=_text(row.last_payment_number),
        submitted_by=row.submitted_by,
        submitted_at=row.submitted_at,
        approved_by=row.approved_by,
        retry_of=row.retry_of,
        total=http.Amounts(count=row.total, amount_minor=row.total_minor),
        approved=http.Amounts(count=tally.approved, amount_minor=tally.approved_minor),
        declined=http.Amounts(count=tally.declined, amount_minor=tally.declined_minor),
        unfinished=http.Amounts(count=tally.unfinished, amount_minor=tally.unfinished_minor),
        returned=http.Amounts(count=tally.returned, amount_minor=tally.returned_minor),
        canceled=http.Amounts(count=tally.canceled, amount_minor=tally.canceled_minor),
        in_review=tally.in_review,
        void_requested_at=row.void_requested_at,
        finished_at=row.finished_at,
        posted_at=row.posted_at,
        own_rows_only=row.own_rows_only,
    )


def invoice(row: OpenInvoice) -> http.InvoiceItem:
    method = None
    if row.method_type is not None and row.brand is not None and row.last4 is not None:
        method = http.Method(
            type=row.method_type, brand=row.brand, last4=row.last4, exp_month=row.exp_month, exp_year=row.exp_year
        )
    return http.InvoiceItem(
        invoice=row.invoice_external_id,
        number=row.invoice_number,
        client=row.client_external_id,
        client_name=row.client_name,
        clinician_name=row.clinician_name,
        currency=row.currency,
        total_minor=row.total_minor,
        amount_due_minor=row.amount_due_minor,
        issued_on=row.issued_on,
        first_service_on=row.first_service_on,
        last_service_on=row.last_service_on,
        sessions=row.session_count,
        sessions_outside_range=row.sessions_outside,
        reopened=row.reopened_at is not None,
        method=method,
        reasons=why(row),
    )


def matching(row: Matching) -> http.MatchingInvoices:
    return http.MatchingInvoices(
        all=http.Amounts(count=row.all_count, amount_minor=row.all_minor),
        ready=http.Amounts(count=row.ready_count, amount_minor=row.ready_minor),
        ready_reopened=row.ready_reopened,
    )


def payment(row: ReportRow) -> http.PaymentItem:
    asked = result_of_asking(State(row.state), disputed=row.disputed)
    return http.PaymentItem(
        id=row.id,
        batch=row.batch_id,
        batch_number=batch_number(row.batch_number),
        invoice=row.invoice_external_id,
        invoice_number=row.invoice_number,
        client=row.client_external_id,
        client_name=row.client_name,
        first_service_on=row.first_service_on,
        last_service_on=row.last_service_on,
        sessions=row.session_count,
        method=http.Method(
            type=row.method_type, brand=row.brand, last4=row.last4, exp_month=row.exp_month, exp_year=row.exp_year
        ),
        number=row.number,
        amount_minor=row.amount_minor,
        currency=row.currency,
        processor=row.processor,
        state=State(row.state).value,
        reason=payment_reason(row.reason_code, row.reason_category),
        processor_reference=row.processor_ref,
        in_review=row.review_reason is not None,
        can_refund=asked is RefundResult.REFUNDING,
        cannot_refund=None if asked is RefundResult.REFUNDING else _why_no_refund(asked),
        refund_reason=row.refund_reason,
        void_requested_at=row.void_requested_at,
        created_at=row.created_at,
        finished_at=row.finished_at,
    )


def _why_no_refund(result: RefundResult) -> http.Why:
    said = words(result)
    return http.Why(code=result.value, message=said.what, fix=said.fix)


def timeline(row: ReportRow, events: list[TimelineEvent], attempts: list[TimelineAttempt]) -> http.PaymentDetail:
    return http.PaymentDetail(
        payment=payment(row),
        steps=[
            http.PaymentStep(
                at=event.at, event=event.event, from_state=event.from_state, to_state=event.to_state, actor=event.actor
            )
            for event in events
        ],
        attempts=[
            http.PaymentAttempt(
                n=attempt.n,
                kind=attempt.kind,
                reference=attempt.reference,
                amount_minor=attempt.amount_minor,
                processor_reference=attempt.processor_ref,
                outcome=attempt.outcome,
                outcome_code=attempt.outcome_code,
                first_sent_at=attempt.first_send_at,
                finished_at=attempt.finished_at,
            )
            for attempt in attempts
        ],
    )


def _text(number: int | None) -> str | None:
    return None if number is None else str(number)
