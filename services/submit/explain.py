"""Stored facts as the sentences that people read."""

from datetime import datetime
from typing import Final, Protocol
from zoneinfo import ZoneInfo

from babel.dates import format_date

from schemas.http import PaymentReason, Warn, Why
from shared.domain import declines, eligibility, money, reasons
from shared.domain.eligibility import Facts, Reason
from shared.store.submissions import UsedNumber

_SENTENCES: Final[dict[str, str]] = {
    **{code.value: meaning.sentence for code, meaning in declines.TABLE.items()},
    **{code.value: sentence for code, sentence in reasons.SENTENCES.items()},
}
_NO_SENTENCE: Final = "Not charged. Ask support for the reason."


class Chargeable(Protocol):
    """What the sentences about an invoice need to know of it."""

    @property
    def reasons(self) -> list[str]: ...
    @property
    def currency(self) -> str | None: ...
    @property
    def exp_month(self) -> int | None: ...
    @property
    def exp_year(self) -> int | None: ...
    @property
    def method_processor(self) -> str | None: ...
    @property
    def processor(self) -> str | None: ...
    @property
    def practice_name(self) -> str: ...
    @property
    def practice_currency(self) -> str: ...
    @property
    def locale(self) -> str: ...
    @property
    def invoice_limit_minor(self) -> int | None: ...
    @property
    def running_batch_number(self) -> int | None: ...


def batch_number(number: int) -> str:
    return f"BP-{number}"


def why(invoice: Chargeable) -> list[Why]:
    """Every reason why the invoice cannot be charged, in words."""
    if invoice.reasons == [eligibility.NOT_FOUND]:
        said = eligibility.NOT_FOUND_WORDS
        return [Why(code=eligibility.NOT_FOUND, message=said.what, fix=said.fix)]
    facts = _facts(invoice)
    answers = []
    for reason in map(Reason, invoice.reasons):
        said = eligibility.words(reason, facts)
        answers.append(Why(code=reason, message=said.what, fix=said.fix))
    return answers


def _facts(invoice: Chargeable) -> Facts:
    names = eligibility.PROCESSOR_NAMES
    limit_minor, number = invoice.invoice_limit_minor, invoice.running_batch_number
    return Facts(
        practice=invoice.practice_name,
        currency=invoice.currency or Facts().currency,
        limit=Facts().limit
        if limit_minor is None
        else money.words(limit_minor, invoice.practice_currency, locale=invoice.locale),
        expiry=f"{invoice.exp_month:02}/{invoice.exp_year}" if invoice.exp_month else "",
        method_processor=names.get(invoice.method_processor or "", Facts().method_processor),
        practice_processor=names.get(invoice.processor or "", Facts().practice_processor),
        running_batch=Facts().running_batch if number is None else f"batch {batch_number(number)}",
    )


def used_number(number: str, used: UsedNumber | None) -> list[Warn]:
    """The warning that a typed payment number was used before; it names only what the caller may see."""
    if used is None:
        return []
    after = " You can use it again, but reports will show all of them under one number."
    if used.batch_number is None or used.submitted_at is None:
        message = f"{number} is already in use in your practice."
    else:
        when = _day(used.submitted_at, used)
        message = (
            f"{number} is already in use. It is on {used.payments} payments, last used {when} in batch"
            f" {batch_number(used.batch_number)}, for example on {used.invoice_number} for {used.client_name}."
        )
    return [Warn(code="payment_number_used", message=message + after)]


def _day(when: datetime, practice: UsedNumber) -> str:
    return str(format_date(when.astimezone(ZoneInfo(practice.timezone)), format="medium", locale=practice.locale))


def payment_reason(code: str | None, category: str | None) -> PaymentReason | None:
    """Why a payment was declined, skipped or not executed."""
    if code is None:
        return None
    return PaymentReason(code=code, category=category, message=_SENTENCES.get(code, _NO_SENTENCE))
