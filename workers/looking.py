"""Asks a processor how a charge stands."""

import structlog

from shared.domain.answers import LookupAnswer, LookupFailed
from shared.domain.snapshot import Attempt, Payment
from workers.processors.port import LookupOrder, Processor

_log = structlog.get_logger()


async def look_up(processor: Processor, payment: Payment, charge: Attempt) -> LookupAnswer:
    """How the charge `charge` stands at its processor now. An adapter's exception is a failed look."""
    order = LookupOrder(
        reference=charge.reference,
        account=charge.account,
        payer_id=payment.payer_id,
        processor_ref=charge.processor_ref,
        first_send_at=charge.first_send_at,
        last_send_at=charge.last_send_at,
    )
    try:
        return await processor.lookup(order)
    except Exception as error:  # noqa: BLE001  # whatever an adapter's bug raises, nothing was learnt
        _log.exception("lookup_failed", payment_id=str(payment.id))
        return LookupFailed(code="adapter_failed", detail=type(error).__name__)
