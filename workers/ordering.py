"""What a processor is asked for when a payment is charged."""

from shared.domain.ids import reference
from shared.domain.snapshot import Payment
from workers.processors.port import ChargeOrder


def charge_order(payment: Payment, n: int, *, environment: str) -> ChargeOrder:
    """The order of the payment's n-th attempt: the same whenever it is asked for."""
    return ChargeOrder(
        reference=reference(environment, payment.id, n),
        payment_id=str(payment.id),
        attempt_number=n,
        invoice_id=str(payment.invoice_id),
        account=payment.account,
        payer_id=payment.payer_id,
        token=payment.token,
        method_type=payment.method_type,
        amount_minor=payment.amount_minor,
        currency=payment.currency,
    )
