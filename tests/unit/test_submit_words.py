from datetime import UTC, datetime

from services.submit.explain import payment_reason, used_number
from shared.domain import declines, reasons
from shared.store.submissions import UsedNumber


def test_every_code_that_a_payment_can_carry_has_its_sentence() -> None:
    for code in declines.NeutralCode:
        said = payment_reason(code.value, "soft")
        assert said is not None
        assert said.message == declines.TABLE[code].sentence
    for reason in reasons.Reason:
        said = payment_reason(reason.value, None)
        assert said is not None
        assert said.message == reasons.SENTENCES[reason]
    assert payment_reason(None, None) is None


def test_the_warning_about_a_used_number_names_the_day_in_the_practices_zone() -> None:
    used = UsedNumber(
        payments=2,
        batch_number=1048,
        submitted_at=datetime(2026, 11, 24, 3, tzinfo=UTC),
        invoice_number="INV-1",
        client_name="Zoë",
        timezone="America/New_York",
        locale="en_US",
    )
    [warning] = used_number("77", used)
    assert "last used Nov 23, 2026 in batch BP-1048, for example on INV-1 for Zoë" in warning.message
    assert used_number("77", None) == []
