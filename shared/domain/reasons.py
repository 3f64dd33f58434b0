"""Why a payment was not charged although no bank declined it: the code in the row, the sentence for staff."""

from enum import StrEnum


class Reason(StrEnum):
    """Skipped, failed, canceled, too late to void, or not refunded."""

    INVOICE_CLOSED = "invoice_closed"
    AMOUNT_CHANGED = "amount_changed"
    METHOD_REMOVED = "method_removed"
    METHOD_CHANGED = "method_changed"
    METHOD_EXPIRED = "method_expired"
    PRACTICE_NOT_ENROLLED = "practice_not_enrolled"
    PROCESSOR_CHANGED = "processor_changed"
    CARD_DECLINED = "card_declined"
    CARD_ON_HOLD = "card_on_hold"
    VOID_REQUESTED = "void_requested"
    NOT_EXECUTED = "not_executed"
    METHOD_REFUSED = "method_refused"
    REQUEST_REFUSED = "request_refused"
    TOO_LATE_TO_VOID = "too_late_to_void"
    REFUND_DISPUTED = "refund_disputed"
    REFUND_FUNDS_SHORT = "refund_funds_short"
    REFUND_REFUSED = "refund_refused"
    REFUND_NOT_EXECUTED = "refund_not_executed"


SENTENCES: dict[Reason, str] = {
    Reason.INVOICE_CLOSED: "Not sent: the invoice was paid or closed.",
    Reason.AMOUNT_CHANGED: "Not sent: the invoice's amount due changed after the batch was submitted.",
    Reason.METHOD_REMOVED: "Not sent: the payment method was removed.",
    Reason.METHOD_CHANGED: "Not sent: the client's default payment method changed after the batch was submitted.",
    Reason.METHOD_EXPIRED: "Not sent: the card has expired.",
    Reason.PRACTICE_NOT_ENROLLED: "Not sent: the practice cannot charge cards now.",
    Reason.PROCESSOR_CHANGED: "Not sent: the practice moved to another processor.",
    Reason.CARD_DECLINED: "Not sent: a charge on the same card was just declined.",
    Reason.CARD_ON_HOLD: "Not sent: the card was declined twice within ten minutes and rests for this batch.",
    Reason.VOID_REQUESTED: "Taken out before charging.",
    Reason.NOT_EXECUTED: "The charge was not executed. No money moved. It can be tried again in a new batch.",
    Reason.METHOD_REFUSED: "The processor cannot charge this payment method. No money moved. Ask for another one.",
    Reason.REQUEST_REFUSED: "The processor refused the request as wrong. No money moved. Support has been told.",
    Reason.TOO_LATE_TO_VOID: "Too late to void: it is settled. Refund it instead.",
    Reason.REFUND_DISPUTED: "Not refunded: the client disputes the charge at the bank, which may give the money back.",
    Reason.REFUND_FUNDS_SHORT: "Not refunded: the practice's balance at the processor does not cover it.",
    Reason.REFUND_REFUSED: "Not refunded: the processor refused. Look at the charge in its dashboard.",
    Reason.REFUND_NOT_EXECUTED: "Not refunded: the refund was not executed. No money moved. Ask for it again.",
}
